"""Data files in GEM's format: [train tasks, test tasks], a task [descriptor, x (N, P) float32, y (N,) int64]."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from .dataset import DataError, DataSet, Examples

# A label beyond this is a damaged file, not a class: it would cost an output layer of its own size.
MAX_LABEL = 1_000_000


def read(path: Path) -> DataSet:
    """The data set in a file written by any version of PyTorch, mapped into memory where the file allows.

    Nothing in the file is run: it is opened with PyTorch's safe unpickler.

    Raises:
        DataError: no regular file, or not a whole data set in this format.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    try:
        # Only the zip format (PyTorch 1.6 and later) can be mapped, so that no more is read than is used.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # A hostile or damaged pickle makes the unpickler raise nearly anything.
        raise DataError(
            f"{path} is not a whole PyTorch data file that is safe to open: {_first_line(error)}"
        ) from error
    try:
        train, test = _tasks(content)
    except ValueError as error:
        raise DataError(f"{path} is not in GEM's format: {error}") from error
    return DataSet(train, test, file=path)


def _tasks(content: object) -> tuple[list[Examples], list[Examples]]:
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise ValueError("it does not hold a list of two, train tasks and test tasks")
    train, test = content
    for part in content:
        if not isinstance(part, list | tuple) or not part:
            raise ValueError("train and test are not both lists of at least one task")
    if len(train) != len(test):
        raise ValueError(f"it has {len(train)} training tasks but {len(test)} test tasks")
    examples = [
        [_examples(task, f"{part} task {t}") for t, task in enumerate(tasks)]
        for part, tasks in (("training", train), ("test", test))
    ]
    width = examples[0][0].n_inputs
    for part, tasks in zip(("training", "test"), examples, strict=True):
        for t, task in enumerate(tasks):
            if task.n_inputs != width:
                raise ValueError(f"{part} task {t} has {task.n_inputs} inputs, training task 0 has {width}")
    return examples[0], examples[1]


def _examples(task: object, where: str) -> Examples:
    if not isinstance(task, list | tuple) or len(task) != 3:
        raise ValueError(f"{where} is not [descriptor, x, y]")
    descriptor, x, y = task
    for name, tensor in (("x", x), ("y", y)):
        if (
            not isinstance(tensor, torch.Tensor)
            or tensor.layout != torch.strided
            or tensor.device.type != "cpu"
        ):
            raise ValueError(f"{where}: {name} is not a plain tensor")
    if not x.is_floating_point() or x.dim() != 2:
        raise ValueError(f"{where}: x is {_kind(x)}, not float32 (N, P)")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool or y.dim() != 1:
        raise ValueError(f"{where}: y is {_kind(y)}, not int64 (N,)")
    if len(x) != len(y):
        raise ValueError(f"{where}: x has {len(x)} rows but y has {len(y)}")
    if x.numel() == 0:
        raise ValueError(f"{where} is empty")
    y = y.detach().long()
    if int(y.min()) < 0 or int(y.max()) > MAX_LABEL:
        raise ValueError(f"{where}: labels run from {int(y.min())} to {int(y.max())}")
    return Examples(x.detach().float(), y, descriptor=descriptor)


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
