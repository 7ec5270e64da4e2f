"""The process that does a worker's runs, without a cluster."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeping import command, lasting, results, write_data

from metrics.identity import ROOT
from suite import worker
from suite.worker import Runner


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.end()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose learners a test may change, and in which runners are started."""
    write_data(tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.npz", "*.pt")
    for part in ("model", "data", "metrics", "suite"):
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part, ignore=ignored)
    shutil.copy(ROOT / "main.py", tmp_path / "checkout")
    monkeypatch.setattr(worker, "ROOT", tmp_path / "checkout")
    return tmp_path / "checkout"


def order(checkout: Path, options: str = "") -> dict[str, object]:
    folder = checkout.parent
    version = "from metrics.identity import code_version; print(code_version('mine'), end='')"
    code = subprocess.run(
        [sys.executable, "-c", version], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    places = (str(folder), str(folder / "results"), str(folder / "results"))
    argv = [*command(folder, f"--engine torch --model mine {options}").split()[2:]]
    return {"argv": argv, "model": "mine", "code": code, "places": places}


def test_a_learner_that_changed_gets_a_new_process(checkout: Path, runner: Runner) -> None:
    mine = checkout / "model" / "mine.py"
    mine.write_text("from .online import Net\n")
    first = runner.perform(order(checkout), lambda progress: True)
    assert first["status"] == 0, first
    mine.write_text("import random\nfrom .online import Net\nprint('mine, changed')\n1 / 0\n")
    second = runner.perform(order(checkout), lambda progress: True)
    assert second["status"] == 1
    assert second["said"].startswith("ZeroDivisionError: division by zero (")
    assert len(results(checkout.parent)) == 1


def test_code_that_is_not_there_is_told(checkout: Path, runner: Runner) -> None:
    (checkout / "model" / "mine.py").write_text("from .online import Net\n")
    for _ in range(2):
        reply = runner.perform({**order(checkout), "code": "another"}, lambda progress: True)
        assert reply == {"status": None}
    assert runner.perform(order(checkout), lambda progress: True)["status"] == 0


def test_a_run_that_nobody_wants_stops_and_goes_on_later(checkout: Path, runner: Runner) -> None:
    (checkout / "model" / "mine.py").write_text("from .online import Net\n")
    wanted = order(checkout, lasting("", 10**6))
    stopped = runner.perform(wanted, lambda progress: False)
    assert (stopped["status"], stopped["stopped"]) == (128 + signal.SIGTERM, True)
    wanted["argv"] += ["--resume", "yes"]
    whole = runner.perform(wanted, lambda progress: True)
    assert (whole["status"], whole["stopped"]) == (0, False)
    (args,) = results(checkout.parent)
    assert args["resume"]


def test_what_a_learner_prints_is_no_reply(checkout: Path, runner: Runner) -> None:
    (checkout / "model" / "mine.py").write_text(
        "import os, sys\nfrom .online import Net\nprint('noise')\nos.write(1, b'noise')\n"
    )
    assert runner.perform(order(checkout), lambda progress: True)["status"] == 0


def test_a_process_that_died_is_told_and_the_next_one_is_new(checkout: Path, runner: Runner) -> None:
    mine = checkout / "model" / "mine.py"
    mine.write_text("import os\nfrom .online import Net\nos._exit(7)\n")
    with pytest.raises(EOFError):
        runner.perform(order(checkout), lambda progress: True)
    assert runner.end() == 7
    mine.write_text("from .online import Net\n")
    assert runner.perform(order(checkout), lambda progress: True)["status"] == 0
