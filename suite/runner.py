"""A process that does runs, one after another and nothing beside them: its random generators are theirs.

A Dask worker's own threads draw from Python's global generator, whenever they like; a run in that process
would have another result each time.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from tqdm import tqdm

import main
from metrics.identity import code_version


class Reporter(tqdm):
    """A progress bar that is shown elsewhere: about once a second it reports what there is to show."""

    monitor_interval = 0

    def __init__(self, *args: Any, report: Callable[..., None], **options: Any) -> None:
        self._report, self._next = report, 0.0
        super().__init__(*args, **{**options, "disable": False, "mininterval": 1, "miniters": 1})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Report, unless that was done just now."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            self._report(n=self.n, total=self.total, postfix=self.postfix or "")


def serve(orders: BinaryIO, replies: BinaryIO) -> None:
    """Do the runs that are ordered; ends the process when nobody can order any more, in a run too.

    An order and each reply is a pickle. The replies are those of `perform`, before it any number of
    dictionaries with the run's progress: n, total and postfix, as a tqdm has them. SIGTERM stops the run
    that is on.
    """
    ordered: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A terminal's Ctrl-C is for those who order.

    def take() -> None:
        try:
            while True:
                ordered.put(pickle.load(orders))
        except EOFError:
            os._exit(0)

    def reply(**what: Any) -> None:
        pickle.dump(what, replies)
        replies.flush()

    threading.Thread(target=take, daemon=True).start()
    while True:
        order = ordered.get()
        stop.clear()
        reply(**perform(**order, stop=stop, report=reply))


def perform(
    argv: list[str],
    model: str,
    code: str,
    places: tuple[str, str, str],
    stop: threading.Event,
    report: Callable[..., None],
) -> dict[str, Any]:
    """Do a run.

    Args:
        argv: its command line, after main.py.
        model: its learner.
        code: `code_version` of its learner where the sweep is.
        places: the folders of data, results and checkpoints.
        stop: set it to have the run end.
        report: what to tell the run's progress.

    Returns:
        status: main.py's exit status, or None where the code here is not that code.
        said: GEM's one-liner, or if the status is not 0 what main.py said last.
        stopped: whether the run ended early because it was to.
    """
    if code_version(model) != code:
        return {"status": None}
    bar = functools.partial(Reporter, report=report)
    status, out, err = _run(argv, main.Place(*places, bar, stop))
    said = (err if status else out).strip().splitlines() or [f"exit status {status}"]
    return {"status": status, "said": said[-1], "stopped": status != 0 and stop.is_set()}


def _run(argv: list[str], place: main.Place) -> tuple[int, str, str]:
    """main.py's exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main.run(argv, place)
        except SystemExit as error:
            status = int(error.code or 0)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = traceback.format_exception_only(error)[-1].strip()
            print(f"{what} ({where.filename}, line {where.lineno})", file=err)
            status = 1
    return status, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a learner's C code prints is no answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)
