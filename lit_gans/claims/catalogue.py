"""Every claim there is, by its key: CF, WS, RC, SQD and SV are the papers of docs/gallery.md."""

from .claim import Claim
from .forgetting import FORGETTING
from .generalization import GENERALIZATION
from .monitoring import MONITORING
from .remembering import REMEMBERING
from .survey import SURVEY
from .workshop import WORKSHOP

CLAIMS: dict[str, Claim] = {**FORGETTING, **WORKSHOP, **GENERALIZATION, **REMEMBERING, **MONITORING, **SURVEY}
