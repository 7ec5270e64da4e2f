"""Any file in place of a checkpoint ends in one line, or in the result of the run that was interrupted."""

from __future__ import annotations

import io
import shlex
from functools import cache
from pathlib import Path

import torch
from foreign import foreign, saved, saved_if_possible
from fuzzing import Worker, case_folder, cases, files, judged
from hostile import OBJECTS, PATHS, damage, replaced
from hypothesis import assume, given
from hypothesis import strategies as st

from model.options import LEARNERS

ARGV = shlex.split(
    "--data_file small_rotations.pt --n_hiddens 6 --n_memories 2 --memories 4 --replay_batch_size 2 "
    "--samples_per_task 3 --threads 1 --log_every 2 --lr 0.1 --resume yes --checkpoint_every 1000"
)
RUNS = st.tuples(st.sampled_from(LEARNERS), st.sampled_from(("torch", "native", "native")))


def options(run: tuple[str, str]) -> list[str]:
    return [*ARGV, "--model", run[0], "--engine", run[1]]


@cache
def interrupted(worker: Worker, run: tuple[str, str]) -> tuple[str, bytes, list[object]]:
    """A run's checkpoint, its path and its bytes; and the log of the same run, uninterrupted."""
    with case_folder(lambda folder: None) as case:
        ended = worker.run(Path(case), "run_interrupted", options(run), 7)
        assert ended.status == 143, ended
        (checkpoint,) = files(Path(case))
        path, content = str(checkpoint.relative_to(case)), checkpoint.read_bytes()
        return path, content, resumed(worker, Path(case), run)


def resumed(worker: Worker, folder: Path, run: tuple[str, str]) -> list[object]:
    ended = worker.run(folder, "run_main", options(run))
    assert ended.status == 0, ended
    return log(folder)


def log(folder: Path) -> list[object]:
    """A result's tasks and accuracies, and its weights."""
    (path,) = folder.rglob("results/*.pt")
    result_t, result_a, weights, *_ = torch.load(path)
    return [result_t.tolist(), result_a.tolist(), {name: w.tolist() for name, w in weights.items()}]


def outcome(worker: Worker, run: tuple[str, str], content: bytes, label: str) -> None:
    """Resume from the file, and judge what comes of it."""
    path, _, whole = interrupted(worker, run)
    with case_folder(lambda folder: (folder / path).parent.mkdir(parents=True)) as case:
        folder = Path(case)
        (folder / path).write_bytes(content)
        before = files(folder)
        ended = worker.run(folder, "run_main", options(run))
        assert not list(folder.rglob("ran")), "code in a checkpoint ran"
        end = judged(ended, before, files(folder))
        assert "starting at the beginning" not in ended.err
        assert end != "done" or log(folder) == whole
        worker.counts[label, end] += 1


@cases(0.08)
@given(st.data(), RUNS)
def test_damaged_checkpoints(worker: Worker, data: st.DataObject, run: tuple[str, str]) -> None:
    _, content, _ = interrupted(worker, run)
    outcome(worker, run, data.draw(damage(content)), "damaged checkpoints")


@cases(0.05)
@given(PATHS, OBJECTS, RUNS)
def test_checkpoints_of_another_structure(
    worker: Worker, path: list[int], value: object, run: tuple[str, str]
) -> None:
    _, content, _ = interrupted(worker, run)
    edited = saved_if_possible(replaced(torch.load(io.BytesIO(content)), path, value))
    assume(edited is not None)
    outcome(worker, run, edited, "checkpoints of another structure")


@cases(0.02)
@given(st.data())
def test_foreign_files(worker: Worker, data: st.DataObject) -> None:
    run = ("meralg1", "torch")
    _, content, _ = interrupted(worker, run)
    which = data.draw(st.sampled_from(range(len(_foreign(content)))))
    outcome(worker, run, _foreign(content)[which], "foreign checkpoints")


@cache
def _foreign(content: bytes) -> list[bytes]:
    return foreign(content, saved({"run": "", "sha256": "", "content": torch.zeros(1)}))
