"""The arithmetic under the learners: a few verbs over one flat weight vector.

`torch_engine` says what the verbs are. `native` has the same ones, compiled, for an MLP on the CPU.
"""

from __future__ import annotations

import os
from argparse import Namespace

import torch
from torch import nn

from .compiled import unavailable
from .native import NativeEngine
from .sparse import SparseRows
from .torch_engine import DenseRows, Examples, TorchEngine
from .weights import Weights

Engine = TorchEngine | NativeEngine
Rows = DenseRows | SparseRows

__all__ = [
    "Engine",
    "EngineError",
    "Examples",
    "Rows",
    "Weights",
    "build",
    "check",
    "held_by",
    "note",
    "torch_threads",
]


class EngineError(ValueError):
    """An engine that cannot serve was asked for; the message is one line for the user."""


def build(network: nn.Sequential, weights: Weights, args: Namespace) -> Engine:
    """The engine that args.engine asks for, over a network whose parameters are in `weights`.

    Raises:
        EngineError: the native engine was asked for by name and cannot serve.
    """
    if args.engine == "torch":
        return TorchEngine(network, weights, args.lr)
    if reason := why_not_native(args) or why_no_mlp(network):
        if args.engine == "native":
            raise EngineError(f"--engine native: {reason}")
        return TorchEngine(network, weights, args.lr, reason)
    layers = [module for module in network if isinstance(module, nn.Linear)]
    return NativeEngine(layers, weights, args.lr, cores(args))


def why_not_native(args: Namespace) -> str | None:
    """Why a run cannot have the native engine, in one line; None where it can."""
    return "the native engine does not run on a GPU" if args.cuda else unavailable()


def why_no_mlp(network: nn.Sequential) -> str | None:
    """Why the native engine cannot compute a network, in one line; None where it can."""
    kinds = [type(module) for module in network]
    known = [nn.ReLU if i % 2 else nn.Linear for i in range(len(kinds))]
    if len(kinds) % 2 == 0 or kinds != known:
        names = ", ".join(kind.__name__ for kind in kinds)
        return f"the native engine knows Linear, ReLU, ..., Linear, and the network is {names}"
    if any(layer.bias is None for layer in network if isinstance(layer, nn.Linear)):
        return "the native engine knows layers with a bias, and one has none"
    if any(p.dtype != torch.float32 or not p.requires_grad for p in network.parameters()):
        return "the native engine trains float32 parameters, all of them, and some are not that"
    return None


def held_by(net: nn.Module) -> list[Engine]:
    """A learner's engines: attributes, or in lists that are."""
    values = vars(net).values()
    parts = [part for value in values for part in (value if isinstance(value, list | tuple) else [value])]
    return [part for part in parts if isinstance(part, Engine)]


def note(net: nn.Module) -> str | None:
    """What a user should know of the engines that a learner got, in one line, if anything."""
    reasons = [held.reason for held in held_by(net) if isinstance(held, TorchEngine) and held.reason]
    return f"using the torch engine: {reasons[0]}" if reasons else None


def check(net: nn.Module) -> None:
    """See to it that a learner's engines still train what they seem to.

    Raises:
        EngineError: parameters were frozen or moved in ways that an engine cannot see.
    """
    for held in held_by(net):
        if not held.weights.hold():
            raise EngineError("an engine's parameter was replaced or moved: change parameters in place")
        if isinstance(held, NativeEngine) and held.frozen():
            raise EngineError("the native engine trains all parameters, one is frozen: give --engine torch")


def torch_threads(args: Namespace) -> int:
    """PyTorch's threads: one beside the native engine, whose own would wait for PyTorch's to rest."""
    return cores(args) if args.engine == "torch" or why_not_native(args) else 1


def cores(args: Namespace) -> int:
    """How many threads a run may use: args.threads, or where that is 0 the cores that the process may use."""
    if args.threads:
        return args.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
