"""Data files in GEM's format: [train tasks, test tasks], a task being [descriptor, x, y].

x is (N, n_inputs) float32, y (N,) int64. README.md beside this file says more.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import torch

from .dataset import DataError, DataSet, Examples

# A label beyond this is a damaged file, not a class: it would cost an output layer of its own size.
MAX_LABEL = 1_000_000

_OLD_FORMAT = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)


class _Refused(Exception):
    """A file that cannot be used; says what is wrong with it."""


def read(path: Path) -> DataSet:
    """The data set in a file written by any version of PyTorch, mapped into memory where the file allows.

    Nothing in the file is run: it is opened with PyTorch's safe unpickler.

    Raises:
        DataError: no such file, or not a whole data set in this format.
    """
    try:
        train, test = _tasks(_content(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except _Refused as error:
        raise DataError(
            f"{path} {error} (get_data.py writes such files; data/README.md has the format)"
        ) from error
    return DataSet(train, test, file=path)


def _content(path: Path) -> object:
    if not path.is_file():
        raise _Refused("is not a file")
    try:
        mapped = _can_be_mapped(path)
        # Of a file that torch.save did not write it warns, fails on it next, and one line is enough.
        with warnings.catch_warnings(record=True):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, _Refused):
        raise
    except Exception as error:  # A damaged or hostile file makes the unpickler raise nearly anything.
        raise _Refused(
            f"is damaged, or holds more than tensors, numbers and words: {_reason(error)}"
        ) from error


def _can_be_mapped(path: Path) -> bool:
    """Whether no more of a file need be read than is used: not so in PyTorch's format from before 1.6.

    PyTorch maps the file of that name in UTF-8, which is another one or none where this differs.
    """
    with open(path, "rb") as file:
        start = file.read(len(_OLD_FORMAT))
    if start == _OLD_FORMAT:
        return False
    if not start.startswith(b"PK"):
        raise _Refused("was not written by torch.save")
    try:
        with zipfile.ZipFile(path) as archive:
            named = str(path).encode(errors="replace") == os.fsencode(path)
            return named and all(record.compress_type == zipfile.ZIP_STORED for record in archive.infolist())
    except zipfile.BadZipFile as error:
        raise _Refused("is cut short or damaged") from error


def _reason(error: Exception) -> str:
    """The first sentence of what the unpickler met; PyTorch wraps it in advice to switch the safety off."""
    met = error.__context__ if isinstance(error, pickle.UnpicklingError) else None
    text = str(met or error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0]


def _tasks(content: object) -> tuple[list[Examples], list[Examples]]:
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise _Refused("does not hold a list of two, training tasks and test tasks")
    for tasks in content:
        if not isinstance(tasks, list | tuple) or not tasks:
            raise _Refused("does not hold two lists of at least one task each")
    if len(content[0]) != len(content[1]):
        raise _Refused(f"has {len(content[0])} training tasks but {len(content[1])} test tasks")
    train = [_examples(task, f"training task {t}") for t, task in enumerate(content[0])]
    test = [_examples(task, f"test task {t}") for t, task in enumerate(content[1])]
    widths = sorted({examples.n_inputs for examples in train + test})
    if len(widths) > 1:
        raise _Refused(f"has tasks of different widths: {widths}")
    return train, test


def _examples(task: object, where: str) -> Examples:
    if not isinstance(task, list | tuple) or len(task) != 3:
        raise _Refused(f"has a {where} that is not [descriptor, x, y]")
    descriptor, x, y = task
    if not _is_plain(x) or not x.is_floating_point() or x.dim() != 2:
        raise _Refused(f"has in {where} as x {_kind(x)}, not a float32 tensor (N, P)")
    if not _is_plain(y) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool or y.dim() != 1:
        raise _Refused(f"has in {where} as y {_kind(y)}, not an int64 tensor (N,)")
    if len(x) != len(y):
        raise _Refused(f"has in {where} an x of {len(x)} rows and a y of {len(y)}")
    if x.numel() == 0:
        raise _Refused(f"has no examples in {where}")
    if int(y.min()) < 0 or int(y.max()) > MAX_LABEL:
        raise _Refused(f"has in {where} labels from {int(y.min())} to {int(y.max())}")
    return Examples(x.detach().float(), y.detach().long(), descriptor=descriptor)


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_neg()
        and value.nbytes <= value.untyped_storage().nbytes()  # An expanded tensor may show terabytes.
    )


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__
