"""A long stream through each replay learner: does memory stay flat, and does an example always cost the same?

make soak             two million examples each, the table, and benchmarks/soak.csv

Other processes make even CPU time waver, by caches and hardware threads that they share. So the stream is
interrupted every 200 examples: a twin of the learner, which has seen a short stream, learns from ten examples
and forgets them. What counts is the stream's CPU time in units of the twin's, in the median over a quarter's
slices.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

import data
import main as mer
from model.options import LEARNERS, parse

HERE = Path(__file__).parent
REPLAYING = [name for name in LEARNERS if name.startswith(("eralg", "meralg"))]

EPOCH = 1500
"""Training examples of small_rotations.pt, all five tasks together."""

DATA = "small_rotations.pt"
OPTIONS = "--n_hiddens 20 --memories 200 --replay_batch_size 5 --lr 0.01 --beta 0.1 --gamma 0.3 --threads 1"
BATCH = 10
EVALUATIONS = 10
CHECKPOINTS = 40
WARM_UP = 0.1
"""The part of a stream after which memory has to be flat: the reservoir is full, checkpoints were written."""

SLICES = 400
BETWEEN = 200
"""Examples between two turns of the twin."""

MEGABYTE = 2**20


@dataclass(frozen=True)
class Slice:
    """A part of the stream.

    Attributes:
        examples: how many it has.
        stream, twin: CPU time of the examples and of the twin's between them, in seconds.
        resident: memory resident at its end, in bytes.
    """

    examples: int
    stream: float
    twin: float
    resident: int


@dataclass(frozen=True)
class Soaked:
    """How a stream went."""

    learner: str
    slices: list[Slice]

    @property
    def examples(self) -> int:
        return sum(piece.examples for piece in self.slices)

    @property
    def memory(self) -> tuple[int, int]:
        """Resident bytes after the warm-up and at the end."""
        return self.slices[round(len(self.slices) * WARM_UP)].resident, self.slices[-1].resident

    @property
    def microseconds(self) -> tuple[float, float]:
        """CPU time of an example in the first and in the last quarter."""
        first, last = (median(piece.stream / piece.examples for piece in q) for q in self._quarters)
        return first * 1e6, last * 1e6

    @property
    def slowdown(self) -> float:
        """How much more an example costs in the last quarter than in the first, in units of the twin's."""
        first, last = (median(piece.stream / piece.twin for piece in q) for q in self._quarters)
        return last / first - 1

    @property
    def _quarters(self) -> tuple[list[Slice], list[Slice]]:
        quarter = len(self.slices) // 4
        return self.slices[:quarter], self.slices[-quarter:]


class Meter(tqdm):
    """A progress bar that shows nothing and measures."""

    monitor_interval = 0

    def __init__(self, *args: Any, total: int, twin: Twin, slices: int, **options: Any) -> None:
        super().__init__(*args, **{**options, "total": total, "disable": True})
        self.slices: list[Slice] = []
        self._length = max(1, total // slices // BETWEEN) * BETWEEN
        self._seen, self._stream, self._twins = 0, 0.0, 0.0
        self._twin, self._since = twin, time.process_time()

    def update(self, n: float | None = 1) -> bool | None:
        """Count examples, and measure now and then."""
        self._seen += int(n or 0)
        if self._seen % BETWEEN == 0:
            paused = time.process_time()
            self._stream += paused - self._since
            self._twin.learn()
            self._since = time.process_time()
            self._twins += self._since - paused
            if self._seen == self._length:
                self.slices.append(Slice(self._seen, self._stream, self._twins, resident()))
                self._seen, self._stream, self._twins = 0, 0.0, 0.0
        return None


class Twin:
    """A learner of the same kind that stays where it was when its memory had filled."""

    def __init__(self, options: list[str]) -> None:
        args, tasks = parse(options), data.load("data/", DATA)
        torch.manual_seed(0)
        self._net = importlib.import_module(f"model.{args.model}").Net(
            tasks.n_inputs, tasks.n_outputs, len(tasks), args
        )
        self._x, self._y = tasks.train[0].x(slice(None)), tasks.train[0].y
        self._net.observe(self._x, 0, self._y)
        self._weights, self._age = self._net.weights.snapshot(), self._net.memory.age

    def learn(self) -> None:
        """Learn from a batch, and go back."""
        self._net.observe(self._x[:BATCH], 0, self._y[:BATCH])
        self._net.weights.flat.copy_(self._weights)
        self._net.memory.age = self._age


def resident() -> int:
    """This process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(learner: str, examples: int, slices: int = SLICES) -> Soaked:
    """Run main.py's own loop in this process on about so many examples, epochs of a small set."""
    n_epochs = -(-examples // EPOCH)
    total = n_epochs * EPOCH
    meters: list[Meter] = []

    options = f"--model {learner} --data_file {DATA} --batch_size {BATCH} {OPTIONS}".split()
    twin = Twin(options)

    def bar(*args: Any, **options: Any) -> Meter:
        meters.append(Meter(*args, twin=twin, slices=slices, **options))
        return meters[-1]

    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        often = f"--log_every {total // BATCH // EVALUATIONS} --checkpoint_every {total // CHECKPOINTS}"
        stream = f"--n_epochs {n_epochs} --save_path {folder} {often}".split()
        with contextlib.redirect_stdout(nowhere):
            status = mer.run([*options, *stream], mer.Place(bar=bar))
    if status:
        raise SystemExit(f"soak.py: {learner}: main.py ended with status {status}")
    return Soaked(learner, meters[0].slices)


def soaks(learners: list[str], examples: int) -> Iterator[Soaked]:
    """Each learner in a process of its own, one after another, so that none has another's memory."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for learner in learners:
            yield pool.apply(soak, (learner, examples))


def main() -> None:
    """Print the table and write it to soak.csv."""
    parser = argparse.ArgumentParser(description="A long stream through each replay learner.")
    parser.add_argument("learners", nargs="*", default=REPLAYING, help=f"default: {' '.join(REPLAYING)}")
    parser.add_argument("--examples", type=int, default=2_000_000, help="default: 2000000")
    options = parser.parse_args()
    columns = ["learner", "examples", "MB warm", "MB end", "us first", "us last", "change"]
    print(" ".join(f"{column:>12}" for column in columns))
    rows = []
    for soaked in soaks(options.learners, options.examples):
        memory = [f"{size / MEGABYTE:.1f}" for size in soaked.memory]
        speed = [*(f"{time:.1f}" for time in soaked.microseconds), f"{soaked.slowdown:+.1%}"]
        rows.append([soaked.learner, str(soaked.examples), *memory, *speed])
        print(" ".join(f"{cell:>12}" for cell in rows[-1]), flush=True)
    with open(HERE / "soak.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


if __name__ == "__main__":
    main()
