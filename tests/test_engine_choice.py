"""Which engine a network gets, and how many threads its learner."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch
from native_cases import needs_native
from torch import nn

import main
from model import engine
from model.common import relu_between
from model.engine import EngineError, NativeEngine, TorchEngine, Weights

OTHERS = {
    "Linear, Tanh, Linear": lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)),
    "Linear, ReLU, Dropout, Linear": lambda: nn.Sequential(
        nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)
    ),
    "Linear, ReLU": lambda: nn.Sequential(nn.Linear(4, 2), nn.ReLU()),
    "Linear, Linear": lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)),
    "a bias": lambda: nn.Sequential(nn.Linear(4, 2, bias=False)),
    "all of them": lambda: nn.Sequential(nn.Linear(4, 2)).requires_grad_(False),
}


def build(network: nn.Sequential, name: str) -> engine.Engine:
    args = Namespace(engine=name, lr=0.1, cuda=False, threads=1)
    return engine.build(network, Weights(network), args)


@needs_native
@pytest.mark.parametrize("what", OTHERS)
def test_a_network_that_the_native_engine_does_not_know_gets_the_torch_engine(what):
    built = build(OTHERS[what](), "auto")
    assert isinstance(built, TorchEngine)
    assert what in built.reason and "\n" not in built.reason
    assert engine.note(holding([built])) == f"using the torch engine: {built.reason}"
    with pytest.raises(EngineError, match=f"--engine native: .*{what}"):
        build(OTHERS[what](), "native")


@needs_native
def test_an_mlp_gets_the_native_engine():
    network = relu_between([nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2)])
    assert isinstance(build(network, "auto"), NativeEngine)
    assert engine.note(holding(build(network, "auto"))) is None
    by_name = build(network, "torch")
    assert isinstance(by_name, TorchEngine)
    assert engine.note(holding(by_name)) is None


def holding(engines: object) -> nn.Module:
    net = nn.Module()
    net.engines = engines
    return net


def test_a_layer_that_is_frozen_stays_as_it_is():
    network = relu_between([nn.Linear(4, 3), nn.Linear(3, 2)])
    network[0].requires_grad_(False)
    before = [p.clone() for p in network.parameters()]
    built = build(network, "torch")
    x, y = torch.rand(2, 4), torch.tensor([0, 1])
    built.step(x, y)
    built.sgd(x, y)
    same = [torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert same == [True, True, False, False]


LEARNER = """\
import torch
from torch import nn

from .common import on_engine


class Net(nn.Module):
    def __init__(self, n_inputs, n_outputs, n_tasks, args):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_inputs, 8), nn.{unit}(), nn.Linear(8, n_outputs))
        self.register_buffer("threads", torch.zeros(1))
        if {engine}:
            self.weights, self.engine = on_engine(self, self.net, args)

    def forward(self, x, t):
        return self.net(x)

    def observe(self, x, t, y):
        {change}
        self.threads[0] = torch.get_num_threads()
        if {engine}:
            self.engine.step(x, y)
"""


SHORT = ["--data_file", "small_permutations.pt", "--samples_per_task", "6", "--lr", "0.1"]


@needs_native
def test_a_run_says_so(plugin, run_main, capsys):
    name = plugin(LEARNER.format(unit="Tanh", engine=True, change=""))
    _, auto, *_ = run_main("--model", name, *SHORT)
    assert capsys.readouterr().err == (
        "using the torch engine: the native engine knows Linear, ReLU, ..., Linear, "
        "and the network is Linear, Tanh, Linear\n"
    )
    _, by_name, *_ = run_main("--model", name, *SHORT, "--engine", "torch")
    assert torch.equal(auto, by_name)


@pytest.mark.parametrize(
    ("engine", "options", "threads"),
    [
        (False, "", 1),
        (False, "--threads 3", 3),
        (True, "--threads 3 --engine torch", 3),
        pytest.param(True, "--threads 3", 1, marks=needs_native),
    ],
)
def test_threads(plugin, run_main, engine, options, threads):
    """PyTorch has one unless more are asked for, and one beside the native engine."""
    name = plugin(LEARNER.format(unit="ReLU", engine=engine, change=""))
    before = torch.get_num_threads()
    _, _, weights, *_ = run_main("--model", name, *SHORT, *options.split())
    torch.set_num_threads(before)
    assert weights["threads"].item() == threads


FREEZE = "self.net[0].requires_grad_(t == 0)"
MOVE = "self.net[0].weight.data = self.net[0].weight.data.clone()"
REPLACE = "self.net[2] = nn.Linear(8, 10)"


@pytest.mark.parametrize(
    ("change", "engine", "said"),
    [
        pytest.param(FREEZE, "auto", "one is frozen: give --engine torch", marks=needs_native),
        (FREEZE, "torch", None),
        (MOVE, "auto", "change parameters in place"),
        (MOVE, "torch", "change parameters in place"),
        (REPLACE, "auto", "change parameters in place"),
    ],
)
def test_what_an_engine_cannot_see_ends_the_run(plugin, small_data, tmp_path, capsys, change, engine, said):
    name = plugin(LEARNER.format(unit="ReLU", engine=True, change=change))
    places = ["--data_path", str(small_data), "--save_path", str(tmp_path / "out")]
    assert main.run(["--model", name, *SHORT, *places, "--engine", engine]) == (2 if said else 0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(said)
    assert not said or lines[0].startswith("main.py: ") and lines[0].endswith(said)
    assert len(list((tmp_path / "out").glob("*.pt"))) == (0 if said else 1)
