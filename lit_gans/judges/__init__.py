"""Judges: whether a generated sample is of the domain at all, and which of its modes it shows."""

from .classifier import ClassifierJudge
from .command import main
from .faces import FaceJudge, onnx_embedder
from .judge import Judge, Judgement, judged
from .mixture import MixtureJudge
from .negatives import negatives
from .stacked import StackedJudge

__all__ = [
    "ClassifierJudge",
    "FaceJudge",
    "Judge",
    "Judgement",
    "MixtureJudge",
    "StackedJudge",
    "judged",
    "main",
    "negatives",
    "onnx_embedder",
]
