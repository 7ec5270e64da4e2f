"""How a run went: GEM's accuracy matrix and figures, and the two files a run leaves behind."""

from .evaluation import Evaluation
from .matrix import Statistics, statistics
from .results import ResultError, ResultFiles

__all__ = ["Evaluation", "ResultError", "ResultFiles", "Statistics", "statistics"]
