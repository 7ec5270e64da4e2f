"""Any file in place of a data set ends in two result files or in one line, and no code in it runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import torch
from foreign import WAYS, Runs, foreign, saved, saved_if_possible
from fuzzing import Worker, case_folder, cases, files, judged
from hostile import OBJECTS, PATHS, damage, replaced
from hypothesis import assume, given
from hypothesis import strategies as st

from model.options import LEARNERS

ARGV = shlex.split(
    "--data_path data --data_file set.pt --n_hiddens 6 --n_memories 2 --memories 4 --replay_batch_size 2 "
    "--samples_per_task 3 --threads 1 --log_every 2 --lr 0.1"
)
RUNS = st.tuples(st.sampled_from(LEARNERS), st.sampled_from(("torch", "native", "native")))
"""A learner and an engine to give a file to."""


def task(n: int, width: int = 4) -> list[object]:
    return [7.5, torch.linspace(0, 1, n * width).reshape(n, width), torch.arange(n) % 3]


WHOLE = [[task(5), task(3)], [task(2), task(4)]]
PIXELS = st.floats(width=32) | st.sampled_from(
    (0.0, 1.0, 0.5, 3e38, -3e38, float("nan"), float("inf"), 1e-45)
)


FOREIGN = [
    *foreign(saved(WHOLE), saved([[[0, torch.zeros(1), torch.zeros(1, dtype=torch.int64)]]] * 2)),
    *(saved([[[Runs(way), *task(3)[1:]]], [task(2)]], zipped) for way in WAYS for zipped in (True, False)),
]


def outcome(content: bytes, run: tuple[str, str], worker: Worker, label: str) -> None:
    """Give the file to main.py, and judge what comes of it."""
    with case_folder(lambda folder: (folder / "data").mkdir()) as case:
        folder = Path(case)
        (folder / "data" / "set.pt").write_bytes(content)
        before = files(folder)
        ended = worker.run(folder, "run_main", [*ARGV, "--model", run[0], "--engine", run[1]])
        assert not list(folder.rglob("ran")), "code in a data file ran"
        worker.counts[label, judged(ended, before, files(folder))] += 1


@cases(0.12)
@given(st.booleans().flatmap(lambda zipped: damage(saved(WHOLE, zipped))), RUNS)
def test_damaged_files(worker: Worker, content: bytes, run: tuple[str, str]) -> None:
    outcome(content, run, worker, "damaged data files")


@cases(0.12)
@given(PATHS, OBJECTS, st.booleans(), RUNS)
def test_files_of_another_structure(
    worker: Worker, path: list[int], value: object, zipped: bool, run: tuple[str, str]
) -> None:
    content = saved_if_possible(replaced(WHOLE, path, value), zipped)
    assume(content is not None)
    outcome(content, run, worker, "data files of another structure")


@cases(0.08)
@given(
    st.lists(PIXELS, min_size=20, max_size=20),
    st.lists(st.integers(-1, 5) | st.sampled_from((1000, -(2**63), 2**63 - 1)), min_size=5, max_size=5),
    RUNS,
)
def test_pixels_and_labels(
    worker: Worker, pixels: list[float], labels: list[int], run: tuple[str, str]
) -> None:
    x, y = torch.tensor(pixels).reshape(5, 4), torch.tensor(labels)
    outcome(saved([[["odd", x, y], task(3)], [task(2), ["odd", x, y]]]), run, worker, "pixels and labels")


@cases(0.04)
@given(st.sampled_from(range(len(FOREIGN))), RUNS)
def test_foreign_files(worker: Worker, which: int, run: tuple[str, str]) -> None:
    outcome(FOREIGN[which], run, worker, "foreign data files")
