"""Callbacks: watching a game and remembering for it."""

from .class_coverage import ClassCoverage
from .landscape_probe import LandscapeProbe
from .loss_curves import LossCurves
from .mode_coverage import ModeCoverage
from .probe import Observation, Probe
from .sample_grid import SampleGrid
from .sample_writer import SampleWriter
from .trend import Trend
from .vector_field import VectorField
from .verdict import Verdict
from .weight_clipping import WeightClipping

__all__ = [
    "ClassCoverage",
    "LandscapeProbe",
    "LossCurves",
    "ModeCoverage",
    "Observation",
    "Probe",
    "SampleGrid",
    "SampleWriter",
    "Trend",
    "VectorField",
    "Verdict",
    "WeightClipping",
]
