"""mer_examples.sh gives the paper's runs, in the paper's order, and stops at one that fails."""

import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from model.options import parse

ROOT = Path(__file__).parent.parent
ROTATIONS, PERMUTATIONS, MANY = "mnist_rotations.pt", "mnist_permutations.pt", "mnist_manypermutations.pt"

# The options of each model, and for each of its memories what they are on Rotations, Permutations and Many
# Permutations; figures as the paper's authors published them, taskinput's aside.
TABLE = [
    ("online", "lr", None, ["0.0003", "0.003", "0.003"]),
    ("independent", "lr", None, ["0.01", "0.01", "0.01"]),
    ("taskinput", "lr", None, None),
    ("ewc", "lr n_memories memory_strength", None, ["0.001 10 100", "0.01 10 10", "0.003 10 1"]),
    ("gem", "lr n_memories memory_strength", None, ["0.01 256 1.0", "0.01 256 1.0", "0.01 51 0.0"]),
    ("gem", "lr n_memories memory_strength", None, ["0.01 25 0.0", "0.01 25 1.0", "0.003 5 0.1"]),
    ("gem", "lr n_memories memory_strength", None, ["0.01 10 0.0", "0.01 10 0.0"]),
    ("eralg4", "lr replay_batch_size", 5120, ["0.1 25", "0.1 25", "0.1 25"]),
    ("eralg4", "lr replay_batch_size", 500, ["0.1 5", "0.1 10", "0.1 25"]),
    ("eralg4", "lr replay_batch_size", 200, ["0.1 10", "0.1 10"]),
    ("eralg5", "lr replay_batch_size", 5120, ["0.03 100", "0.01 25", "0.003 10"]),
    ("eralg5", "lr replay_batch_size", 500, ["0.01 100", "0.01 25", "0.01 5"]),
    ("eralg5", "lr replay_batch_size", 200, ["0.01 50", "0.01 10"]),
    (
        "meralg1",
        "lr beta gamma replay_batch_size batches_per_example",
        5120,
        ["0.03 0.03 1.0 100 10", "0.03 0.03 1.0 100 10", "0.1 0.01 1.0 5 10"],
    ),
    (
        "meralg1",
        "lr beta gamma replay_batch_size batches_per_example",
        500,
        ["0.1 0.01 1.0 10 10", "0.03 0.03 1.0 25 10", "0.03 0.03 1.0 5 10"],
    ),
    (
        "meralg1",
        "lr beta gamma replay_batch_size batches_per_example",
        200,
        ["0.1 0.01 1.0 10 5", "0.03 0.03 1.0 10 10"],
    ),
    ("meralg6", "lr gamma replay_batch_size", 5120, ["0.03 0.1 100", "0.03 0.1 50", "0.03 0.1 25"]),
    ("meralg6", "lr gamma replay_batch_size", 500, ["0.1 0.03 10", "0.03 0.3 10", "0.1 0.03 5"]),
    ("meralg6", "lr gamma replay_batch_size", 200, ["0.1 0.03 25", "0.1 0.03 5"]),
    (
        "meralg7",
        "lr gamma replay_batch_size s",
        5120,
        ["0.03 0.03 100 5", "0.01 0.1 100 10", "0.03 0.03 100 10"],
    ),
    ("meralg7", "lr gamma replay_batch_size s", 500, ["0.03 0.03 50 5", "0.01 0.1 25 10", "0.03 0.03 5 10"]),
    ("meralg7", "lr gamma replay_batch_size s", 200, ["0.03 0.03 50 5", "0.03 0.1 5 2"]),
]
COMMON = {"n_layers": 2, "n_hiddens": 100, "batch_size": 1, "log_every": 100, "cuda": False}


def script(*arguments, path=None):
    """Run the script as a user would, `path` coming first on PATH."""
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
    command = [ROOT / "mer_examples.sh", *arguments]
    return subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=60)


def dry_run(*arguments):
    done = script("--dry-run", *arguments)
    assert done.returncode == 0 and not done.stderr
    return done.stdout.splitlines()


def options(line):
    """What a line's options come to, once main.py has accepted them."""
    words = shlex.split(line)
    assert words[:2] == ["python3", "main.py"]
    return vars(parse(words[2:]))


@pytest.fixture(scope="module")
def seed_0():
    return dry_run("0")


def test_the_lines_are_the_papers_table(seed_0):
    expected = []
    for model, names, memories, columns in TABLE:
        for data_file, column in zip([ROTATIONS, PERMUTATIONS, MANY], columns or [None] * 3, strict=False):
            values = zip(names.split(), map(float, column.split()), strict=True) if column else []
            row = {"model": model, "data_file": data_file, **COMMON, **dict(values), "seed": 0}
            row["samples_per_task"] = 200 if data_file == MANY else 1000
            expected.append({**row, "memories": memories} if memories else row)
    assert len(seed_0) == len(expected) == 60
    for line, row in zip(seed_0, expected, strict=True):
        given = options(line)
        assert {name: given[name] for name in row} == row
        # Nothing else is set: what the table does not name is at its default.
        named = {*row, "data_path", "save_path", "memories"} | (
            {"lr"} if row["model"] == "taskinput" else set()
        )
        assert set(re.findall(r"--(\w+)", line)) <= named


def test_results_and_data_lie_in_the_checkout(seed_0):
    for line in seed_0:
        assert "--data_path data/ --save_path results/" in line


def test_several_seeds(seed_0):
    lines = dry_run("0 3 12")
    assert len(lines) == 180
    assert lines[:60] == seed_0
    assert [options(line)["seed"] for line in lines] == [0] * 60 + [3] * 60 + [12] * 60
    assert [line.replace("--seed 12", "--seed 0") for line in lines[120:]] == seed_0
    assert dry_run() == seed_0


def test_only_one_model(seed_0):
    for model, count in Counter(row[0] for row in TABLE).items():
        lines = dry_run("0", "--only", model)
        assert lines == [line for line in seed_0 if f"--model {model} " in line]
        assert len(lines) >= count


def test_quick_runs_are_the_same_runs_on_small_tasks(seed_0):
    lines = dry_run("0", "--quick")
    quick, whole = [options(line) for line in lines], [options(line) for line in seed_0]
    for name in ("model", "lr", "gamma", "beta", "memories", "n_memories", "replay_batch_size", "s", "seed"):
        assert [given[name] for given in quick] == [given[name] for given in whole]
    assert all(given["samples_per_task"] <= 20 and given["data_file"].startswith("small_") for given in quick)
    assert all(given["save_path"] == "results/quick/" for given in quick)


@pytest.mark.parametrize(
    "arguments",
    ["a", "0,1", "-1", "1.5", "0 1", "0 --only sgd", "--only", "--jobs", "--jobs 0", "--dryrun"],
)
def test_bad_arguments_are_one_line(arguments):
    refused(*arguments.split())


def test_seeds_that_are_no_seeds_are_one_line():
    for seeds in (" ", "0,1", "0 -1", "0 1 x"):
        refused(seeds)


def refused(*arguments):
    done = script(*arguments)
    assert done.returncode == 2
    assert not done.stdout
    assert re.fullmatch(r"mer_examples\.sh: .+\n", done.stderr)


@pytest.fixture
def stub(tmp_path):
    """A folder for PATH whose python3 keeps its arguments in `calls`, and fails on EWC's runs."""
    fake = tmp_path / "python3"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *"--model ewc"*) exit 7;; esac\n'
    )
    fake.chmod(0o755)
    return tmp_path


def test_it_stops_at_the_first_run_that_fails_and_names_it(stub, seed_0):
    done = script("0", path=stub)
    assert done.returncode == 1
    calls = (stub / "calls").read_text().splitlines()
    # Three data sets each for online, independent and taskinput, and then the first of ewc's.
    assert [f"python3 {call}" for call in calls] == seed_0[:10]
    assert "--model ewc" in calls[-1]
    assert done.stderr.splitlines()[-1] == f"mer_examples.sh: stopped, this run failed: {seed_0[9]}"


def test_it_runs_each_line_once(stub):
    done = script("4 5", "--only", "gem", path=stub)
    assert done.returncode == 0
    calls = (stub / "calls").read_text().splitlines()
    assert [f"python3 {call}" for call in calls] == dry_run("4 5", "--only", "gem")


def test_jobs_hands_the_lines_to_the_sweep(tmp_path, seed_0):
    fake = tmp_path / "python3"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/call\ncat > {tmp_path}/lines\n')
    fake.chmod(0o755)
    done = script("0", "--jobs", "2", path=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "call").read_text() == "sweep.py --jobs 2\n"
    assert (tmp_path / "lines").read_text().splitlines() == seed_0
