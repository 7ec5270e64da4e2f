"""Interrupted runs go on to the same result, to the last bit."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import main
from model.options import LEARNERS

ROOT = Path(__file__).parent.parent
OPTIONS = {
    "online": "--lr 0.03",
    "taskinput": "--lr 0.03",
    "independent": "--lr 0.03",
    "ewc": "--lr 0.01 --n_memories 5 --memory_strength 10",
    "gem": "--lr 0.01 --n_memories 7 --memory_strength 0.5",
    "eralg4": "--lr 0.03 --memories 20 --replay_batch_size 5",
    "eralg5": "--lr 0.03 --memories 20 --replay_batch_size 5",
    "meralg1": "--lr 0.03 --memories 20 --replay_batch_size 5 --batches_per_example 2 --beta 0.1 --gamma 0.5",
    "meralg6": "--lr 0.03 --memories 20 --replay_batch_size 5 --gamma 0.3",
    "meralg7": "--lr 0.03 --memories 20 --replay_batch_size 5 --gamma 0.3 --s 2",
}


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def options(model: str, engine: str, data: Path, results: Path) -> list[str]:
    shown = "--data_file small_permutations.pt --samples_per_task 12 --shuffle_tasks yes --n_epochs 2"
    return (
        f"--model {model} --engine {engine} {OPTIONS[model]} {shown} --batch_size 2 --log_every 9 "
        f"--data_path {data} --save_path {results} --n_hiddens 20 --seed 3 --threads 1 --checkpoint_every 17"
    ).split()


def outcome(results: Path) -> tuple:
    (path,) = results.glob("*.pt")
    result_t, result_a, weights, stats, _, args = torch.load(path)
    return (
        result_t.tolist(),
        result_a.tolist(),
        {k: v.tolist() for k, v in weights.items()},
        stats,
        args["run"],
    )


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("model", LEARNERS)
def test_a_resumed_run_is_bit_identical(model, engine, small_data, tmp_path, monkeypatch):
    main.main(options(model, engine, small_data, tmp_path / "whole"))
    kept = 0

    def save_then_die(*state):
        nonlocal kept
        save(*state)
        kept += 1
        if kept == 3:
            raise Killed

    save = main.Checkpoint.save
    argv = options(model, engine, small_data, tmp_path / "cut")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(main.Checkpoint, "save", save_then_die)
        main.main(argv)
    main.main([*argv, "--resume", "yes"])
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    assert not list((tmp_path / "cut").glob("*.checkpoint"))


def test_a_resumed_run_is_saved_again_when_it_would_have_been(small_data, tmp_path, monkeypatch):
    argv = options("online", "torch", small_data, tmp_path)
    save, seen = main.Checkpoint.save, []

    def noting(checkpoint, state, examples):
        seen.append(examples)
        save(checkpoint, state, examples)

    interrupted(argv, tmp_path, monkeypatch)
    monkeypatch.setattr(main.Checkpoint, "save", noting)
    main.main([*argv, "--resume", "yes"])
    # Every 17 examples, in batches of 2.
    assert seen[:2] == [36, 54]


def test_a_kill_while_writing_leaves_the_checkpoint_before(small_data, tmp_path):
    argv = options("meralg1", "torch", small_data, tmp_path / "cut")
    dying = """
import os, signal, sys, torch, main
save, calls = torch.save, []
def half(saved, path):
    save(saved, path)
    if not isinstance(path, os.PathLike):
        return
    calls.append(path)
    if len(calls) == 3:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
main.main(sys.argv[1:])
"""
    died = subprocess.run([sys.executable, "-c", dying, *argv], cwd=ROOT, capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "cut").glob(".*.part"))) == 1
    main.main([*argv, "--resume", "yes"])
    assert {path.suffix for path in (tmp_path / "cut").iterdir()} == {".pt", ".txt"}
    main.main(options("meralg1", "torch", small_data, tmp_path / "whole"))
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_sigterm_saves_and_exits_with_143(small_data, tmp_path):
    argv = options("meralg6", "torch", small_data, tmp_path / "cut")
    argv[argv.index("--samples_per_task") + 1] = "300"
    argv[argv.index("--checkpoint_every") + 1] = "1000000"
    run = subprocess.Popen(
        [sys.executable, "main.py", *argv], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "cut").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 143, said
    assert "terminated after example" in said.splitlines()[-1]
    assert len(list((tmp_path / "cut").glob("*.checkpoint"))) == 1
    main.main([*argv, "--resume", "yes"])
    argv[argv.index("--save_path") + 1] = str(tmp_path / "whole")
    main.main(argv)
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def interrupted(argv: list[str], results: Path, monkeypatch) -> Path:
    """The checkpoint of a run that was interrupted at its first one."""
    save = main.Checkpoint.save

    def save_then_die(*state):
        save(*state)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(main.Checkpoint, "save", save_then_die)
        main.main(argv)
    (path,) = results.glob("*.checkpoint")
    return path


def test_damaged_and_foreign_checkpoints_are_refused_in_one_line(small_data, tmp_path, monkeypatch, capsys):
    argv = options("eralg4", "torch", small_data, tmp_path)
    path = interrupted(argv, tmp_path, monkeypatch)
    whole = path.read_bytes()

    capsys.readouterr()
    path.write_bytes(whole[: len(whole) // 2])
    assert main.run([*argv, "--resume", "yes"]) == 2
    assert "not a whole checkpoint" in capsys.readouterr().err.splitlines()[-1]

    saved = torch.load(io.BytesIO(whole))
    saved["content"][-1000] ^= 1
    torch.save(saved, path)
    assert main.run([*argv, "--resume", "yes"]) == 2
    assert "not a whole checkpoint" in capsys.readouterr().err.splitlines()[-1]

    path.write_bytes(whole)
    saved = torch.load(path)
    torch.save({**saved, "run": "0" * 32}, path)
    assert main.run([*argv, "--resume", "yes"]) == 2
    assert "other arguments" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("*.pt"))


def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(small_data, tmp_path, monkeypatch, capsys):
    argv = options("online", "torch", small_data, tmp_path)
    capture = main.capture
    with monkeypatch.context() as patch:
        patch.setattr(
            main, "capture", lambda *net: {**capture(*net), "parameters": {"grown": torch.zeros(1)}}
        )
        path = interrupted(argv, tmp_path, patch)
    capsys.readouterr()
    assert main.run([*argv, "--resume", "yes"]) == 2
    said = "the learner's grown came, went or changed as it learned; delete it to start again"
    assert capsys.readouterr().err == f"main.py: {path}: {said}\n"
    assert [file.suffix for file in tmp_path.iterdir()] == [".checkpoint"]


OWN = """
import torch
from .online import Net as Online

class Net(Online):
    def __init__(self, *args):
        super().__init__(*args)
        print("built")
        self.losses, self.last = [], None
        self.note = self.losses.append

    def observe(self, x, t, y):
        super().observe(x, t, y)
        self.engine.lr *= 0.99
        self.note(torch.rand(1).item())
        self.engine.lr += 0.001 * self.losses[-1]
        LAST
"""


def test_a_learner_of_ones_own_goes_on(small_data, tmp_path, monkeypatch, plugin, capsys):
    """Its learning rate is its state, and what it writes to is reached by a method that it keeps."""
    model = plugin(OWN.replace("LAST", "pass"))
    argv = [*options("online", "auto", small_data, tmp_path / "cut"), "--model", model]
    interrupted(argv, tmp_path / "cut", monkeypatch)
    assert capsys.readouterr().out == "built\n"
    main.main([*argv, "--resume", "yes"])
    main.main([*argv, "--save_path", str(tmp_path / "whole")])
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(
    "said",
    ["from .online import Net", "from .online import Net as Base\n\ndef Net(*args): return Base(*args)"],
)
def test_a_learner_from_elsewhere_goes_on(said, small_data, tmp_path, monkeypatch, plugin, capsys):
    argv = [*options("online", "auto", small_data, tmp_path), "--model", plugin(said)]
    interrupted(argv, tmp_path, monkeypatch)
    main.main([*argv, "--resume", "yes"])
    assert "no more checkpoints" not in capsys.readouterr().err


EXTRA = """
import torch
from .common import MLP
from HELPER import Counter

class Sub(torch.nn.Module):
    steps = 0
    def get_extra_state(self):
        return {"steps": self.steps}
    def set_extra_state(self, state):
        self.steps = state["steps"]

class Net(torch.nn.Module):
    def __init__(self, n_inputs, n_outputs, n_tasks, args):
        super().__init__()
        self.net, self.sub, self.seen = MLP([n_inputs, 5, n_outputs]), Sub(), Counter()
        self.opt = torch.optim.SGD(self.parameters(), args.lr)
    def forward(self, x, t):
        return self.net(x)
    def observe(self, x, t, y):
        self.sub.steps += 1
        self.seen.n += len(x)
        self.opt.zero_grad()
        torch.nn.functional.cross_entropy(self(x, t), y).div(self.sub.steps + self.seen.n).backward()
        self.opt.step()
"""


@pytest.fixture
def helper():
    """A file beside model/, from which a learner takes a class."""
    path = ROOT / f"zz_test_helper_{os.getpid()}.py"
    path.write_text("class Counter:\n    def __init__(self):\n        self.n = 0\n")
    yield path.stem
    path.unlink()
    sys.modules.pop(path.stem, None)


def test_helpers_and_extra_states_of_modules_go_on(small_data, tmp_path, monkeypatch, plugin, helper, capsys):
    argv = [
        *options("online", "torch", small_data, tmp_path / "cut"),
        *("--model", plugin(EXTRA.replace("HELPER", helper))),
    ]
    interrupted(argv, tmp_path / "cut", monkeypatch)
    main.main([*argv, "--resume", "yes"])
    main.main([*argv, "--save_path", str(tmp_path / "whole")])
    (cut, whole) = (torch.load(next(path.glob("*.pt"))) for path in (tmp_path / "cut", tmp_path / "whole"))
    assert cut[2]["sub._extra_state"] == whole[2]["sub._extra_state"] != {"steps": 0}
    assert torch.equal(cut[1], whole[1])
    assert "no more checkpoints" not in capsys.readouterr().err


def test_a_learner_that_would_not_come_back_is_told_and_goes_on(small_data, tmp_path, plugin, capsys):
    model = plugin(OWN.replace("LAST", "self.last = self.net(x).sum()"))
    assert main.run([*options("online", "auto", small_data, tmp_path), "--model", model]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    said = "the learner's last has a graph, which a checkpoint cannot hold: detach it"
    assert line == f"no more checkpoints: {said}"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pt", ".txt"]


def test_no_checkpoint_means_a_start_from_the_beginning(small_data, tmp_path, capsys):
    assert main.run([*options("online", "torch", small_data, tmp_path), "--resume", "yes"]) == 0
    assert "starting at the beginning" in capsys.readouterr().err


def test_a_full_disk_is_told_and_the_run_goes_on(small_data, tmp_path, monkeypatch, capsys):
    real = torch.save

    def full(content, place):
        """What torch.save makes of one."""
        if isinstance(place, Path):
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1152 vs 982")
        real(content, place)

    monkeypatch.setattr(torch, "save", full)
    assert main.run(options("online", "torch", small_data, tmp_path / "out")) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no more checkpoints: ") and "cannot write it, the disk may be full: " in line
