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


def lines(options: str, number: int, folder: str) -> list[str]:
    """As many runs, that differ in nothing but their seed."""
    return [f"{options} --threads 1 --seed {seed} --save_path {folder}" for seed in range(number)]


def swept(options: str, number: int, jobs: int) -> tuple[float, float]:
    """Seconds that sweep.py takes for so many new runs, and those that the runs themselves say they took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(ROOT / "sweep.py"), "--jobs", str(jobs)],
            input="\n".join(lines(options, number, folder)),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"sweeps.py: sweep.py ended with status {done.returncode}: {done.stderr}")
    return seconds, sum(float(line.rsplit("#", 1)[1]) for line in done.stdout.splitlines())


def overhead(few: int = 2, many: int = 22) -> float:
    """Seconds of sweep.py's own a run, one worker: by what more runs take longer, less what they say."""
    few_took, few_ran = swept(QUICK, few, 1)
    many_took, many_ran = swept(QUICK, many, 1)
    return ((many_took - many_ran) - (few_took - few_ran)) / (many - few)


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


def scaling(number: int = 8) -> tuple[list[float], list[float]]:
    """How much sooner two workers are done than one, sweep.py's and bare processes, which take turns."""
    sweep, bare = [], []
    for _ in range(REPEATS):
        sweep.append(swept(LASTING, number, 1)[0] / swept(LASTING, number, 2)[0])
        bare.append(pooled(LASTING, number, 1) / pooled(LASTING, number, 2))
    return sweep, bare


def report() -> float:
    """Seconds that results/report.py takes over 300 runs: the paper's, five seeds."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic_results.write_paper(Path(folder), 5)
        command = [sys.executable, str(ROOT / "results" / "report.py"), folder, "--out", f"{folder}/report"]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    """Print the figures and write them to sweeps.csv."""
    rows = [["what", "median", "of", "target"]]

    def add(what: str, figures: list[float], target: str) -> None:
        rows.append([what, f"{median(figures):.2f}", " ".join(f"{f:.2f}" for f in sorted(figures)), target])
        print(f"{what:60} {rows[-1][1]:>8}   ({rows[-1][2]})   {target}", flush=True)

    add("sweep.py's own seconds a run", [overhead() for _ in range(REPEATS)], "< 0.5")
    sweep, bare = scaling()
    add("two of sweep.py's workers against one", sweep, ">= 1.8")
    add("two bare processes against one, without a sweep", bare, "")
    add("seconds of report.py over 300 runs", [report() for _ in range(REPEATS)], "< 20")
    with open(HERE / "sweeps.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
