"""The data: MNIST, the tasks made of it, and data files in GEM's format."""

from __future__ import annotations

import difflib
import os
import time
from pathlib import Path

from . import files, mnist
from .dataset import DataError, DataSet, Examples
from .tasks import BUILDERS

__all__ = ["DataError", "DataSet", "Examples", "load"]


def load(data_path: str, data_file: str) -> DataSet:
    """The data set of that name: from its file in `data_path`, or, for the paper's three, built from MNIST.

    Leaves the global random generators as they are.

    Raises:
        DataError: no such file and no such data set, or a file that is not a whole data set in GEM's format.
    """
    path = Path(data_path) / data_file
    if os.path.exists(path):  # Unlike path.exists(), False for names that no file can have.
        return files.read(path)
    if data_file in BUILDERS:
        start = time.perf_counter()
        data_set = BUILDERS[data_file]()
        seconds = time.perf_counter() - start
        data_set.note = f"{path} is not there: built from {mnist.FILE.name} in {seconds:.1f} s"
        return data_set
    near = difflib.get_close_matches(data_file, BUILDERS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise DataError(f"{path} is not there; {hint}without a file there are {', '.join(BUILDERS)}")
