"""Any file among results is read or named and skipped, and the report on the rest comes out whole."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

import torch
from foreign import foreign, saved, saved_if_possible
from fuzzing import Worker, case_folder, cases, files
from hostile import OBJECTS, PATHS, WORDS, damage, made, replaced
from hypothesis import assume, given
from hypothesis import strategies as st
from synthetic_results import write_run

STAMP = "2024_01_02_03_04_05_" + "a" * 32
SMALL = {"n_tasks": 3, "samples_per_task": 4, "log_every": 2, "memories": 10}
OPTIONS = st.dictionaries(
    st.sampled_from(("model", "data_file", "seed", "log_every", "batch_size", "n_epochs", "samples_per_task"))
    | st.sampled_from(("memories", "n_memories", "lr", "new")),
    OBJECTS | WORDS | st.sampled_from(("gem", "meralg1", "mnist_rotations.pt", "10", "1.5")),
    max_size=4,
)
NAMES = st.sampled_from(
    ("gem_x.pt", "a", "\u00e9_\U0001f4a5.pt", "a\nb", "\x1b[2J_x.pt", "$x$_$y_", "<b>_&amp;", "\udcff")
)


@cache
def whole() -> bytes:
    """A run's .pt file."""
    with tempfile.TemporaryDirectory() as folder:
        return write_run(Path(folder), "meralg1", **SMALL).read_bytes()


def read(worker: Worker, content: bytes, label: str) -> None:
    """Have the file read as a result, by all that comes before drawing."""
    with case_folder(lambda folder: (folder / f"meralg1_x.pt_{STAMP}.pt").write_bytes(content)) as case:
        ended = worker.run(Path(case), "read_results", case)
        assert not ended.escaped, ended.escaped
        assert not ended.err and ended.status in (0, 2)
        assert not list(Path(case).rglob("ran")), "code in a result ran"
        worker.counts[label, "skipped" if ended.status else "read"] += 1


@cases(0.06)
@given(st.data())
def test_damaged_results(worker: Worker, data: st.DataObject) -> None:
    read(worker, data.draw(damage(whole())), "damaged results")


@cases(0.06)
@given(PATHS, OBJECTS, OPTIONS)
def test_results_of_another_structure(
    worker: Worker, path: list[int], value: object, options: dict[str, object]
) -> None:
    *entries, args = torch.load(io.BytesIO(whole()))
    changed = {name: made(value) for name, value in options.items()}
    content = saved_if_possible(replaced((*entries, {**args, **changed}), path, value))
    assume(content is not None)
    read(worker, content, "results of another structure")


@cases(0.015)
@given(st.data())
def test_foreign_files(worker: Worker, data: st.DataObject) -> None:
    files = _foreign()
    read(worker, files[data.draw(st.sampled_from(range(len(files))))], "foreign results")


@cache
def _foreign() -> list[bytes]:
    return foreign(whole(), saved((torch.zeros(1), torch.zeros(1, 1), {}, [], "", {})))


@cases(0.003)
@given(
    st.lists(
        st.tuples(NAMES, OPTIONS, st.lists(st.floats(0, 1, width=32), max_size=6)), min_size=1, max_size=4
    )
)
def test_reports(worker: Worker, runs: list[tuple[str, dict[str, object], list[float]]]) -> None:
    """Reports on runs with odd names, options and accuracies, drawn and all."""
    *entries, args = torch.load(io.BytesIO(whole()))
    with case_folder(lambda folder: None) as case:
        folder = Path(case)
        for i, (name, options, accuracies) in enumerate(runs):
            log = entries[1].clone()
            log.view(-1)[: len(accuracies)] = torch.tensor(accuracies)
            path = folder / f"{name}_{STAMP[:-1]}{i}.pt"
            changed = {name: made(value) for name, value in options.items()}
            content = saved_if_possible((entries[0], log, *entries[2:], {**args, **changed}))
            assume(content is not None)
            path.write_bytes(content)
        before = files(folder)
        ended = worker.run(folder, "run_report", [case, "--out", str(folder / "report")])
        new = {path.name for path in files(folder) - before}
        assert not ended.escaped, ended.escaped
        assert all(line.startswith("report.py: ") for line in ended.err.splitlines()), ended.err
        assert "ran" not in new and not any(name.endswith(".part") for name in new)
        if ended.status == 0:
            assert {"table.md", "table.csv", "table.tex", "report.html"} <= new and ended.out
        else:
            assert ended.status == 2 and not new and not ended.out
        worker.counts["reports", "refused" if ended.status else "drawn"] += 1
