"""Putting large files in place: whole or not at all, where there is room, one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .dataset import DataError

# What else is on the disk needs some air, and file systems keep books.
_SPARE = 64 * 2**20


def size_text(n_bytes: float) -> str:
    """A number of bytes for people: 4.39 GB, decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


def check_room(folder: Path, n_bytes: int, what: str) -> None:
    """See to it that the disk has room for a file before hours go into it.

    Raises:
        DataError: less is free in `folder` than `what`, of `n_bytes`, takes.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _SPARE:
        raise DataError(
            f"{what} takes {size_text(n_bytes)} but {folder} has {size_text(free)} free: "
            "make room, or choose another disk with --data_path"
        )


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: renamed to it when the block ends well, removed when it does not.

    The name is always the same, so that what a killed process left is replaced: hold `only_one` meanwhile.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Lets one process at a time work on `path`, on this machine or any that shares the folder; others wait.

    The lock ends with its process, however that ends.
    """
    lock = path.with_name(f"{path.name}.lock")
    said = False
    while True:
        with open(lock, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    print(f"another process is at work on {path}: waiting for it", flush=True)
                    said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            # Who held the lock before has removed its file: it locks nobody out any more.
            if not _is_at(file.fileno(), lock):
                continue
            try:
                yield
            finally:
                lock.unlink()
            return


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that bears this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
