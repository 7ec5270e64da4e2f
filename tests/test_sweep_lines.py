"""Which runs a sweep is asked for, and the names by which it knows them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sweeping import command, write_data

import data
from metrics.identity import ROOT, code_version, identity
from model.options import LEARNERS, parse
from suite import SweepError, lines

IDENTITY = sys.modules["metrics.identity"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def test_lines_are_read_as_a_shell_would(folder: Path) -> None:
    runs = lines.read(
        [
            "",
            "# a comment",
            command(folder, "--seed 1"),
            f"--data_path '{folder}' --data_file tiny.pt --seed 2  # only options",
            f"/usr/bin/python3.11 ./some/where/main.py --data_path {folder} --data_file tiny.pt --seed=3",
        ]
    )
    assert [run.args.seed for run in runs] == [1, 2, 3]
    assert runs[0].name == "online tiny seed 1"
    assert lines.read([str(runs[0])])[0].identity == runs[0].identity


def test_a_comment_begins_where_a_word_does(folder: Path) -> None:
    [run] = lines.read([command(folder, f"--save_path {folder}/a#1 --seed '3'\t#--seed 4"), " \t# '"])
    assert (run.args.save_path, run.args.seed) == (f"{folder}/a#1", 3)
    [run] = lines.read([command(folder, f"--save_path {folder}/a\\ #1'#' --seed 3")])
    assert (run.args.save_path, run.args.seed) == (f"{folder}/a #1#", 3)


def test_a_run_asked_for_twice_is_one_run(folder: Path) -> None:
    same = [command(folder), command(folder, "--gamma 1 --threads 2 --resume yes"), command(folder)]
    assert len(lines.read(same)) == 1
    elsewhere = command(folder, f"--save_path {folder / 'other'}")
    assert len(lines.read([*same, elsewhere])) == 2


def test_a_grid_is_every_combination_in_place_of_the_lines_own_values(folder: Path) -> None:
    asked = [command(folder, "--lr 5 --lr=6 --seed 1"), command(folder, "--seed 2")]
    runs = lines.read(asked, ["lr=0.01,0.1", "n_hiddens=4,5,6"])
    assert [(run.args.seed, run.args.lr, run.args.n_hiddens) for run in runs] == [
        (seed, lr, n) for seed in (1, 2) for lr in (0.01, 0.1) for n in (4, 5, 6)
    ]
    assert all(" ".join(run.argv).count("--lr") == 1 for run in runs)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python3 train.py --model online", "line 2: not a command line of main.py"),
        ("MER_NATIVE_ISA=avx2 python3 main.py --model online", "line 2: MER_NATIVE_ISA=avx2 would not reach"),
        ("python3 main.py --model 'online", "line 2: No closing quotation"),
        ("python3 main.py --model onlin", "line 2: main.py: --model onlin"),
        ("python3 main.py --lr 0", "line 2: main.py: argument --lr"),
        ("python3 main.py --learning_rate 1", "line 2: main.py: --learning_rate"),
        ("python3 main.py --help", "line 2: "),
        ("python3 main.py --data_file nowhere.pt", "line 2: data/nowhere.pt is not there"),
    ],
)
def test_a_bad_line_is_named_before_anything_runs(folder: Path, line: str, said: str) -> None:
    with pytest.raises(SweepError) as caught:
        lines.read([command(folder), line])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grid", ["lr", "lr=", "=1", "lr=1,,2", "lines.txt"])
def test_a_bad_grid_is_named(folder: Path, grid: str) -> None:
    with pytest.raises(SweepError, match="--grid"):
        lines.read([command(folder)], [grid])


def test_a_name_that_is_in_a_grid_twice_is_named(folder: Path) -> None:
    with pytest.raises(SweepError, match="--grid lr=0.2: lr is there twice"):
        lines.read([command(folder)], ["lr=0.1", "seed=1,2", "lr=0.2"])


def test_data_within_the_checkout_are_named_as_seen_from_it(folder: Path) -> None:
    assert lines.read([command(folder)])[0].data_path == str(folder.resolve())
    argv = ["--data_path", str(ROOT / "data")]
    assert lines.Run(tuple(argv), parse(argv), "").data_path == "data"


def test_every_option_counts_but_those_that_leave_the_result_as_it_is() -> None:
    base = parse([])
    for name in vars(base):
        if name != "model":
            changed = parse([])
            setattr(changed, name, "another value")
            assert (identity(changed, "d") == identity(base, "d")) == (name in IDENTITY.NOT_COUNTED), name
    plug_in = parse([])
    plug_in.an_option_of_its_own = 3
    assert identity(plug_in, "d") != identity(base, "d")
    assert identity(base, "other data") != identity(base, "d")
    assert identity(parse(["--model", "gem"]), "d") != identity(base, "d")
    assert identity(parse(["--beta", "1", "--s", "1.0"]), "d") == identity(base, "d")


def test_a_data_set_counts_by_its_content(tmp_path: Path) -> None:
    names = []
    for folder, seed in ((tmp_path / "a", 0), (tmp_path / "b", 0), (tmp_path / "c", 1)):
        folder.mkdir()
        write_data(folder, seed)
        names.append(identity(parse([]), data.load(str(folder), "tiny.pt").fingerprint))
    assert names[0] == names[1] != names[2]


@pytest.fixture
def changed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], set[str]]]:
    """Add text to a file of a copy of the checkout; the learners whose code is another one then."""
    for part in ("model", "data", "metrics"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.npz", "*.pt")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=ignored)
    monkeypatch.setattr(IDENTITY, "ROOT", tmp_path)

    def versions() -> dict[str, str]:
        IDENTITY._digests.cache_clear()
        code_version.cache_clear()
        return {model: code_version(model) for model in LEARNERS}

    def changed_by(file: str, text: str) -> set[str]:
        before = versions()
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)
        after = versions()
        return {model for model in LEARNERS if after[model] != before[model]}

    yield changed_by
    IDENTITY._digests.cache_clear()
    code_version.cache_clear()


def test_the_code_behind_a_learner_counts_and_no_other(changed_by: Callable[[str, str], set[str]]) -> None:
    assert changed_by("model/ewc.py", "# a change\n") == {"ewc"}
    assert changed_by("model/mine.py", "class Net: pass\n") == set()
    assert changed_by("model/options.py", "# a change\n") == set()
    replaying = {model for model in LEARNERS if model.startswith(("er", "mer"))}
    assert replaying <= changed_by("model/memory.py", "# a change\n") <= replaying | {"gem"}
    assert changed_by("model/engine/torch_engine.py", "# a change\n") == set(LEARNERS)
    assert changed_by("model/engine/kernel.h", "int change;\n") == set(LEARNERS)
    assert changed_by("model/engine/wrapper.pyx", "# a change\n") == set(LEARNERS)
    assert changed_by("model/engine/wrapper.c", "/* generated */\n") == set()
    assert changed_by("metrics/evaluation.py", "# a change\n") == set(LEARNERS)
    assert changed_by("helper.py", "SCALE = 1\n") == set()
    assert changed_by("model/gem.py", "import helper\n") == {"gem"}
    assert changed_by("helper.py", "SCALE = 2\n") == {"gem"}


def test_packages_without_an_init_count_like_others(changed_by: Callable[[str, str], set[str]]) -> None:
    assert changed_by("zz_helpers/scale.py", "SCALE = 1\n") == set()
    assert changed_by("model/zz_parts/shift.py", "SHIFT = 1\n") == set()
    assert changed_by("model/gem.py", "from zz_helpers import scale\n") == {"gem"}
    assert changed_by("model/ewc.py", "import zz_helpers.scale\n") == {"ewc"}
    assert changed_by("model/ewc.py", "from .zz_parts.shift import SHIFT\n") == {"ewc"}
    assert changed_by("zz_helpers/scale.py", "SCALE = 2\n") == {"gem", "ewc"}
    assert changed_by("model/zz_parts/shift.py", "SHIFT = 2\n") == {"ewc"}
    assert changed_by("zz_helpers/unused.py", "SCALE = 1\n") == set()


def test_a_folder_named_like_an_installed_package_is_not_imported(
    changed_by: Callable[[str, str], set[str]],
) -> None:
    assert changed_by("model/gem.py", "from pytest import skip\nfrom time import sleep\n") == {"gem"}
    assert changed_by("pytest/skip.py", "a run's files\n") == set()
    assert changed_by("time/sleep.py", "a run's files\n") == set()
