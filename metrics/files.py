"""Files that appear whole or not at all, and files of PyTorch's that may be anything."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
        _sync(part)
        os.replace(part, whole)
    finally:
        part.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, and what killed processes had begun to write beside it."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that appear whole, one just after the other in this order, or none of them.

    Raises:
        OSError: one cannot be written, the disk being full, say.
    """
    try:
        with ExitStack() as stack:
            # A stack unwinds from its end; all are on the disk before it does: a kill can come between two.
            for path, content in reversed(list(files.items())):
                part = stack.enter_context(appearing(path))
                part.write_bytes(content)
                _sync(part)
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def opened(file: str | os.PathLike[str] | IO[bytes], mmap: bool = False) -> Any:
    """What torch.save wrote, on the CPU; nothing in the file is run.

    Args:
        mmap: map the tensors into memory rather than read them, where that can be done; for a file that has
            a path.

    Raises:
        Exception: nearly any, the file being damaged, hostile or foreign; there is no warning beside it.
    """
    # PyTorch maps the file of that name in UTF-8, which is another one or none where this differs.
    mmap = mmap and str(file).encode(errors="replace") == os.fsencode(str(file))
    with warnings.catch_warnings(record=True) as warned:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    for warning in warned:
        if "pickle protocol" in str(warning.message):  # Not torch.save's, which mostly fails, but not always.
            raise ValueError(str(warning.message))
    return content
