"""What CONTRIBUTING.md shows works: its learner, the learner's reference, its data set, and what it names."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import reference
from test_learners import arguments, follow, stream

import main
from data import tasks

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
CODE = [textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", TEXT, re.M | re.S)]


@pytest.fixture
def learner() -> Iterator[str]:
    """The example learner's name, its file in model/ for as long as a test lasts."""
    path = ROOT / "model" / "ersteps.py"
    assert not path.exists()
    path.write_text(CODE[0])
    yield path.stem
    path.unlink()


def options(start: str) -> list[str]:
    """The command line that begins so, after main.py."""
    (line,) = re.findall(rf"(?:^    |`){re.escape(start)}[^`\n]*", TEXT, re.M)
    return shlex.split(line.strip(" `"))[2:]


def test_the_learner_runs_as_its_command_says(learner: str, tmp_path: Path) -> None:
    main.main([*options(f"python main.py --model {learner}"), "--save_path", str(tmp_path)])
    assert len(list(tmp_path.glob("ersteps_*.pt"))) == 1


def test_the_learner_follows_its_reference(
    learner: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = dict(vars(reference))
    exec(CODE[1], names)
    monkeypatch.setitem(reference.LEARNERS, learner, names["ErSteps"])
    follow(arguments(learner, "--memories 6 --replay_batch_size 3", engine), stream(3))


def test_the_data_set_is_there_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, builder in eval(f"{{{CODE[2]}}}", dict(vars(tasks))).items():
        monkeypatch.setitem(tasks.BUILDERS, name, builder)
    main.main([*options("python main.py --data_file"), "--n_hiddens", "20", "--save_path", str(tmp_path)])
    assert len(list(tmp_path.glob("online_small_flips.pt_*.txt"))) == 1


def test_what_it_names_is_there() -> None:
    for target in re.findall(r"(?:^    |`)(make [\w-]+)", TEXT, re.M):
        subprocess.run([*target.split(), "-n"], cwd=ROOT, capture_output=True, check=True)
    paths = re.findall(r"`((?:tests|model|data|metrics|benchmarks)/[\w./]+)`", TEXT)
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists() or path == "model/ersteps.py", path
