"""One run on a worker: main.py's own, in the worker's process, its two files sent back as bytes."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Reschedule, Status, Worker, get_worker
from tqdm import tqdm

import main
from metrics.identity import ROOT, code_version

_ONE_AT_A_TIME = threading.Lock()
"""A run has its process's random generators to itself, however many threads the worker has."""


def perform(
    argv: list[str], model: str, data_path: str, run: str, code: str, claim: tuple[str, str], topic: str
) -> dict[str, Any]:
    """Do a run.

    Args:
        argv: its command line, after main.py.
        model: its learner.
        data_path: where its data are, seen from the checkout.
        run: its identity.
        code: `code_version` of its learner where the sweep is.
        claim: path and content of its claim, where the sweep is.
        topic: the Dask topic under which to report its progress.

    Returns:
        status: main.py's exit status.
        said: GEM's one-liner, or if the status is not 0 what main.py said last.
        files: the content of its files, by their names.

    Raises:
        RuntimeError: the worker is not fit for it; the message is one line for the user.
    """
    worker, stop = get_worker(), threading.Event()
    if code_version(model) != code:
        raise RuntimeError(
            f"{worker.address}: the checkout {ROOT} holds other code behind model/{model}.py, or did when "
            "the worker first ran; bring it to the same state and start the worker again"
        )
    report = functools.partial(_report, worker, str(worker.get_current_task()), stop, topic)
    checkpoints = Path(_shared_folder(*claim) or os.path.dirname(worker.local_directory))
    if any(checkpoints.glob(f"*_{run}.checkpoint")):
        argv = [*argv, "--resume", "yes"]
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
        bar = functools.partial(Reporter, report=report)
        status, out, err = _run(
            argv, main.Place(os.path.join(ROOT, data_path), folder, str(checkpoints), bar, stop)
        )
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    if stop.is_set():
        raise Reschedule  # Unless the sweep is over, another worker goes on from the checkpoint.
    said = (err if status else out).strip().splitlines() or [f"exit status {status}"]
    return {"status": status, "said": said[-1].removeprefix(os.path.join(folder, "")), "files": files}


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


def _report(worker: Worker, key: str, stop: threading.Event, topic: str, **progress: int | str) -> None:
    """Tell the sweep how far a run is; stop the run if nobody waits for it or the worker is to end."""
    task = worker.state.tasks.get(key)
    if task is None or task.state != "executing" or worker.status not in (Status.running, Status.paused):
        stop.set()
    worker.log_event(topic, {"key": key, **progress})


def _shared_folder(claim: str, token: str) -> str | None:
    """The sweep's results folder, if this machine sees it too."""
    try:
        return str(Path(claim).parent.parent) if Path(claim).read_text() == token else None
    except (OSError, UnicodeDecodeError):
        return None


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
