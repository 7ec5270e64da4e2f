"""What the fuzz tests share: the worker, how many cases there are, and what a run may leave behind."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fuzz_worker import Outcome, serve
from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("FUZZ_CASES", 320))
"""Of all tests together. Few are the same ones every time; a number of your own is drawn anew each time."""
SECONDS = 120
"""The longest that a case may take; almost all take a hundredth of one."""
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the cases' files lie: in memory, where there is such a place, whose fsync waits for no disk."""
NOTES = re.compile(
    r".* is not there: (built from mnist\.npz in \d+\.\d s|starting at the beginning)"
    r"|.*: going on after example \d+"
    r"|no more checkpoints: .*"
    r"|using the torch engine: .*"
)
"""What main.py may say of a run that goes on."""


def cases(share: float) -> settings:
    """A test's settings, by its share of all cases."""
    return settings(
        max_examples=round(CASES * share),
        derandomize="FUZZ_CASES" not in os.environ,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Worker:
    """A process that takes cases, and another one where that died or had to be killed.

    Attributes:
        counts: outcomes so far, by test and by how they ended.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(self, folder: Path, function: str, *arguments: object) -> Outcome:
        """How a function of `fuzz_worker` ends in a process whose working folder is `folder`."""
        if self._process is None:
            self._start()
        self._cases.send((str(folder), function, *arguments))
        try:
            if self._cases.poll(SECONDS):
                return self._cases.recv()
            said = f"no end after {SECONDS} s"
        except (EOFError, ConnectionResetError):
            self._process.join()
            said = f"the process died: exit code {self._process.exitcode}"
        err = Path(self._said, "err").read_text(errors="replace")
        self.close()
        raise AssertionError(f"{said}\n{err}")

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            shutil.rmtree(self._said)

    def _start(self) -> None:
        # A fork of the tests' own process would inherit its threads' locks.
        context = multiprocessing.get_context("spawn")
        self._said = tempfile.mkdtemp(prefix="fuzz", dir=SCRATCH)
        self._cases, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._said), daemon=True)
        self._process.start()
        theirs.close()


def files(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if not path.is_dir()}


def case_folder(prepare: Callable[[Path], object]) -> tempfile.TemporaryDirectory:
    """A folder for one case, prepared by what is given."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz", dir=SCRATCH)
    prepare(Path(folder.name))
    return folder


def judged(outcome: Outcome, before: set[Path], after: set[Path]) -> str:
    """How a run of main.py ended, where that is one of the ways in which it may.

    Success is two result files and one line; anything else one line on stderr, behind whatever notes, status
    2, or 1 where the loss was not finite, and no file but perhaps a checkpoint.
    """
    assert not outcome.escaped, outcome.escaped
    *notes, last = outcome.err.splitlines() or [""]
    new = after - before
    kept = {path for path in new if path.suffix == ".checkpoint" and not path.name.startswith(".")}
    if outcome.status == 0 and outcome.out.startswith("usage:"):
        assert not new
        return "help"
    if outcome.status == 0:
        assert outcome.out.count("\n") == 1, outcome.out
        assert all(NOTES.fullmatch(line) for line in outcome.err.splitlines()), outcome.err
        assert sorted(path.suffix for path in new) == [".pt", ".txt"] and len({p.stem for p in new}) == 1, new
        return "done"
    assert outcome.status in (1, 2), outcome
    assert not outcome.out
    assert re.fullmatch(r"main\.py: .+", last) and all(NOTES.fullmatch(note) for note in notes), outcome.err
    assert outcome.err.endswith("\n")
    assert new == kept, new
    return "diverged" if outcome.status == 1 else "refused"
