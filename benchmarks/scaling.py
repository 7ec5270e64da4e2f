"""How each cost grows: with memories, tasks, width and depth, on both engines, one thread each.

make bench-scaling    benchmarks/scaling.csv, and four figures of it
"""

from __future__ import annotations

import csv
import gc
import platform
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cases
import scaling_cases
import scaling_figures
import torch
from bench import cpu
from scaling_cases import Case
from scaling_figures import CSV, Point

from data import DataSet, mnist
from data.tasks import drawn_angles, rotations

N_TASKS = 200
MEMORIES = (200, 1000, 5120, 20_000, 100_000, 1_000_000)
ENTRIES = (200, 500, 1000, 2000, 5120, 10_000, 20_000, 50_000, 65_536, 100_000, 200_000, 500_000, 1_000_000)
TASKS = (2, 5, 10, 20, 50, 100, 200)
MEMORIES_A_TASK = (16, 256)
WIDTHS = (25, 50, 100, 200, 400, 800, 1600)
DEPTHS = (1, 2, 3, 4, 6, 8)
TURN = 5e-3
"""Seconds, where calls are shorter."""


def microseconds(thunk: cases.Thunk, units: int, seconds: float = 1.0) -> float:
    """The median over turns of a unit's processor time, which other processes add little to.

    A turn is some milliseconds of calls. There are three or more, and as many as `seconds` hold, up to fifty.
    The first call warms up, and counts only where it took a second or more.
    """

    def turn(calls: int) -> float:
        start = time.thread_time()
        for _ in range(calls):
            thunk()
        return (time.thread_time() - start) / calls

    first = turn(1)
    if first < 1:
        first = max(turn(1), 1e-7)
    calls = max(1, round(TURN / first))
    turns = max(2, min(50, round(seconds / (calls * first))))
    return statistics.median([first, *(turn(calls) for _ in range(turns))]) / units * 1e6


def all_cases() -> Iterator[tuple[str, Iterable[Case]]]:
    """The cases of each figure."""
    many = rotations(mnist.read(), drawn_angles(N_TASKS))
    tasks = rotations(mnist.read(), drawn_angles())
    yield "memories", scaling_cases.memories(tasks, MEMORIES)
    yield "memories", scaling_cases.draws(ENTRIES)
    yield "tasks", scaling_cases.earlier_tasks(many, TASKS, MEMORIES_A_TASK)
    yield "width", scaling_cases.widths(tasks, WIDTHS)
    yield "depth", scaling_cases.depths(tasks, DEPTHS)


def measured(figure: str, some: Iterable[Case]) -> Iterator[Point]:
    """Each case made, measured and dropped before the next is made."""
    for case in some:
        time_of_one = microseconds(*case.build())
        gc.collect()
        yield Point(figure, case.panel, case.line, case.x, time_of_one)


def limits(tasks: DataSet, hidden: Iterable[int]) -> Iterator[Point]:
    """A step's bytes through the second-level cache, beside the steps that were measured."""
    for width, time_of_one in scaling_cases.l2_microseconds(tasks, hidden).items():
        yield Point("width", "a step", "its bytes through L2", width, time_of_one)


def main() -> None:
    """Measure, write scaling.csv and draw the figures."""
    torch.set_num_threads(1)
    print(f"{cpu()}, Python {platform.python_version()}, torch {torch.__version__}\n")
    points = []

    def keep(some: Iterable[Point]) -> None:
        for point in some:
            print(
                f"{point.figure:9} {point.panel:22} {point.line:32} {point.x:8} {point.microseconds:14.2f} us"
            )
            points.append(point)

    for figure, some in all_cases():
        keep(measured(figure, some))
    keep(limits(rotations(mnist.read(), drawn_angles()), WIDTHS))
    write(points, CSV)
    scaling_figures.draw(points, CSV.parent)


def write(points: Iterable[Point], path: Path) -> None:
    """All points as a table."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Point._fields)
        for point in points:
            writer.writerow([*point[:-1], f"{point.microseconds:.3f}"])


if __name__ == "__main__":
    main()
