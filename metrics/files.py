"""Files that appear whole or not at all, and files of PyTorch's that may be anything."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch


@contextmanager
def appearing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A hidden path beside `path` to write to; renamed to it if the block ends well, else removed."""
    whole = Path(path)
    part = whole.with_name(f".{whole.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, whole)
    finally:
        part.unlink(missing_ok=True)


def opened(file: str | os.PathLike[str] | IO[bytes], mmap: bool = False) -> Any:
    """What torch.save wrote, on the CPU; nothing in the file is run.

    Args:
        mmap: map the tensors into memory rather than read them; for a file that has a path.

    Raises:
        Exception: nearly any, the file being damaged, hostile or foreign; there is no warning beside it.
    """
    with warnings.catch_warnings(record=True) as warned:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    for warning in warned:
        if "pickle protocol" in str(warning.message):  # Not torch.save's, which mostly fails, but not always.
            raise ValueError(str(warning.message))
    return content
