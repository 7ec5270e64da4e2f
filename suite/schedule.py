"""Give runs to a cluster, one a worker, and put their results in place as they come back."""

from __future__ import annotations

import io
import os
import queue
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker

from metrics.identity import ROOT, code_version

from . import SweepError
from .bootstrap import performer
from .display import Display
from .folder import Claim, Folder, run_of
from .lines import Run, given

TICK = 0.5
"""Seconds between two looks at what other sweeps and the disk do, when nothing else happens."""


@dataclass
class Job:
    """A run that a worker has."""

    run: Run
    claim: Claim
    future: Future


@dataclass
class Unstored:
    """A result that could not be written yet, and why."""

    job: Job
    outcome: dict[str, Any]
    error: OSError


class Sweep:
    """Runs that wait, that a worker has, and that are done but not yet stored."""

    def __init__(
        self,
        client: Client,
        folders: Mapping[str, Folder],
        display: Display,
        checkout: str | None = None,
        patience: float = 600,
    ) -> None:
        """
        Args:
            client: the cluster.
            folders: the results folder for each save_path.
            display: what shows how it goes.
            checkout: where the checkout is on the workers; by default where it is here, or where they run.
            patience: seconds to wait for a results folder that cannot be written to.
        """
        self._client, self._folders, self._display = client, folders, display
        self._perform = performer([checkout] if checkout else [str(ROOT), "."])
        self._patience = patience
        self._waiting: list[Run] = []
        self._jobs: dict[str, Job] = {}
        self._unstored: list[Unstored] = []
        self._failed: list[Run] = []
        self._blocked: float | None = None
        # What other threads have to tell: the key of a job, then its progress, outcome or exception.
        self._news: queue.Queue[tuple[str, dict[str, Any] | BaseException]] = queue.Queue()
        self._topic = f"mer-{uuid.uuid4().hex}"
        client.subscribe_topic(self._topic, lambda event: self._news.put((event[1]["key"], event[1])))

    def perform(self, runs: Sequence[Run]) -> list[Run]:
        """Do these runs, but for those that another sweep does meanwhile; those without a result at the end.

        Raises:
            SweepError: a worker is not fit for its run, or the cluster is gone.
        """
        self._waiting = list(runs)
        try:
            while self._waiting or self._jobs or self._unstored:
                self._start()
                self._hear()
                self._store_again()
                if self._blocked and time.monotonic() - self._blocked > self._patience and not self._jobs:
                    self._give_up()
        finally:
            self._lose_unstored()
        return self._failed

    def _start(self) -> None:
        """Give every free worker a run that neither is done nor another sweep has."""
        workers = self._workers()
        for folder in self._folders.values():
            folder.look()
        for run in list(self._waiting):
            if self._unstored or len(self._jobs) >= max(workers, 1):
                break
            folder = self._folders[run.args.save_path]
            try:
                claim = None if folder.holds(run.identity) else folder.claim(run.identity)
            except OSError as error:
                self._block(run, error)
                break
            if claim:
                self._blocked = None
                folder.look()  # It may have been stored between the last look and the claim.
            if folder.holds(run.identity):
                self._waiting.remove(run)
                self._display.found()
                if claim:
                    claim.release()
            elif claim:
                self._waiting.remove(run)
                self._submit(run, claim)
        self._display.tick(self._waiting, workers)

    def _workers(self) -> int:
        try:
            return len(self._client.nthreads())
        except (OSError, RuntimeError) as error:
            raise SweepError(f"the scheduler is gone: {error}; finished runs are stored") from error

    def _submit(self, run: Run, claim: Claim) -> None:
        order = {
            "argv": [*run.argv, *([] if given(run.argv, "--threads") else ["--threads", "1"])],
            "model": run.args.model,
            "data_path": run.data_path,
            "run": run.identity,
            "code": code_version(run.args.model),
            "claim": (str(claim.file.resolve()), claim.token),
            "topic": self._topic,
        }
        key = f"{run.args.model}-{uuid.uuid4().hex}"
        future = self._client.submit(self._perform, order, key=key)
        self._jobs[key] = Job(run, claim, future)
        self._display.started(run)
        future.add_done_callback(self._done)

    def _done(self, future: Future) -> None:
        """Called in a thread of Dask's."""
        try:
            news = future.result()
        except (Exception, CancelledError) as error:
            news = error
        self._news.put((str(future.key), news))

    def _hear(self) -> None:
        """Take in what happens in a tick, or until a job ends."""
        end, errors = time.monotonic() + TICK, []
        while True:
            try:
                key, what = self._news.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                break
            job = self._jobs.get(key)
            if job and isinstance(what, dict) and "files" not in what:
                self._display.progress(job.run, what)
            elif job:
                end = 0.0
                try:
                    self._ended(self._jobs.pop(key), what)
                except SweepError as error:
                    errors.append(error)  # Others may have ended well at the same time.
        if errors:
            raise errors[0]

    def _ended(self, job: Job, outcome: dict[str, Any] | BaseException) -> None:
        if isinstance(outcome, KilledWorker):
            self._fail(job, f"its worker died, {outcome.allowed_failures + 1} times")
        elif isinstance(outcome, CancelledError):
            raise SweepError("the scheduler is gone; finished runs are stored")
        elif isinstance(outcome, BaseException):
            raise SweepError(f"a worker is not fit for its run: {outcome}") from outcome
        elif outcome["status"]:
            self._fail(job, outcome["said"])
        else:
            self._check(job.run, outcome["files"])
            self._store(job, outcome)

    def _check(self, run: Run, files: Mapping[str, bytes]) -> None:
        result = next(content for name, content in files.items() if name.endswith(".pt"))
        if run_of(io.BytesIO(result)) != run.identity:
            raise SweepError(
                f"a worker has another {run.args.data_file} than {run.args.data_path} here: {run}"
            )

    def _store(self, job: Job, outcome: dict[str, Any]) -> None:
        try:
            self._folders[job.run.args.save_path].store(outcome["files"])
        except OSError as error:
            self._unstored.append(Unstored(job, outcome, error))
            self._block(job.run, error)
            return
        job.claim.release()
        self._blocked = None
        self._display.stored(job.run, os.path.join(job.run.args.save_path, outcome["said"]))

    def _store_again(self) -> None:
        unstored, self._unstored = self._unstored, []
        for result in unstored:
            self._store(result.job, result.outcome)

    def _fail(self, job: Job, why: str) -> None:
        job.claim.release()
        self._failed.append(job.run)
        self._display.failed(job.run, why)

    def _block(self, run: Run, error: OSError) -> None:
        if self._blocked is None:
            self._blocked = time.monotonic()
            self._display.say(
                f"--save_path {run.args.save_path}: cannot write there: {error.strerror}; starting "
                f"nothing and keeping finished runs in memory, for {self._patience:g} s at most"
            )

    def _lose_unstored(self) -> None:
        for unstored in self._unstored:
            why = f"not stored: {unstored.error.strerror}: {unstored.outcome['said']}"
            self._fail(unstored.job, why)
        self._unstored = []

    def _give_up(self) -> None:
        self._lose_unstored()
        self._display.say(f"{len(self._waiting)} runs were not started")
        self._failed += self._waiting
        self._waiting = []
