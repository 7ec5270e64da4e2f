"""A third party's learner, written for GEM's repository, runs as it is once its file lies in model/."""

from pathlib import Path

import pytest
import torch

import main
from model.common import MLP, ResNet18
from model.options import learners, literal

MODEL = Path(main.__file__).parent / "model"
SHORT = "--samples_per_task 6 --n_hiddens 10 --threads 1 --data_file small_permutations.pt"

# In the manner of the time: an optimiser, `Variable`, flags read off args, GPU or not.
SOURCE = """\
import torch
from torch.autograd import Variable

from .common import MLP, ResNet18


class Net(torch.nn.Module):
    def __init__(self, n_inputs, n_outputs, n_tasks, args):
        super(Net, self).__init__()
        nl, nh = args.n_layers, args.n_hiddens
        self.is_cifar = args.data_file == 'cifar100.pt'
        if self.is_cifar:
            self.net = ResNet18(n_outputs)
        else:
            self.net = MLP([n_inputs] + [nh] * nl + [n_outputs])
        self.ce = torch.nn.CrossEntropyLoss()
        self.opt = torch.optim.SGD(self.parameters(), args.lr, momentum=args.inertia)
        self.gpu = args.cuda
        assert self.gpu is False
        self.named = args.nickname
        self.counts = [0] * n_tasks

    def forward(self, x, t):
        return self.net(x)

    def observe(self, x, t, y):
        assert self.training
        self.counts[t] += x.size(0)
        if self.gpu:
            x, y = x.cuda(), y.cuda()
        self.zero_grad()
        loss = self.ce(self.net(Variable(x)), Variable(y))
        loss.backward()
        self.opt.step()
"""


def test_a_gem_style_file_runs_unmodified(plugin, run_main):
    name = plugin(SOURCE)
    assert name in learners()
    options = [*SHORT.split(), "--lr", "0.05", "--batch_size", "2"]
    *_, args = entries = run_main("--model", name, *options, "--inertia", "0", "--nickname", "ada")
    assert args["inertia"] == 0 and type(args["inertia"]) is int
    assert args["nickname"] == "ada"
    # Without momentum it is online.
    ours = run_main("--model", "online", "--engine", "torch", *options)
    assert torch.equal(entries[0], ours[0])
    for key, value in entries[2].items():
        assert torch.allclose(value, ours[2][key], atol=1e-6), key
    *_, args = run_main("--model", name, *options, "--inertia", "0.9", "--nickname", "ada")
    assert args["inertia"] == 0.9


@pytest.mark.parametrize(
    "options, said",
    [
        ("--inertia", "--inertia: it needs a value"),
        ("inertia 0.9", "inertia: options look like"),
        ("--tasks 5", "--tasks: results keep something of their own"),
    ],
)
def test_options_that_nobody_declared_are_pairs(plugin, capsys, options, said):
    name = plugin(SOURCE)
    with pytest.raises(SystemExit) as exit:
        main.run(["--model", name, *options.split()])
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("late", [False, True])
def test_an_option_of_its_own_that_is_not_given(plugin, small_data, tmp_path, capsys, late):
    """Whether it is read where the learner is built or where it learns."""
    source = SOURCE.replace("args.nickname", "args").replace("assert self.training", "self.named.nickname")
    words = ["--model", plugin(source if late else SOURCE), "--inertia", "0", *SHORT.split()]
    assert main.run([*words, "--data_path", str(small_data), "--save_path", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "args.nickname" in err and "give --nickname value" in err and err.count("\n") == 1
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    "source",
    [
        "from .online import Net",
        "from .online import *",
        "from . import online\n\nNet = online.Net",
        "from .online import Net as Base\n\nif True:\n    class Net(Base):\n        pass",
    ],
)
def test_a_net_may_come_from_elsewhere(plugin, run_main, source):
    run_main("--model", plugin(source), *SHORT.split())


def test_a_net_that_is_not_the_files_own(plugin, capsys):
    """Known only once the file is imported."""
    name = plugin("def make():\n    class Net:\n        pass\n")
    assert main.run(["--model", name, *SHORT.split()]) == 2
    assert capsys.readouterr().err == f"main.py: --model {name}: model/{name}.py has no class Net\n"


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("[3]", "[3]"),
    ],
)
def test_values_of_options_that_nobody_declared(text, value):
    assert literal(text) == value and type(literal(text)) is type(value)


def test_a_file_without_a_net_is_no_learner(plugin, capsys):
    name = plugin("class Network:\n    pass\n")
    assert name not in learners()
    with pytest.raises(SystemExit) as exit:
        main.run(["--model", name])
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert f"--model {name}: there is no such learner" in err and err.count("\n") == 1


def test_other_encodings_and_an_editors_lock_are_no_obstacle(plugin, run_main):
    """A file in Latin-1, and the link to nowhere that Emacs keeps beside a file it has open."""
    name = plugin("")
    (MODEL / f"{name}.py").write_bytes(f"# -*- coding: latin-1 -*-\n# caf\xe9\n{SOURCE}".encode("latin-1"))
    lock = MODEL / f".#{name}.py"
    lock.symlink_to("nobody@nowhere")
    try:
        run_main("--model", name, *SHORT.split(), "--inertia", "0", "--nickname", "x")
    finally:
        lock.unlink()


def test_errors_in_a_learner_are_tracebacks(plugin, small_data, tmp_path):
    name = plugin(SOURCE.replace("self.opt.step()", "raise ZeroDivisionError('theirs')"))
    words = ["--model", name, "--inertia", "0", "--nickname", "x", *SHORT.split()]
    with pytest.raises(ZeroDivisionError, match="theirs"):
        main.run([*words, "--data_path", str(small_data), "--save_path", str(tmp_path / "out")])
    assert not list((tmp_path / "out").iterdir())


def test_a_learner_is_evaluated_in_eval_mode(plugin, run_main):
    source = SOURCE.replace("return self.net(x)", "assert not self.training\n        return self.net(x)")
    run_main("--model", plugin(source), *SHORT.split(), "--inertia", "0", "--nickname", "x")


def test_resnet18_takes_flat_images():
    torch.manual_seed(0)
    net = ResNet18(7)
    scores = net(torch.rand(2, 3072))
    assert scores.shape == (2, 7)
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    # GEM's slim ResNet: 20, 40, 80 and 160 filters.
    assert net.linear.in_features == 160
    assert ResNet18(5, nf=4)(torch.rand(1, 3072)).shape == (1, 5)


def test_an_mlp_starts_within_glorots_bound_and_without_bias():
    torch.manual_seed(0)
    net = MLP([30, 20, 10])
    names = ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]
    assert list(net.state_dict()) == names
    for layer, (n_in, n_out) in zip([net.net[0], net.net[2]], [(30, 20), (20, 10)], strict=True):
        bound = (6 / (n_in + n_out)) ** 0.5
        assert layer.weight.shape == (n_out, n_in)
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    assert net(torch.rand(4, 30)).shape == (4, 10)
