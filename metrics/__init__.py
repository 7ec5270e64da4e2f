"""How a run went: GEM's accuracy matrix and figures, and the two files a run leaves behind."""

from .checkpoint import Checkpoint, CheckpointError, generators, set_generators
from .evaluation import Evaluation
from .identity import code_version, identity
from .matrix import Statistics, statistics
from .results import ResultError, ResultFiles

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Evaluation",
    "ResultError",
    "ResultFiles",
    "Statistics",
    "code_version",
    "generators",
    "identity",
    "set_generators",
    "statistics",
]
