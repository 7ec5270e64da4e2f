"""The networks, and what the learners share."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from . import engine
from .engine.weights import Weights


class OptionError(ValueError):
    """Options that a learner cannot work with; the message is one line for the user."""


def xavier(layer: nn.Linear) -> None:
    """Refill a layer as GEM does: uniform within sqrt(6 / (fan_in + fan_out)), biases zero (Glorot 2010)."""
    bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)


class MLP(nn.Module):
    """Linear, ReLU, ..., Linear, with `sizes` units from input to output; (B, sizes[0]) -> (B, sizes[-1])."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        linears = [nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False)]
        for layer in linears:
            xavier(layer)
        self.net = relu_between(linears)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def relu_between(linears: Sequence[nn.Linear]) -> nn.Sequential:
    """The layers in a row with a ReLU between any two."""
    modules: list[nn.Module] = [linears[0]]
    for layer in linears[1:]:
        modules += [nn.ReLU(), layer]
    return nn.Sequential(*modules)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut around them (He et al. 2016, figure 2)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


class ResNet18(nn.Module):
    """GEM's slim ResNet-18 for 3x32x32 images, `nf` filters at first; (B, 3072) -> (B, nclasses)."""

    def __init__(self, nclasses: int, nf: int = 20) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, nf, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(nf)
        stages = []
        n_in = nf
        for n_out, stride in ((nf, 1), (2 * nf, 2), (4 * nf, 2), (8 * nf, 2)):
            stages.append(nn.Sequential(BasicBlock(n_in, n_out, stride), BasicBlock(n_out, n_out, 1)))
            n_in = n_out
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.linear = nn.Linear(n_in, nclasses)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.bn1(self.conv1(x.view(len(x), 3, 32, 32))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        return self.linear(functional.avg_pool2d(hidden, 4).flatten(1))


class Learner(nn.Module):
    """One MLP for all tasks with an engine under it; what differs between learners is how they `observe`.

    Attributes:
        net: the MLP, n_layers hidden layers of n_hiddens units.
        weights: its parameters as one vector.
        engine: the arithmetic on them, at learning rate `engine.lr`, args.lr unless you change it.
    """

    def __init__(self, n_inputs: int, n_outputs: int, args: Namespace) -> None:
        super().__init__()
        self.net = MLP([n_inputs] + [args.n_hiddens] * args.n_layers + [n_outputs])
        self.weights, self.engine = on_engine(self.net, self.net.net, args)

    def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
        """Scores (B, n_outputs) of inputs (B, n_inputs), or of a `test_set`; the task makes no difference."""
        return self.engine.scores(x)

    def test_set(self, examples: engine.Examples) -> object:
        """A task's test examples in the form that `forward` reads fastest."""
        return self.engine.test_set(examples)


def on_engine(module: nn.Module, network: nn.Sequential, args: Namespace) -> tuple[Weights, engine.Engine]:
    """A module's parameters as one vector, on the device args.cuda asks for, and an engine for a network."""
    if args.cuda:
        module.cuda()
    weights = Weights(module)
    return weights, engine.build(network, weights, args)
