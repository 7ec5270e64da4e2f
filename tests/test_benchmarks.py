"""The benchmarks run: what they measure, once each at small sizes, and the figures of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import data
from model.engine import compiled

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(bool(compiled.unavailable()), reason="there is no native engine to time")


@pytest.fixture(scope="module", autouse=True)
def as_scripts():
    """The benchmarks' own modules, which import each other as scripts do, and their one thread."""
    path, threads = list(sys.path), torch.get_num_threads()
    sys.path.insert(0, str(BENCHMARKS))
    torch.set_num_threads(1)
    yield
    sys.path[:] = path
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tasks() -> data.DataSet:
    return data.load("data/", "mnist_rotations.pt")


def small_cases(tasks: data.DataSet):
    """The figures' cases, where learners remember little, tasks and units are few."""
    import scaling_cases

    tests = [data.Examples(test.images[:50], test.y[:50], test.pixel_map) for test in tasks.test[:3]]
    few = data.DataSet(tasks.train[:3], tests)
    yield "memories", scaling_cases.memories(few, (8,))
    yield "memories", scaling_cases.draws((5, 200))
    yield "tasks", scaling_cases.earlier_tasks(few, (3,), (4,))
    yield "width", scaling_cases.widths(few, (20,))
    yield "depth", scaling_cases.depths(few, (3,))


def test_each_scaling_figure_is_measured_and_drawn(tasks: data.DataSet, tmp_path: Path) -> None:
    import scaling
    import scaling_figures

    points = []
    for figure, cases in small_cases(tasks):
        for case in cases:
            thunk, units = case.build()
            start = time.perf_counter()
            thunk()
            time_of_one = (time.perf_counter() - start) / units * 1e6
            points.append(scaling.Point(figure, case.panel, case.line, case.x, time_of_one))
    points += scaling.limits(tasks, (20,))
    assert all(point.microseconds > 0 for point in points)
    scaling.write(points, tmp_path / "scaling.csv")
    read = scaling_figures.read(tmp_path / "scaling.csv")
    assert [point[:-1] for point in read] == [point[:-1] for point in points]
    scaling_figures.draw(read, tmp_path)
    for name in ("memories", "tasks", "width", "depth"):
        with Image.open(tmp_path / f"scaling_{name}.png") as picture:
            shades = picture.convert("L").getextrema()
        assert shades[0] < 100 < 250 < shades[1]


def test_a_time_is_that_of_one_of_the_pieces_of_work() -> None:
    import scaling

    def work() -> None:
        end = time.thread_time() + 1e-3
        while time.thread_time() < end:
            pass

    # Processor time, so that a busy machine makes no difference.
    assert 90 < scaling.microseconds(work, 10, seconds=0) < 150


def test_the_table_compares_what_it_says() -> None:
    import bench

    ours, reference = bench.side_by_side(
        (lambda: time.sleep(1e-3), 10), (lambda: time.sleep(20e-3), 10), repeats=3
    )
    assert ours < reference
    draws = bench.draws()
    assert draws.ratio == draws.reference / draws.ours > 1
