"""Result files as results/report.py finds them: foreign, broken, old; and what it reads off their logs."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import logged, options, write_run

from metrics import statistics
from results.curves import POINTS, examples_seen, tasks_seen, thinned
from results.runs import NotAResult, read, read_folder

STAMP = f"2024_01_02_03_04_05_{'a' * 32}"


class Hostile:
    def __reduce__(self) -> tuple:
        return (print, ("run by a pickle",))


def test_what_is_no_result_is_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_run(tmp_path, "online", n_tasks=3, samples_per_task=10)
    *entries, args = torch.load(good, weights_only=True)
    result_t, result_a = entries[:2]
    whole = good.read_bytes()
    broken = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"Final Accuracy: 0.9",
        "zip": whole[-22:],
        "hostile": pickle.dumps(Hostile(), protocol=2),
    }
    for name, content in broken.items():
        (tmp_path / f"{name}_x.pt_{STAMP}.pt").write_bytes(content)
    laughs: list = ["ha"]
    for _ in range(40):
        laughs = [laughs] * 9
    foreign = {
        "tensor": torch.zeros(3),
        "few": (result_t, args),
        "range": (result_t, result_a + 1, {}, [], "", args),
        "nan": (result_t, result_a * torch.nan, {}, [], "", args),
        "cut": (result_t[:-10], result_a[:-10], {}, [], "", args),
        "shape": (result_t, result_a[:, 0], {}, [], "", args),
        "lengths": (result_t[:-1], result_a, {}, [], "", args),
        "noargs": (result_t, result_a, {}, [], "", "args"),
        "words": (result_t, result_a, {}, [], "", args | {"log_every": "often"}),
        "zero": (result_t, result_a, {}, [], "", args | {"batch_size": 0}),
        "never": (result_t, result_a, {}, [], "", args | {"log_every": 0}),
        "laughs": (result_t, result_a, {}, [], "", args | {"lr": laughs}),
        "expanded": (result_t, result_a[:1].expand(10**9, 3), {}, [], "", args),
    }
    for name, saved in foreign.items():
        torch.save(saved, tmp_path / f"{name}_x.pt_{STAMP}.pt")
    (tmp_path / f"alone_x.pt_{STAMP}.txt").write_text("0.1\n|\n")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "weights.pt").write_bytes(whole)
    (tmp_path / f"folder_x.pt_{STAMP}.pt").mkdir()
    (tmp_path / "README.md").write_text("not even looked at")
    (tmp_path / ".hidden.pt").write_text("nor this")
    runs, skipped = read_folder(tmp_path)
    assert [run.model for run in runs] == ["online"]
    names = [*broken, *foreign, "folder"]
    expected = {f"{name}_x.pt_{STAMP}.pt" for name in names} | {"notes.txt", "weights.pt"}
    assert {name for name, _ in skipped} == expected | {f"alone_x.pt_{STAMP}.txt"}
    assert all(reason and "\n" not in reason for _, reason in skipped)
    assert capsys.readouterr().out == ""


def test_published_files(tmp_path: Path) -> None:
    good = write_run(tmp_path, "gem", n_memories=256)
    *entries, args = torch.load(good, weights_only=True)
    torch.save((*entries, argparse.Namespace(**args)), good, _use_new_zipfile_serialization=False)
    (run,), skipped = read_folder(tmp_path)
    assert (run.model, run.memory, run.seed, skipped) == ("gem", 5120, "0", [])


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xe9sultats")
    folder.mkdir()
    write_run(folder, "online", n_tasks=3, samples_per_task=10)
    (run,), skipped = read_folder(folder)
    assert (run.model, skipped) == ("online", [])


def test_missing_options(tmp_path: Path) -> None:
    path = write_run(tmp_path, "online", samples_per_task=1000, n_tasks=3)
    *entries, _ = torch.load(path, weights_only=True)
    torch.save((*entries, {}), path)
    (run,), _ = read_folder(tmp_path)
    assert (run.model, run.data_set, run.memory) == ("online", "Rotations", None)
    assert run.examples[-1] == 3000


@given(st.binary(max_size=40), st.integers(0, 10_000), st.integers(0, 10_000))
def test_no_bytes_are_fatal(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, end: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "noise"
    if not folder.exists():
        folder.mkdir()
        write_run(folder, "online", n_tasks=2, samples_per_task=5)
    whole = next(folder.glob("online*.pt")).read_bytes()
    at, end = at % len(whole), end % len(whole)
    broken = folder / "broken.pt"
    broken.write_bytes(whole[:at] + noise + whole[max(at, end) :])
    try:
        run = read(broken, "online_x.pt", STAMP)
    except NotAResult:
        return
    assert run.statistics.matrix.shape == (2, 2)


def rows_per_task(result_t: torch.Tensor) -> np.ndarray:
    return torch.unique_consecutive(result_t[1:], return_counts=True)[1].numpy()


@given(
    samples=st.integers(1, 60),
    n_tasks=st.integers(1, 6),
    batch_size=st.integers(1, 7),
    n_epochs=st.integers(1, 3),
    log_every=st.integers(1, 30),
)
def test_examples_seen(samples: int, n_tasks: int, **changes: int) -> None:
    args = options("online", "x.pt", samples_per_task=samples, **changes)
    seen, tags = logged(samples, n_tasks, args)
    rows = rows_per_task(tags)
    assert examples_seen(rows, args).tolist() == seen.tolist()
    # Where the options do not tell the length of a task, the rows bound it.
    guess = examples_seen(rows, args | {"samples_per_task": -1})
    assert guess.shape == seen.shape
    assert (np.diff(guess) > 0).all()
    assert (
        abs(guess[-1] / n_tasks - seen[-1].item() / n_tasks) <= changes["log_every"] * changes["batch_size"]
    )


def test_whole_mnist() -> None:
    args = options("online", "x.pt", samples_per_task=-1, batch_size=10)
    seen, tags = logged(60_000, 3, args)
    assert examples_seen(rows_per_task(tags), args).tolist() == seen.tolist()


def test_tasks_that_differ_in_length() -> None:
    seen = examples_seen(np.array([3, 1, 9]), options("online", "x.pt", samples_per_task=-1))
    assert seen.tolist() == list(range(0, 1400, 100))


def test_curves_follow_the_order_presented(tmp_path: Path) -> None:
    result_t = torch.tensor([0.0, 2, 2, 0, 1])
    result_a = torch.tensor(
        [[0.1, 0.1, 0.1], [0.2, 0.1, 0.6], [0.3, 0.2, 0.9], [0.8, 0.3, 0.7], [0.7, 0.9, 0.5]]
    )
    path = tmp_path / f"online_x.pt_{STAMP}.pt"
    args = options("online", "x.pt", samples_per_task=2, log_every=1, shuffle_tasks="yes")
    torch.save((result_t, result_a, {}, [], "", args), path)
    run = read(path, "online_x.pt", STAMP)
    assert run.first == pytest.approx([0.1, 0.6, 0.9, 0.7, 0.5])
    assert run.seen == pytest.approx([0.1, 0.6, 0.9, 0.75, 0.7])
    assert torch.equal(run.statistics.matrix, statistics(result_t, result_a).matrix)


def test_mean_over_tasks_seen() -> None:
    log = np.array([[0.1, 0.2], [0.5, 0.1], [0.4, 0.8]], dtype=np.float32)
    assert tasks_seen(log, np.array([0, 1]), np.array([1, 1])) == pytest.approx([0.1, 0.5, 0.6])


def test_long_logs_are_thinned() -> None:
    points = thinned(12_001)
    assert len(points) == POINTS
    assert (points[0], points[-1]) == (0, 12_000)
    assert thinned(3).tolist() == [0, 1, 2]
