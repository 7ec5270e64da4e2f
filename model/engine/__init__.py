"""The arithmetic under the learners: a few verbs over one flat weight vector.

`torch_engine` says what the verbs are. `native` has the same ones, compiled, for an MLP on the CPU.
"""

from __future__ import annotations

import os
from argparse import Namespace

from torch import nn

from .native import NativeEngine, unavailable
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
    "cores",
    "note",
    "torch_threads",
    "why_not_native",
]


class EngineError(ValueError):
    """An engine that cannot serve was asked for; the message is one line for the user."""


def build(network: nn.Sequential, weights: Weights, args: Namespace) -> Engine:
    """The engine that args.engine asks for, over one MLP whose parameters are in `weights`."""
    if args.engine == "torch" or why_not_native(args):
        return TorchEngine(network, weights, args.lr)
    layers = [module for module in network if isinstance(module, nn.Linear)]
    return NativeEngine(layers, weights, args.lr, cores(args))


def why_not_native(args: Namespace) -> str | None:
    """Why a run cannot have the native engine, in one line; None where it can."""
    return "the native engine does not run on a GPU" if args.cuda else unavailable()


def note(args: Namespace) -> str | None:
    """What a user should know of the engine that a run gets, in one line, if anything.

    Raises:
        EngineError: the native engine was asked for by name and cannot serve.
    """
    reason = None if args.engine == "torch" else why_not_native(args)
    if reason and args.engine == "native":
        raise EngineError(f"--engine native: {reason}")
    return f"using the torch engine: {reason}" if reason else None


def torch_threads(args: Namespace) -> int:
    """PyTorch's threads: one beside the native engine, whose own would wait for PyTorch's to rest."""
    return cores(args) if args.engine == "torch" or why_not_native(args) else 1


def cores(args: Namespace) -> int:
    """How many threads a run may use: args.threads, or where that is 0 the cores that the process may use."""
    if args.threads:
        return args.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
