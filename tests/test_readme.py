"""What the README says to type works."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

import main
from model.options import LEARNERS, parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SMALL = ["--data_file", "small_rotations.pt", "--samples_per_task", "5", "--n_hiddens", "20"]


def commands(start: str) -> list[list[str]]:
    """The README's commands that begin so, code blocks and text alike, split as a shell would."""
    found = re.findall(rf"^(?:    |`?){re.escape(start)}[^`\n|>]*", README, re.M)
    found += re.findall(rf"`({re.escape(start)}[^`\n|>]*)`", README)
    return [shlex.split(line.strip(" `")) for line in found]


@pytest.fixture
def example_learner():
    """The README's own learner, in model/ for as long as a test lasts."""
    (source,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    path = ROOT / "model" / "decay.py"
    assert not path.exists()
    path.write_text(source)
    yield source
    path.unlink()


def test_the_example_learner_is_short_and_runs(example_learner, tmp_path, capsys):
    assert len(example_learner.splitlines()) <= 25
    (command,) = [words for words in commands("python main.py") if "decay" in words]
    main.main([*command[2:], *SMALL, "--save_path", str(tmp_path)])
    assert "'keep': 0.999" in capsys.readouterr().out
    assert len(list(tmp_path.glob("decay_*.pt"))) == 1


def test_the_commands_run(tmp_path):
    runs = [words for words in commands("python main.py") if "--model" in words and "decay" not in words]
    assert runs
    for words in runs:
        parse(words[2:])
        main.main([*words[2:], *SMALL, "--save_path", str(tmp_path)])
    assert len(list(tmp_path.glob("*.txt"))) == len(runs)


def test_the_examples_and_targets_exist():
    assert commands("./mer_examples.sh")
    for words in commands("./mer_examples.sh"):
        shown = [word for word in words if word not in ("--jobs", "2")] + ["--dry-run"]
        done = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=True)
        assert all(line.startswith("python3 main.py") for line in done.stdout.splitlines())
    for words in commands("make"):
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True)


def test_every_learner_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \|", README, re.M)
    assert sorted(rows) == sorted(LEARNERS)


def test_files_that_the_readme_names_exist():
    for name in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_table_is_the_reference_one():
    (shown,) = re.findall(r"<!-- results/reference/table.md -->\n(.*?)<!-- end -->", README, re.S)
    rows = re.findall(r"^\|.*$", shown, re.M)
    assert rows == re.findall(r"^\|.*$", (ROOT / "results" / "reference" / "table.md").read_text(), re.M)
    assert len(rows) == 60 + 3 * 2
