"""What a sweep shows on stderr while it works: bars on a terminal, else one line a run."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tqdm import tqdm

from model.options import printable

from .lines import Run

BARS = 16
"""Runs that are shown at a time."""


class Display:
    """Counts of runs done, running and failed with the time left, and how far each run is that runs."""

    def __init__(self, total: int, done: int) -> None:
        """`total` runs are asked for; the results of `done` were there before."""
        self._terminal = sys.stderr.isatty()
        self._total, self._done, self._failed = total, done, 0
        self._running: dict[Run, Progress] = {}
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._left, self._workers = "time left unknown", 1
        layout = "|{bar}| {elapsed}{postfix}"
        self._all = tqdm(total=total, initial=done, disable=not self._terminal, bar_format=layout)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        for progress in self._running.values():
            progress.close()
        self._all.close()

    def say(self, line: str) -> None:
        """A line for the user."""
        tqdm.write(f"sweep.py: {line}", file=sys.stderr)

    def started(self, run: Run) -> None:
        """A run was given to the cluster."""
        self._running[run] = Progress(run, time.monotonic())

    def progress(self, run: Run, event: dict[str, Any]) -> None:
        """A run's report of itself: n of total examples, and in postfix what main.py's bar says besides."""
        progress = self._running[run]
        progress.part = event["n"] / event["total"]
        if self._terminal and (progress.bar or sum(p.bar is not None for p in self._running.values()) < BARS):
            progress.show(event["n"], event["total"], event["postfix"])

    def stored(self, run: Run, one_liner: str) -> None:
        """A run's result is in place; `one_liner` is GEM's, path first."""
        seconds = self._end(run)
        self._seconds[run.args.model].append(seconds)
        self._done += 1
        self._all.update()
        tqdm.write(printable(one_liner), file=sys.stdout)
        sys.stdout.flush()
        if not self._terminal:
            self.say(f"{run.name}: {one_liner.split(' # ')[1]} in {seconds:.0f} s; {self._counts()}")

    def found(self) -> None:
        """Another sweep stored a run's result."""
        self._done += 1
        self._all.update()

    def failed(self, run: Run, why: str) -> None:
        """A run failed, or its result cannot be stored."""
        self._end(run)
        self._failed += 1
        self.say(f"failed: {run}: {why}")

    def tick(self, waiting: Iterable[Run], workers: int) -> None:
        """Bring the counts up to date; `waiting` runs are still to be given to the cluster."""
        if not workers and self._workers:
            self.say("no worker at the moment: waiting for the cluster to start one")
        self._workers = workers
        left = self._estimate(waiting)
        if left is not None and workers:
            self._left = f"{tqdm.format_interval(left / workers)} left"
        self._all.set_postfix_str(f"{workers} workers; {self._counts()}")

    def _counts(self) -> str:
        done = f"{self._done} of {self._total} done"
        return f"{done}, {len(self._running)} running, {self._failed} failed, {self._left}"

    def _end(self, run: Run) -> float:
        progress = self._running.pop(run)
        progress.close()
        return time.monotonic() - progress.since

    def _estimate(self, waiting: Iterable[Run]) -> float | None:
        """Seconds of work left: a run is taken to need what its learner's runs need, else what any needs."""
        seconds = {model: fmean(known) for model, known in self._seconds.items()}
        for progress in self._running.values():
            if (whole := progress.whole()) is not None:
                seconds.setdefault(progress.run.args.model, whole)
        if not seconds:
            return None
        usual = fmean(seconds.values())
        left = sum(seconds.get(run.args.model, usual) for run in waiting)
        for progress in self._running.values():
            whole = progress.whole() or seconds.get(progress.run.args.model, usual)
            left += max(0.0, whole - (time.monotonic() - progress.since))
        return left


@dataclass
class Progress:
    """A run that is under way: since when, what part of it is done, and its bar if it has one."""

    run: Run
    since: float
    part: float = 0.0
    bar: tqdm | None = None

    def whole(self) -> float | None:
        """Seconds that it will have taken, by what it has come to; None in its first twentieth."""
        return (time.monotonic() - self.since) / self.part if self.part > 0.05 else None

    def show(self, n: int, total: int, postfix: str) -> None:
        """Bring its bar up to date."""
        if self.bar is None:
            self.bar = tqdm(total=total, desc=self.run.name, unit=" examples", leave=False)
        self.bar.set_postfix_str(postfix, refresh=False)
        self.bar.update(n - self.bar.n)

    def close(self) -> None:
        """Take its bar away."""
        if self.bar is not None:
            self.bar.close()
