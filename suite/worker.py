"""One run on a worker: ordered from a process beside it, its two files sent back as bytes."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Reschedule, Status, Worker, get_worker

from .cluster import DEATHS

ROOT = Path(__file__).resolve().parent.parent
"""The checkout that this worker uses."""


class Runner:
    """A process of suite/runner.py: starts when there is something to do, ends with this one or before."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def perform(self, order: dict[str, Any], goes_on: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Do a run, in a new process if the one there has imported other code than is asked for.

        Args:
            order: the arguments of suite.runner.perform but the last two.
            goes_on: called with each progress; the run is stopped when it says no.

        Returns:
            What suite.runner.perform does.

        Raises:
            EOFError, OSError: the process has died.
        """
        if self._process is not None and self._process.poll() is not None:
            self.end()  # It died of no run.
        is_new = self._process is None
        reply = self._answer(order, goes_on)
        if reply["status"] is None:
            self.end()
            if not is_new:
                reply = self._answer(order, goes_on)
        return reply

    def _answer(self, order: dict[str, Any], goes_on: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, "-m", "suite.runner"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe)
        orders, replies = self._process.stdin, self._process.stdout
        assert orders and replies
        pickle.dump(order, orders)
        orders.flush()
        while "status" not in (reply := pickle.load(replies)):
            if not goes_on(reply):
                self._process.terminate()
        return reply

    def end(self) -> int | None:
        """End the process, if there is one; its exit status, the negative of the signal it died of before."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin and process.stdout
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        return process.wait()


_RUNNER = Runner()

_ONE_AT_A_TIME = threading.Lock()
"""A run has the runner to itself, however many threads the worker has."""


def perform(
    argv: list[str], model: str, data_path: str, run: str, code: str, claim: tuple[str, str], topic: str
) -> dict[str, Any]:
    """Do a run; where its process dies of it, again, but not for ever.

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
        said: GEM's one-liner, or if the status is not 0 what went wrong.
        files: the content of its files, by their names.

    Raises:
        RuntimeError: the worker is not fit for it; the message is one line for the user.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    checkpoints = Path(_shared_folder(*claim) or os.path.dirname(worker.local_directory))

    def goes_on(progress: dict[str, Any]) -> bool:
        worker.log_event(topic, {"key": key, **progress})
        return _is_wanted(worker, key)

    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
        places = (os.path.join(ROOT, data_path), folder, str(checkpoints))
        order = {"argv": argv, "model": model, "code": code, "places": places}
        for _ in range(1 + DEATHS):
            if any(checkpoints.glob(f"*_{run}.checkpoint")):
                order["argv"] = [*argv, "--resume", "yes"]
            try:
                outcome = _RUNNER.perform(order, goes_on)
                break
            except (EOFError, OSError, pickle.UnpicklingError):
                status = _RUNNER.end()
                if not _is_wanted(worker, key):
                    raise Reschedule from None
                outcome = {"status": 1, "said": f"its process ended with status {status}, {1 + DEATHS} times"}
        if outcome["status"] is None:
            raise RuntimeError(
                f"{worker.address}: the checkout {ROOT} holds other code behind model/{model}.py; bring it "
                "to the same state"
            )
        if outcome.pop("stopped", False):
            raise Reschedule  # Unless the sweep is over, another worker goes on from the checkpoint.
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return {**outcome, "said": outcome["said"].removeprefix(os.path.join(folder, "")), "files": files}


def _is_wanted(worker: Worker, key: str) -> bool:
    """Whether somebody waits for a run, and the worker is not to end."""
    task = worker.state.tasks.get(key)
    executing = task is not None and task.state == "executing"
    return executing and worker.status in (Status.running, Status.paused)


def _shared_folder(claim: str, token: str) -> str | None:
    """The sweep's results folder, if this machine sees it too."""
    try:
        return str(Path(claim).parent.parent) if Path(claim).read_text() == token else None
    except (OSError, UnicodeDecodeError):
        return None
