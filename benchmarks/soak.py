"""A long stream through each replay learner: does memory stay flat, and does an example always cost the same?

make soak             two million examples each, the table, and benchmarks/soak.csv

Other processes make even CPU time waver, by caches and hardware threads that they share. So the stream is
interrupted every 200 examples for a fixed piece of work, and what counts is the stream's CPU time in units of
that work's, in the median over a quarter's slices.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

import main as mer
from model.options import LEARNERS

HERE = Path(__file__).parent
REPLAYING = [name for name in LEARNERS if name.startswith(("eralg", "meralg"))]

EPOCH = 1500
"""Training examples of small_rotations.pt, all five tasks together."""

OPTIONS = (
    "--data_file small_rotations.pt --n_hiddens 20 --memories 200 --replay_batch_size 5 --lr 0.01 --beta 0.1 "
    "--gamma 0.3"
)
BATCH = 10
EVALUATIONS = 10
CHECKPOINTS = 40
WARM_UP = 0.1
"""The part of a stream after which memory has to be flat: the reservoir is full, checkpoints were written."""

SLICES = 400
BETWEEN = 200
"""Examples between two pieces of the fixed work."""

MEGABYTE = 2**20


@dataclass(frozen=True)
class Slice:
    """A part of the stream.

    Attributes:
        examples: how many it has.
        stream, fixed: CPU time of the examples and of the fixed work between them, in seconds.
        resident: memory resident at its end, in bytes.
    """

    examples: int
    stream: float
    fixed: float
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
        """How much more an example costs in the last quarter than in the first, in units of fixed work."""
        first, last = (median(piece.stream / piece.fixed for piece in q) for q in self._quarters)
        return last / first - 1

    @property
    def _quarters(self) -> tuple[list[Slice], list[Slice]]:
        quarter = len(self.slices) // 4
        return self.slices[:quarter], self.slices[-quarter:]


class Meter(tqdm):
    """A progress bar that shows nothing and measures."""

    monitor_interval = 0

    def __init__(self, *args: Any, total: int, slices: int, **options: Any) -> None:
        super().__init__(*args, **{**options, "total": total, "disable": True})
        self.slices: list[Slice] = []
        self._length = max(1, total // slices // BETWEEN) * BETWEEN
        self._seen, self._stream, self._fixed = 0, 0.0, 0.0
        self._work, self._since = FixedWork(), time.process_time()

    def update(self, n: float | None = 1) -> bool | None:
        """Count examples, and measure now and then."""
        self._seen += int(n or 0)
        if self._seen % BETWEEN == 0:
            paused = time.process_time()
            self._stream += paused - self._since
            self._work.do()
            self._since = time.process_time()
            self._fixed += self._since - paused
            if self._seen == self._length:
                self.slices.append(Slice(self._seen, self._stream, self._fixed, resident()))
                self._seen, self._stream, self._fixed = 0, 0.0, 0.0
        return None


class FixedWork:
    """Work of a replay learner's kind, a millisecond or less: shuffles, and arithmetic on a vector."""

    def __init__(self) -> None:
        self._random, self._order = random.Random(0), list(range(200))
        self._weights = torch.zeros(25_000)

    def do(self) -> None:
        """Do it once."""
        for _ in range(5):
            self._random.shuffle(self._order)
            self._weights.clone().sub_(self._weights).mul_(0.5)


def resident() -> int:
    """This process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(learner: str, examples: int, slices: int = SLICES) -> Soaked:
    """Run main.py's own loop in this process on about so many examples, epochs of a small set."""
    n_epochs = -(-examples // EPOCH)
    total = n_epochs * EPOCH
    meters: list[Meter] = []

    def bar(*args: Any, **options: Any) -> Meter:
        meters.append(Meter(*args, slices=slices, **options))
        return meters[-1]

    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        options = (
            f"--model {learner} {OPTIONS} --n_epochs {n_epochs} --threads 1 --save_path {folder} "
            f"--batch_size {BATCH} --log_every {total // BATCH // EVALUATIONS} "
            f"--checkpoint_every {total // CHECKPOINTS}"
        )
        with contextlib.redirect_stdout(nowhere):
            status = mer.run(options.split(), mer.Place(bar=bar))
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
