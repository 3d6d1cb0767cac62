"""Callbacks: watching a game and remembering for it."""

from .attraction import Attraction
from .class_coverage import ClassCoverage
from .dirac_portrait import DiracPortrait
from .fixed_fake_set import FixedFakeSet
from .fixed_fakes import FixedFakes
from .generalization_gap import GeneralizationGap
from .gradient_path import GradientPath
from .landscape_probe import LandscapeProbe
from .loss_curves import LossCurves
from .mode_coverage import ModeCoverage
from .nearest_reals import NearestReals
from .noisy_reals import NoisyReals
from .numbers_only import NumbersOnly
from .old_fake import OldFake
from .probe import Observation, Probe
from .recurrence import Recurrence
from .sample_grid import SampleGrid
from .sample_writer import SampleWriter
from .trend import Trend
from .value_surface import ValueSurface
from .vector_field import VectorField
from .verdict import Verdict
from .weight_clipping import WeightClipping
from .weight_rank import WeightRank

__all__ = [
    "Attraction",
    "ClassCoverage",
    "DiracPortrait",
    "FixedFakeSet",
    "FixedFakes",
    "GeneralizationGap",
    "GradientPath",
    "LandscapeProbe",
    "LossCurves",
    "ModeCoverage",
    "NearestReals",
    "NoisyReals",
    "NumbersOnly",
    "Observation",
    "OldFake",
    "Probe",
    "Recurrence",
    "SampleGrid",
    "SampleWriter",
    "Trend",
    "ValueSurface",
    "VectorField",
    "Verdict",
    "WeightClipping",
    "WeightRank",
]
