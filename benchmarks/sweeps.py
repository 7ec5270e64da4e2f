"""What sweep.py costs and gains: its overhead a run, how it scales to two workers, the report over 300 runs.

make bench-sweep      the figures, and benchmarks/sweeps.csv
"""

from __future__ import annotations

import contextlib
import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import synthetic_results

import main as mer

HERE = Path(__file__).parent
ROOT = HERE.parent

QUICK = "--model online --data_file small_rotations.pt"
LASTING = (
    "--model meralg1 --data_file small_rotations.pt --memories 500 --replay_batch_size 10 "
    "--batches_per_example 10 --lr 0.03 --beta 0.03"
)
REPEATS = 3

STARTS = "sweep.py's seconds before the first run and after the last"
WHILE = "two of sweep.py's workers against one, while runs are on"
WHOLE = "the same with its start and end, 8 runs of 5 seconds"
BUSY = "of two workers, busy on average"
BARE = "two bare processes against one, without a sweep"


def lines(options: str, number: int, folder: str) -> list[str]:
    """As many runs, that differ in nothing but their seed."""
    return [f"{options} --threads 1 --seed {seed} --save_path {folder}" for seed in range(number)]


@dataclass(frozen=True)
class Swept:
    """A sweep, in seconds: how long it took, when each result came, and how long each run says it took."""

    seconds: float
    came: list[float]
    took: list[float]

    @property
    def late(self) -> list[float]:
        """On one worker: how much later than it had to each result came after the one before."""
        gaps = [then - now for now, then in zip(self.came, self.came[1:], strict=False)]
        return [gap - took for gap, took in zip(gaps, self.took[1:], strict=True)]

    @property
    def span(self) -> float:
        """From the first run's start to the last one's end."""
        return self.came[-1] - self.came[0] + self.took[0]

    @property
    def busy(self) -> float:
        """How many workers had a run, on average from the first run's start to the last one's end."""
        return sum(self.took) / self.span


def swept(options: str, number: int, jobs: int) -> Swept:
    """Have sweep.py do so many new runs."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        given = Path(folder, "lines")
        given.write_text("\n".join(lines(options, number, folder)))
        started, came, took = time.perf_counter(), [], []
        command = [sys.executable, str(ROOT / "sweep.py"), str(given), "--jobs", str(jobs)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True) as sweep:
            for line in sweep.stdout or ():
                came.append(time.perf_counter())
                took.append(float(line.rsplit("#", 1)[1]))
        seconds = time.perf_counter() - started
        if sweep.returncode:
            said.seek(0)
            raise SystemExit(f"sweeps.py: sweep.py ended with status {sweep.returncode}: {said.read()}")
    return Swept(seconds, came, took)


def pooled(options: str, number: int, jobs: int) -> float:
    """Seconds for the same runs in bare worker processes, with no sweep: what the machine itself can do."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(jobs) as pool:
        start = time.perf_counter()
        statuses = pool.map(quiet_run, lines(options, number, folder), chunksize=1)
        seconds = time.perf_counter() - start
    if any(statuses):
        raise SystemExit(f"sweeps.py: main.py ended with statuses {statuses}")
    return seconds


def quiet_run(line: str) -> int:
    """A run of main.py in this process; its exit status."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return mer.run(line.split())


def scaling(number: int = 8) -> dict[str, list[float]]:
    """What two workers gain over one with so many runs, each figure by what it is of."""
    figures: dict[str, list[float]] = {STARTS: [], WHILE: [], WHOLE: [], BUSY: [], BARE: []}
    for _ in range(REPEATS):
        one, two = swept(LASTING, number, 1), swept(LASTING, number, 2)
        figures[STARTS].append(two.seconds - two.span)
        figures[WHILE].append(one.span / two.span)
        figures[WHOLE].append(one.seconds / two.seconds)
        figures[BUSY].append(two.busy)
        figures[BARE].append(pooled(LASTING, number, 1) / pooled(LASTING, number, 2))
    return figures


def report() -> float:
    """Seconds of processor time that results/report.py takes over 300 runs: the paper's, five seeds."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic_results.write_paper(Path(folder), 5)
        command = [sys.executable, str(ROOT / "results" / "report.py"), folder, "--out", f"{folder}/report"]
        start = os.times()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system


def main() -> None:
    """Print the figures and write them to sweeps.csv."""
    rows = [["what", "median", "least", "most", "target"]]

    def add(what: str, figures: list[float], target: str) -> None:
        rows.append(
            [what, *(f"{figure:.2f}" for figure in (median(figures), min(figures), max(figures))), target]
        )
        print("{:60} {:>8} {:>8} {:>8}   {}".format(*rows[-1]), flush=True)

    add("sweep.py's own seconds a run", swept(QUICK, 22, 1).late, "< 0.5")
    for what, figures in scaling().items():
        add(what, figures, ">= 1.8" if what in (WHILE, BUSY) else "")
    add("report.py's processor seconds over 300 runs", [report() for _ in range(REPEATS)], "< 20")
    with open(HERE / "sweeps.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
