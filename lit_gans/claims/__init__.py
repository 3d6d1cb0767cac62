"""What papers claim, as comparisons that can be run: `lit-gans claims`."""

from .catalogue import CLAIMS
from .claim import Claim
from .command import main

__all__ = ["CLAIMS", "Claim", "main"]
