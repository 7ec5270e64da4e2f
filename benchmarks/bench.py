"""How fast the native engine is: each row measured side by side with what it is compared to, in one process.

make bench            the table, and benchmarks/table.csv
"""

from __future__ import annotations

import csv
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cases
import l2
import torch

import data
from model.engine import NativeEngine

HERE = Path(__file__).parent
Thunk = Callable[[], object]
TURN = 0.2
"""Seconds that a turn takes, or one call of the reference where that takes longer: long enough that threads
of PyTorch or JAX, which spin for some milliseconds after a call, disturb little of our turn that follows."""


@dataclass
class Row:
    """One line of the table: medians in microseconds, and how many times the reference takes of ours."""

    what: str
    against: str
    ours: float
    reference: float
    target: str

    @property
    def ratio(self) -> float:
        return self.reference / self.ours


def side_by_side(ours: tuple[Thunk, int], reference: tuple[Thunk, int], repeats: int) -> tuple[float, float]:
    """Median microseconds of each, a unit being one of the pieces of work that a call makes.

    The two take turns, so that whatever else the machine does falls on both: turns of many calls, so that
    what the other left in the caches does not count, each about as long as the other's.
    """

    def timed(thunk: Thunk, times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            thunk()
        return (time.perf_counter() - start) / times

    (quick, quick_units), (slow, slow_units) = ours, reference
    quick(), slow()
    once = timed(slow, 1)
    slow_times = max(1, round(TURN / once))
    quick_times = max(1, round(slow_times * once / max(timed(quick, 3), 1e-7)))
    pairs = [(timed(quick, quick_times), timed(slow, slow_times)) for _ in range(repeats)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return a / quick_units * 1e6, b / slow_units * 1e6


def steps(tasks: data.DataSet) -> list[Row]:
    """One SGD step against PyTorch, against JAX, and against the memory it must touch."""
    native, torch_engine = cases.sgd_steps(tasks, "native"), cases.sgd_steps(tasks, "torch")
    what = "one SGD step, batch of one, MNIST rows"
    rows = [Row(what, "the torch engine", *side_by_side(native, torch_engine, 15), ">= 120")]
    plain = cases.plain_steps(tasks)
    rows.append(Row(what, "PyTorch's modules and torch.optim.SGD", *side_by_side(native, plain, 15), "-"))
    try:
        import jax_step
    except ImportError:
        print("JAX is not installed (benchmarks/requirements.txt): its row is left out", file=sys.stderr)
    else:
        scan = jax_step.sgd_steps(*cases.examples(tasks, 0, 0, 500))
        rows.append(Row(what, "a jitted JAX lax.scan", *side_by_side(native, scan, 15), ">= 8"))
    seconds = l2.step_seconds(cases.examples(tasks, 0, 0, 500)[0], [784, 100, 100, 10], *l2.bandwidths())
    rows.append(Row(what, "its bytes through L2", rows[0].ours, seconds * 1e6, ">= 0.5"))
    return rows


def draws() -> Row:
    """A draw from a full memory against CPython's own shuffle of as many entries."""
    order = list(range(5120))
    pair = side_by_side((lambda: NativeEngine.draw(5120, 100), 100), (lambda: random.shuffle(order), 1), 15)
    return Row("a draw from 5120 memories, shuffle", "random.shuffle", *pair, ">= 150")


def learners(tasks: data.DataSet) -> list[Row]:
    """One example of each learner, in the state in which it spends most of a run."""
    mer = "--replay_batch_size 100"
    replay = [
        (
            "meralg1, 5120 memories, replay 100, 10 batches",
            "meralg1",
            f"{mer} --batches_per_example 10",
            "",
            3,
            100,
        ),
        (
            "same, uniform draws",
            "meralg1",
            f"{mer} --batches_per_example 10",
            "--replay_draws uniform",
            3,
            350,
        ),
        ("meralg6, 5120 memories, replay 100", "meralg6", mer, "", 5, 100),
        ("meralg7, 5120 memories, replay 100", "meralg7", f"{mer} --s 5", "", 5, 100),
        ("eralg4, 5120 memories, replay 25", "eralg4", "--replay_batch_size 25", "", 7, 60),
        ("eralg5, 5120 memories, replay 100", "eralg5", mer, "", 5, 60),
    ]
    rows = []
    for what, model, both, ours_only, repeats, target in replay:
        ours = cases.replaying(tasks, model, "native", f"{both} {ours_only}")
        theirs = cases.replaying(tasks, model, "torch", both)
        pair = side_by_side((ours, 1), (theirs, 1), repeats)
        rows.append(Row(what, "the torch engine, Python draws", *pair, f">= {target}"))
    native, reference = ((cases.consolidated(tasks, engine), 1) for engine in ("native", "torch"))
    rows.append(Row("ewc, task 20", "the torch engine", *side_by_side(native, reference, 60), ">= 20"))
    for threads in (1, 2):
        native, reference = ((cases.constrained(tasks, engine, threads), 1) for engine in ("native", "torch"))
        what = f"gem, 256 memories, 19 earlier tasks, {threads} threads"
        rows.append(Row(what, "the torch engine", *side_by_side(native, reference, 9), ">= 5"))
    return rows


def evaluation(tasks: data.DataSet) -> list[Row]:
    """The accuracies on all test sets, 20 x 10,000 images."""
    rows = []
    for threads in (1, 2):
        native, reference = ((cases.evaluating(tasks, engine, threads), 1) for engine in ("native", "torch"))
        what = f"evaluation of 20 x 10,000 test images, {threads} threads"
        rows.append(Row(what, "the torch engine", *side_by_side(native, reference, 5), ">= 4"))
    return rows


def main() -> None:
    """Print the table and write it to table.csv."""
    tasks = data.load("data/", "mnist_rotations.pt")
    torch.set_num_threads(1)
    rows = [*steps(tasks), draws(), *learners(tasks), *evaluation(tasks)]
    print(f"{cpu()}, Python {platform.python_version()}, torch {torch.__version__}\n")
    print(f"{'row':55} {'against':38} {'us':>12} {'us, other':>12} {'ratio':>8}  target")
    for row in rows:
        times = f"{row.ours:12.2f} {row.reference:12.2f} {row.ratio:8.2f}"
        print(f"{row.what:55} {row.against:38} {times}  {row.target}")
    with open(HERE / "table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "against", "microseconds", "microseconds of the other", "ratio", "target"])
        for row in rows:
            figures = [f"{figure:.3f}" for figure in (row.ours, row.reference, row.ratio)]
            writer.writerow([row.what, row.against, *figures, row.target])


def cpu() -> str:
    """The processor's own name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
