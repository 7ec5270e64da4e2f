"""results/report.py: from a folder of result files to its table, figures and page."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from statistics import fmean, stdev

import pytest
import torch
from synthetic_results import write_paper, write_run

from metrics import statistics
from results.rows import make_rows
from results.runs import read_folder
from results.table import as_csv, as_latex, as_markdown

pytest.importorskip("matplotlib", reason="needs requirements-report.txt")

from results.report import main

ROOT = Path(__file__).parent.parent


def percentages(path: Path) -> list[float]:
    """RA, LA and BTI of a run, from its file."""
    result_t, result_a, *_ = torch.load(path, weights_only=True)
    stats = statistics(result_t, result_a)
    return [100 * values.double().mean().item() for values in (stats.final, stats.learning, stats.backward)]


def csv_rows(folder: Path) -> list[dict[str, str]]:
    """The table of a folder's runs, as csv reads it."""
    return list(csv.DictReader(io.StringIO(as_csv(make_rows(read_folder(folder)[0])[0]))))


def test_empty_folder(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "results" / "report.py", tmp_path, "--out", tmp_path / "report"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"report.py: {tmp_path}: there is no whole run in it")
    assert ended.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    (tmp_path / "file").touch()
    assert main([str(tmp_path / folder), "--out", str(tmp_path / "report")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("wrong", [["--nope"], ["a", "b"], ["--out"]])
def test_wrong_options(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(wrong)
    said = capsys.readouterr()
    assert stop.value.code == 2 and not said.out
    assert said.err.startswith("report.py: ") and said.err.count("\n") == 1


def test_unwritable_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "online")
    (tmp_path / "file").touch()
    assert main([str(tmp_path), "--out", str(tmp_path / "file" / "report")]) == 2
    assert "cannot write there" in capsys.readouterr().err


def test_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path, "meralg1", memories=500)
    out = tmp_path / "report"
    assert main([str(tmp_path), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    ra, la, bti = percentages(path)
    assert [cell.strip() for cell in printed.out.splitlines()[-1].split("|")[1:-1]] == [
        *("meralg1", "500"),
        *(f"{ra:.2f}", f"{la:.2f}", f"{bti:.2f}"),
        "1",
    ]
    assert printed.err == ""
    assert printed.out == (out / "table.md").read_text("utf-8")
    assert sorted(os.listdir(out)) == sorted(
        ["report.html", "table.csv", "table.md", "table.tex"]
        + [f"{kind}_rotations.{end}" for kind in ("bars", "curves", "matrices") for end in ("png", "pdf")]
    )
    assert (out / "bars_rotations.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "curves_rotations.pdf").read_bytes().startswith(b"%PDF")


def test_same_folder_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path, "meralg1", seed=1)
    write_run(tmp_path, "gem", n_memories=256)
    reports = []
    for name in ("a", "b"):
        assert main([str(tmp_path), "--out", str(tmp_path / name)]) == 0
        reports.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert reports[0] == reports[1]


def test_figures_of_an_earlier_report_go_and_no_others(tmp_path: Path) -> None:
    small, large, out = (tmp_path / name for name in ("small", "large", "report"))
    for folder, data_file in ((small, "kept.pt"), (large, "kept.pt"), (large, "not kept.pt")):
        folder.mkdir(exist_ok=True)
        write_run(folder, "online", data_file, n_tasks=3, samples_per_task=10)
    # Named like a figure, and the second one on the page as well, as what was skipped.
    mine = {"bars_not_kept_2023.png", "bars_mine.png"}
    (large / "bars_mine.png.txt").touch()
    assert main([str(small), "--out", str(out)]) == 0
    expected = {path.name for path in out.iterdir()} | mine
    assert main([str(large), "--out", str(out)]) == 0
    assert len(list(out.glob("*_not_kept.*"))) == 6
    for name in mine:
        (out / name).touch()
    assert main([str(small), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == expected


def test_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    paths = [write_run(tmp_path, "eralg5", seed=seed) for seed in (0, 1, 10)]
    write_run(tmp_path, "online", seed=3)
    online, eralg5 = csv_rows(tmp_path)
    for name, values in zip(("RA", "LA", "BTI"), zip(*map(percentages, paths), strict=True), strict=True):
        assert eralg5[name] == f"{fmean(values):.2f}"
        assert eralg5[f"{name}_std"] == f"{stdev(values):.2f}"
        assert online[f"{name}_std"] == ""
    assert (online["n"], eralg5["n"]) == ("1", "3")


def test_a_seed_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = write_run(tmp_path, "online", lr=0.3, stamp="2024_10_02_03_04_05", n_tasks=5)
    args = torch.load(late, weights_only=True)[-1]
    early = late.with_name(f"online_mnist_rotations.pt_2024_09_30_03_04_05_{uuid.uuid4().hex}.pt")
    torch.save((*torch.load(write_run(tmp_path, "ewc", n_tasks=5), weights_only=True)[:5], args), early)
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "Rotations, online: seed 0 was run 2 times; the latest is counted" in capsys.readouterr().err
    online = csv_rows(tmp_path)[0]
    assert (online["RA"], online["n"]) == (f"{percentages(late)[0]:.2f}", "1")


@pytest.mark.parametrize("what", ["code", "data"])
def test_a_row_of_several_versions_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    for seed, version in enumerate(("one", "one", "another")):
        write_run(tmp_path, "ours", seed=seed, n_tasks=5, **{what: version})
        write_run(tmp_path, "online", seed=seed, n_tasks=5, **{what: "one"})
    write_run(tmp_path, "ewc", n_tasks=5)
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [f"report.py: Rotations, ours: its 3 runs are of 2 versions of the {what}"]
    assert [row["n"] for row in csv_rows(tmp_path)] == ["3", "1", "3"]


def test_a_grid_is_not_averaged(tmp_path: Path) -> None:
    for lr in (0.1, 0.03):
        for draws in ("shuffle", "uniform"):
            write_run(tmp_path, "meralg6", lr=lr, replay_draws=draws)
    # The same in everything that counts; how it was computed does not.
    write_run(
        tmp_path, "meralg6", lr=0.1, seed=1, engine="native", threads=2, log_every=50, save_path="elsewhere"
    )
    write_run(tmp_path, "meralg6", lr=0.1, seed=2, run="0123456789abcdef" * 2)
    rows = csv_rows(tmp_path)
    assert [row["options"] for row in rows] == [
        "lr 0.03, replay_draws shuffle",
        "lr 0.03, replay_draws uniform",
        "lr 0.1, replay_draws shuffle",
        "lr 0.1, replay_draws uniform",
    ]
    assert [row["n"] for row in rows] == ["1", "1", "3", "1"]


def test_whole_numbers_are_the_same_as_floats_and_old_files_drew_by_shuffle(tmp_path: Path) -> None:
    write_run(tmp_path, "eralg4", replay_batch_size=20.0)
    path = write_run(tmp_path, "eralg4", replay_batch_size=20, seed=1)
    *entries, args = torch.load(path, weights_only=True)
    for name in ("engine", "threads", "replay_draws"):
        del args[name]
    torch.save((*entries, args), path)
    assert [row["n"] for row in csv_rows(tmp_path)] == ["2"]


def test_memory_sizes_and_order(tmp_path: Path) -> None:
    for size in (200, 5120, 500):
        write_run(tmp_path, "meralg7", memories=size, n_tasks=5)
    for n_memories, n_tasks, data_file in (
        (10, 20, "mnist_rotations.pt"),
        (256, 20, "mnist_rotations.pt"),
        (30, 20, "mnist_rotations.pt"),
        (51, 100, "mnist_manypermutations.pt"),
    ):
        write_run(tmp_path, "gem", data_file, n_tasks, n_memories=n_memories, samples_per_task=20)
    for model in ("zebra", "ewc", "aardvark", "independent"):
        write_run(tmp_path, model, n_memories=10, n_tasks=5)
    write_run(tmp_path, "online", "mnist_permutations.pt", 5)
    write_run(tmp_path, "online", "mine.pt", 5)
    assert [(row["data_set"], row["model"], row["memory"]) for row in csv_rows(tmp_path)] == [
        ("Rotations", "independent", "-"),
        ("Rotations", "ewc", "-"),
        ("Rotations", "gem", "5120"),
        ("Rotations", "gem", "600"),
        ("Rotations", "gem", "200"),
        ("Rotations", "meralg7", "5120"),
        ("Rotations", "meralg7", "500"),
        ("Rotations", "meralg7", "200"),
        ("Rotations", "aardvark", "-"),
        ("Rotations", "zebra", "-"),
        ("Permutations", "online", "-"),
        ("Many Permutations", "gem", "5120"),
        ("mine.pt", "online", "-"),
    ]


def test_a_learner_of_ones_own_has_the_memory_it_was_given(tmp_path: Path) -> None:
    for model in ("mine", "online"):
        for size in (5120, 500):
            write_run(tmp_path, model, memories=size, n_tasks=5)
    write_run(tmp_path, "mine", "mine.pt", memories=5120, n_tasks=5)
    write_run(tmp_path, "plain", n_tasks=5)
    path = write_run(tmp_path, "other", n_tasks=5)
    *entries, args = torch.load(path, weights_only=True)
    torch.save((*entries, args | {"memories": "9" * 5000}), path)
    assert [(row["model"], row["memory"], row["options"]) for row in csv_rows(tmp_path)] == [
        ("online", "-", "memories 500"),
        ("online", "-", "memories 5120"),
        ("mine", "5120", ""),
        ("mine", "500", ""),
        ("other", "-", ""),
        ("plain", "-", ""),
        ("mine", "5120", ""),
    ]


def test_markdown_and_latex(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "eralg4", "a|b_$c.pt", 3, seed=seed, samples_per_task=10)
    write_run(tmp_path, "online", n_tasks=3, samples_per_task=10)
    rows, _ = make_rows(read_folder(tmp_path)[0])
    ra = rows[1].scores["RA"]
    markdown, latex = as_markdown(rows).splitlines(), as_latex(rows).splitlines()
    assert markdown[0] == "**Rotations**"
    assert f"| {ra.mean:.2f} ± {ra.std:.2f} |" in markdown[-1]
    assert len({len(line) for line in markdown[-3:]}) == 1
    assert latex[1] == r"\begin{tabular}{lrrrrrrrrr}"
    assert r"\multicolumn{4}{c}{a|b\_\$c.pt}" in latex[3]
    assert latex[-5].startswith("online & -- & $") and latex[-5].endswith(r"& -- & -- & -- & -- \\")
    assert rf"eralg4 & 5120 & -- & -- & -- & -- & ${ra.mean:.2f} \pm {ra.std:.2f}$" in latex[-3]


def test_300_runs(tmp_path: Path) -> None:
    write_paper(tmp_path, seeds=5)
    # Processor time: others on the machine make a report wait, not work.
    started = time.process_time()
    assert main([str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert time.process_time() - started < 20
    assert [row["n"] for row in csv_rows(tmp_path)] == ["5"] * 60


def test_thousands_of_files(tmp_path: Path) -> None:
    path = write_run(tmp_path, "meralg1")
    for _ in range(1999):
        os.link(path, path.with_name(path.name[:-35] + uuid.uuid4().hex + ".pt"))
    started = time.process_time()
    assert len(read_folder(tmp_path)[0]) == 2000
    assert time.process_time() - started < 10
