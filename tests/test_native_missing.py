"""Runs where the native engine's extension is not there, or not for this processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from native_cases import needs_native

ROOT = Path(__file__).parent.parent
WITHOUT = "import sys; sys.modules['model.engine._native'] = None\n"
RUN = "import sys, main; sys.exit(main.run(sys.argv[1:]))"


def run(code: str, *argv: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def options(small_data, tmp_path) -> list[str]:
    places = ["--data_path", str(small_data), "--save_path", str(tmp_path / "out")]
    return ["--data_file", "small_permutations.pt", "--samples_per_task", "5", *places]


def test_the_reason():
    done = run(WITHOUT + "from model.engine import compiled; print(compiled.unavailable())")
    assert done.stdout.startswith("the native engine is not built (")
    assert done.stdout.count("\n") == 1 and "circular" not in done.stdout


def test_auto_says_in_one_line_that_it_is_torch(options, tmp_path):
    done = run(WITHOUT + RUN, *options)
    assert done.returncode == 0, done.stderr
    (note,) = done.stderr.splitlines()
    assert note.startswith("using the torch engine: the native engine is not built (")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_torch_by_name_says_nothing(options):
    done = run(WITHOUT + RUN, *options, "--engine", "torch")
    assert (done.returncode, done.stderr) == (0, "")


def test_native_by_name_is_an_error_of_one_line(options, tmp_path):
    done = run(WITHOUT + RUN, *options, "--engine", "native")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("main.py: --engine native: the native engine is not built (")
    assert not (tmp_path / "out").exists()


@needs_native
def test_an_instruction_set_that_is_not_there(options):
    done = run(RUN, *options, "--engine", "native", MER_NATIVE_ISA="sse9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "main.py: --engine native: MER_NATIVE_ISA: this processor has no sse9 kernels\n"


@needs_native
def test_no_instruction_set_named_is_the_best():
    code = "from model.engine import compiled; print(compiled.unavailable())"
    assert run(code, MER_NATIVE_ISA="").stdout == "None\n"
