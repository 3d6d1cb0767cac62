"""Callbacks: watching a game and remembering for it."""

from .attraction import Attraction
from .checkpoints import Checkpoints
from .class_coverage import ClassCoverage
from .dirac_portrait import DiracPortrait
from .divergence_guard import DivergenceGuard
from .drawing_hook import DrawingHook
from .ewc import EWC, OnlineEWC
from .fixed_fake_set import FixedFakeSet
from .fixed_fakes import FixedFakes
from .generalization_gap import GeneralizationGap
from .gradient_clipping import GradientClipping
from .gradient_path import GradientPath
from .historical_averaging import HistoricalAveraging
from .instance_noise import InstanceNoise
from .landscape_probe import LandscapeProbe
from .latent_interpolation import LatentInterpolation
from .loss_curves import LossCurves
from .mode_coverage import ModeCoverage
from .movement import Movement
from .nearest_reals import NearestReals
from .noisy_reals import NoisyReals
from .numbers_only import NumbersOnly
from .old_fake import OldFake
from .old_fake_replay import OldFakeReplay
from .parameter_memory import ParameterMemory
from .probe import Observation, Probe
from .progress_bar import ProgressBar
from .recurrence import Recurrence
from .sample_distance import SampleDistance
from .sample_grid import SampleGrid
from .sample_quality import SampleQuality
from .sample_writer import SampleWriter
from .sqd_logger import SQDLogger
from .synaptic_intelligence import SynapticIntelligence
from .trend import Trend
from .turning_point import TurningPoint
from .value_surface import ValueSurface
from .vector_field import VectorField
from .verdict import Verdict
from .weight_clipping import WeightClipping
from .weight_rank import WeightRank

__all__ = [
    "EWC",
    "Attraction",
    "Checkpoints",
    "ClassCoverage",
    "DiracPortrait",
    "DivergenceGuard",
    "DrawingHook",
    "FixedFakeSet",
    "FixedFakes",
    "GeneralizationGap",
    "GradientClipping",
    "GradientPath",
    "HistoricalAveraging",
    "InstanceNoise",
    "LandscapeProbe",
    "LatentInterpolation",
    "LossCurves",
    "ModeCoverage",
    "Movement",
    "NearestReals",
    "NoisyReals",
    "NumbersOnly",
    "Observation",
    "OldFake",
    "OldFakeReplay",
    "OnlineEWC",
    "ParameterMemory",
    "Probe",
    "ProgressBar",
    "Recurrence",
    "SQDLogger",
    "SampleDistance",
    "SampleGrid",
    "SampleQuality",
    "SampleWriter",
    "SynapticIntelligence",
    "Trend",
    "TurningPoint",
    "ValueSurface",
    "VectorField",
    "Verdict",
    "WeightClipping",
    "WeightRank",
]
