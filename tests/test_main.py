"""main.py as a user meets it: what it prints, what it leaves behind, and how it says no."""

import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import data
import main
from metrics import code_version
from model.options import LEARNERS

ROOT = Path(__file__).parent.parent
SHORT = "--data_file small_permutations.pt --samples_per_task 4 --n_hiddens 10 --engine torch --threads 1"
PUBLISHED = {
    "model": "online",
    "n_hiddens": 100,
    "n_layers": 2,
    "finetune": True,
    "n_epochs": 1,
    "batch_size": 1,
    "lr": 1e-3,
    "n_memories": 0,
    "memory_strength": 0,
    "memories": 5120,
    "gamma": 1.0,
    "batches_per_example": 1,
    "s": 1,
    "replay_batch_size": 20,
    "beta": 1.0,
    "cuda": False,
    "seed": 0,
    "log_every": 100,
    "save_path": "results/",
    "data_path": "data/",
    "data_file": "mnist_permutations.pt",
    "samples_per_task": -1,
    "shuffle_tasks": "no",
}
"""The published options and their defaults, in the published order."""


def status(words):
    """The exit status of a run in this process."""
    try:
        return main.run(words)
    except SystemExit as exit:
        return exit.code


@pytest.fixture
def refused(small_data, tmp_path, capsys):
    """Check that a run with these options is refused: status 2, one line, nothing written; the line."""

    def check(options, expected_status=2):
        results = tmp_path / "results"
        words = [
            "--data_path",
            str(small_data),
            "--save_path",
            str(results),
            *SHORT.split(),
            *options.split(),
        ]
        assert status(words) == expected_status
        out, err = capsys.readouterr()
        assert not out
        assert re.fullmatch(r"main\.py: [^\n]+\n", err), err
        assert not results.exists() or not list(results.iterdir())
        return err

    return check


BAD_OPTIONS = {
    "--model meralg2": "meralg2.*Did you mean meralg[167].*Known: online, taskinput, .*meralg7",
    "--model common": "no such learner",
    "--model ../main": "no such learner",
    "--lr 0": "--lr.*0: give above 0",
    "--lr -0.1": "--lr.*-0.1",
    "--lr nan": "--lr.*nan",
    "--lr inf": "--lr.*inf",
    "--lr fast": "--lr.*fast",
    "--n_hiddens 0": "--n_hiddens.*0: give 1 or more",
    "--n_hiddens -3": "--n_hiddens.*-3",
    "--n_hiddens 100000000000": "--n_hiddens 100000000000 .*GB of memory, and there are",
    f"--n_hiddens {10**400}": "--n_hiddens.*at most",
    "--n_epochs 100000000000000": "--n_epochs.*GB of memory, and there are",
    "--n_layers 1001": "--n_layers.*1001.*at most 1000",
    "--threads 1000000": "--threads.*at most 1024",
    "--batches_per_example 1e18": "--batches_per_example.*at most",
    "--lr 1e39": "--lr.*at most 3.40282e",
    "--n_hiddens 2.5": "--n_hiddens.*2.5",
    "--n_layers 0": "--n_layers",
    "--n_epochs 0": "--n_epochs",
    "--batch_size 0": "--batch_size",
    "--batch_size -1": "--batch_size",
    "--log_every 0": "--log_every",
    "--memories 0": "--memories.*0: give 1 or more",
    "--memories -5": "--memories",
    "--n_memories -1": "--n_memories",
    "--memory_strength -1": "--memory_strength",
    "--replay_batch_size 0": "--replay_batch_size",
    "--batches_per_example 0.5": "--batches_per_example",
    "--gamma -1": "--gamma",
    "--beta nan": "--beta",
    "--seed -1": "--seed",
    "--seed 4294967296": "--seed.*4294967296",
    "--samples_per_task few": "--samples_per_task",
    "--threads -1": "--threads",
    "--checkpoint_every -1": "--checkpoint_every",
    "--cuda maybe": "--cuda.*maybe.*yes.*no",
    "--shuffle_tasks true": "--shuffle_tasks.*true.*yes.*no",
    "--finetune 1": "--finetune.*1.*yes.*no",
    "--resume y": "--resume.*yes.*no",
    "--engine c": "--engine.*auto.*torch.*native",
    "--replay_draws all": "--replay_draws.*shuffle.*uniform",
    "--model gem": "--n_memories",
    "--model ewc": "--n_memories",
    "--model independent --n_hiddens 4": "--n_hiddens 4.*5 tasks",
    "--data_file nowhere.pt": "nowhere.pt is not there",
    "--data_file small_rotation.pt": "did you mean small_rotations.pt",
    "--learning_rate 0.1": "--learning_rate.*no such option for online",
    "--momentum": "--momentum",
    "--batch_size=--": "--batch_size",
    "--model=--": "--model",
    "0.1": "0.1",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options(options, refused):
    assert re.search(BAD_OPTIONS[options], refused(options))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(refused):
    assert "no GPU" in refused("--cuda yes")


class Runs:
    """A pickle that wants to run code."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def some_tasks():
    x = torch.rand(6, 4)
    return [["a", x, torch.arange(6) % 3], ["b", x, torch.arange(6) % 3]]


def lengths_differ(path):
    train, test = some_tasks(), some_tasks()
    train[1][2] = train[1][2][:5]
    torch.save([train, test], path)


def truncated(path):
    torch.save([some_tasks(), some_tasks()], path)
    path.write_bytes(path.read_bytes()[:-300])


BAD_FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_text("not tensors\n" * 100),
    "truncated": truncated,
    "lengths": lengths_differ,
    "one list": lambda path: torch.save(some_tasks(), path),
    "weights": lambda path: torch.save({"weight": torch.zeros(3)}, path),
    "code": lambda path: torch.save([Runs(), Runs()], path),
    "bare pickle": lambda path: path.write_bytes(pickle.dumps(Runs())),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_data_files(kind, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BAD_FILES[kind](tmp_path / "bad.pt")
    line = refused(f"--data_path {tmp_path} --data_file bad.pt")
    assert "bad.pt" in line
    if kind == "lengths":
        assert "x of 6 rows and a y of 5" in line
    assert not (tmp_path / "ran").exists()


def test_a_save_path_that_cannot_be_written_is_found_before_training(refused, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(main, "life_experience", never)
    (tmp_path / "taken").write_text("")
    # Root may write anywhere but where nobody may.
    for folder in (str(tmp_path / "taken"), str(tmp_path / "taken" / "below"), "/proc/results"):
        assert folder in refused(f"--save_path {folder}")


def test_a_loss_that_is_not_finite_stops_the_run_with_the_example(refused):
    line = refused("--lr 1e18", 1)
    assert re.search(r"example [1-9]\d*: .*(nan|inf|finite).*--lr", line)


@pytest.mark.parametrize("model", LEARNERS)
def test_every_learner_stops_when_its_loss_is_not_finite(model, engine, refused):
    line = refused(f"--model {model} --engine {engine} --n_memories 3 --lr 1e30", 1)
    assert re.search(r"example [1-9]\d*: ", line)


def test_the_example_of_a_loss_that_is_not_finite(refused, tmp_path):
    # Of the third example one pixel is NaN; one example at a time, unshuffled by there being one a task.
    tasks = [["t", torch.full((1, 4), 0.5), torch.tensor([0])] for _ in range(4)]
    tasks[2][1] = torch.tensor([[0.5, float("nan"), 0.5, 0.5]])
    test = [["t", torch.full((2, 4), 0.5), torch.tensor([0, 1])] for _ in range(4)]
    torch.save([tasks, test], tmp_path / "nan.pt")
    assert "example 3: the loss is nan" in refused(f"--data_path {tmp_path} --data_file nan.pt", 1)


def test_scores_that_are_not_finite_are_told_with_what_came_before(refused, tmp_path):
    # Nothing is wrong in training; of the tests one pixel is infinite.
    tasks = [["t", torch.full((3, 4), 0.5), torch.arange(3)] for _ in range(2)]
    tests = [["t", torch.full((2, 4), 0.5), torch.arange(2)] for _ in range(2)]
    tests[1][1][0, 0] = float("inf")
    torch.save([tasks, tests], tmp_path / "inf.pt")
    line = refused(f"--data_path {tmp_path} --data_file inf.pt", 1)
    assert "before the first example: the scores on task 1 are not all finite" in line


def test_scores_that_are_not_finite_after_the_last_example(refused, monkeypatch):
    seen = []

    def accuracies(self):
        seen.append(self)
        if len(seen) == 6:  # Five tasks, each evaluated before its first batch.
            raise FloatingPointError("the scores on task 0 are not all finite")
        return [0.0] * 5

    monkeypatch.setattr(main.Evaluation, "accuracies", accuracies)
    assert "main.py: after example 20: the scores on task 0" in refused("--model online", 1)


def test_no_memory_left_is_one_line(refused, monkeypatch):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):

        def fails(*_, error=error):
            raise error

        monkeypatch.setattr(main, "life_experience", fails)
        assert "not enough memory" in refused("--model online")


def test_other_errors_are_not_taken_for_it(small_data, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("elements refer to a single memory location")

    monkeypatch.setattr(main, "life_experience", fails)
    with pytest.raises(RuntimeError, match="single memory location"):
        main.run([*SHORT.split(), "--data_path", str(small_data), "--save_path", str(tmp_path)])


def test_a_name_too_long_for_its_results_is_found_before_training(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(main, "life_experience", None)
    name = "x" * 200 + ".pt"
    torch.save([some_tasks(), some_tasks()], tmp_path / name)
    assert "File name too long" in refused(f"--data_path {tmp_path} --data_file {name}")


def test_what_cannot_be_shown_is_escaped(small_data, tmp_path, capsys):
    words = ["--data_path", str(small_data), "--save_path", str(tmp_path), "--data_file", "a\nb\udcff"]
    assert status(words) == 2
    assert "a\\nb\\udcff is not there" in capsys.readouterr().err


def test_what_a_run_prints(small_data, tmp_path, capsys):
    words = ["--data_path", str(small_data), "--save_path", str(tmp_path), *SHORT.split()]
    assert status(words) == 0
    out, err = capsys.readouterr()
    assert not err  # No terminal, no progress bar.
    stem, line, seconds = re.fullmatch(r"(.*?): (\{.*\} # .*) # (\d+\.\d+)", out.splitlines()[-1]).groups()
    assert float(seconds) > 0
    _, _, _, stats, one_liner, args = torch.load(f"{stem}.pt")
    assert one_liner == line == f"{args} # " + " ".join(f"{figure:.3f}" for figure in stats)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{Path(stem).name}{e}" for e in (".pt", ".txt")
    ]
    # The published options come first, in the published order, then ours.
    assert list(args)[: len(PUBLISHED)] == list(PUBLISHED)
    assert args["code"] == code_version(args["model"])
    assert args["data"] == data.load(str(small_data), args["data_file"]).fingerprint[:32]


def test_a_closed_pipe_and_a_closed_stderr_are_no_errors(small_data, tmp_path):
    for redirected in ("| true; exit ${PIPESTATUS[0]}", "2>&-"):
        words = command("--data_path", str(small_data), "--save_path", str(tmp_path))
        done = subprocess.run(
            ["bash", "-c", f"{shlex.join(words)} {redirected}"], capture_output=True, text=True, cwd=ROOT
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_a_set_that_is_built_says_so_in_one_line(tmp_path, capsys):
    words = ["--data_path", str(tmp_path / "none"), "--save_path", str(tmp_path), *SHORT.split()]
    assert status(words) == 0
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "built from mnist.npz" in err
    assert not (tmp_path / "none").exists()


def test_defaults_are_the_published_ones():
    assert PUBLISHED.items() <= vars(main.parse([])).items()


def command(*options):
    return [sys.executable, str(ROOT / "main.py"), *SHORT.split(), *options]


@pytest.mark.parametrize(
    "options, expected", [("--model onlin", 2), ("--data_file gone.pt", 2), ("--lr 1e18", 1)], ids=str
)
def test_a_process_of_its_own_ends_the_same_way(options, expected, small_data, tmp_path):
    places = ["--data_path", str(small_data), "--save_path", "out"]
    done = subprocess.run(
        command(*places, *options.split()), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == expected
    assert not done.stdout
    assert re.fullmatch(r"main\.py: [^\n]+\n", done.stderr)
    assert not list(tmp_path.rglob("*.*"))


def test_ctrl_c_leaves_no_file(small_data, tmp_path):
    # 40 epochs take far longer than the test waits.
    options = ["--samples_per_task", "300", "--n_epochs", "40", "--log_every", "1000"]
    places = ["--data_path", str(small_data), "--save_path", str(tmp_path / "out")]
    process = subprocess.Popen(
        command(*places, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert not out
    assert err.startswith("main.py: interrupted: no result; ") and err.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("script", ["main.py", "sweep.py", "get_data.py rotations", "results/report.py"])
def test_ctrl_c_while_pytorch_is_imported(script, tmp_path):
    command = [sys.executable, "-X", "importtime", *script.split()]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        # Each import is told when it is done, PyTorch's own after all that it imports.
        assert any("torch." in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    (line,) = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert line.startswith(f"{Path(script.split()[0]).name}: interrupted")
    assert (process.returncode, out) == (130, "")


def test_a_disk_that_is_full_at_the_end(refused, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    line = refused("--model online")
    # Hours of work are not lost whole: the figures are in the line.
    assert "No space left on device" in line and re.search(r"# \d\.\d{3} -?\d\.\d{3} -?\d\.\d{3}", line)


def test_a_disk_that_fails_at_the_last_moment_leaves_no_file(refused, monkeypatch):
    """Not even the .txt, which comes first."""
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    assert "Input/output error" in refused("--model online")
    assert len(calls) == 2


def test_help_groups_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        main.parse(["--help"])
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    for group in ("learner:", "optimisation:", "memory and constraints:", "experiment:", "data:"):
        assert f"\n{group}\n" in shown
    for name in PUBLISHED:
        assert f"--{name} " in shown
