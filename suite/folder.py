"""A results folder that several sweeps may fill at once."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from metrics import ResultFiles
from metrics.files import opened, write_together


class Claim:
    """The right to do a run, held against all other sweeps on its results folder until released.

    A process that dies, however that happens, holds nothing any more.

    Attributes:
        file: a file that is there as long as the claim is held.
        token: what it holds, by which a worker can tell whether it sees the same folder.
    """

    def __init__(self, file: Path, lock: FileLock) -> None:
        self.file, self._lock = file, lock
        self.token = uuid.uuid4().hex
        file.write_text(self.token)

    def release(self) -> None:
        """Give the right back, if it has not been."""
        if not self._lock.is_locked:
            return  # The file, if there is one, is another process's claim.
        # Removed while it is locked: whoever opened it meanwhile finds it nameless, and makes a new one.
        self.file.unlink(missing_ok=True)
        self._lock.release()


class Folder:
    """The results in a folder, by the identities of their runs, and the claims of this process there."""

    def __init__(self, path: str) -> None:
        """See to it that results can be written there.

        Raises:
            ResultError: they cannot.
        """
        ResultFiles(path, "", "")
        self.path = Path(path)
        self._looked_at: set[str] = set()
        self._held: set[str] = set()
        self._claims: list[Claim] = []

    def close(self) -> None:
        """Release every claim."""
        for claim in self._claims:
            claim.release()

    def look(self) -> None:
        """Take note of the results that have come since the last look."""
        new = {file.name for file in self.path.glob("*.pt")} - self._looked_at
        for name in new:
            # What is no result is no run's: a report names such files. What cannot be read now may be later.
            with contextlib.suppress(OSError):
                with contextlib.suppress(ValueError):
                    self._held.add(run_of(self.path / name))
                self._looked_at.add(name)

    def holds(self, identity: str) -> bool:
        """Whether the result of that run was there at the last look."""
        return identity in self._held

    def claim(self, identity: str) -> Claim | None:
        """Claim a run; None while another process has it.

        Raises:
            OSError: no claim can be written.
        """
        claims = self.path / ".claims"
        claims.mkdir(exist_ok=True)
        file = claims / identity
        lock = FileLock(file, blocking=False, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return None
        try:
            self._claims.append(Claim(file, lock))
        except OSError:
            lock.release()
            raise
        return self._claims[-1]

    def store(self, files: Mapping[str, bytes]) -> None:
        """Write a run's two files, each whole or not at all.

        Raises:
            OSError: they cannot be written, the disk being full, say; then none is there.
        """
        # The .pt comes last: where it is, the run is complete.
        names = sorted(files, key=lambda name: name.endswith(".pt"))
        write_together({self.path / name: files[name] for name in names})


def run_of(file: Path | IO[bytes]) -> str:
    """The identity of the run that a .pt file is the result of.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no result, or one without an identity.
    """
    try:
        args = opened(file, mmap=isinstance(file, Path))[5]
        return str(args["run"])
    except OSError:
        raise
    except Exception as error:  # A foreign or damaged pickle makes the unpickler raise nearly anything.
        raise ValueError(f"{file} is not the result of a run") from error
