"""The arithmetic under the learners: a few verbs over one flat weight vector.

`torch_engine` says what the verbs are. `native` has the same ones, compiled, for an MLP on the CPU.
"""

from __future__ import annotations

import os
from argparse import Namespace

from torch import nn

from .torch_engine import DenseRows, Examples, TorchEngine
from .weights import Weights

Engine = TorchEngine
Rows = DenseRows

__all__ = ["Engine", "Examples", "Rows", "Weights", "build"]


def build(network: nn.Sequential, weights: Weights, args: Namespace) -> Engine:
    """The engine that args.engine asks for (auto, torch or native), over one network whose parameters are in
    `weights`."""
    return TorchEngine(network, weights, args.lr)


def cores(args: Namespace) -> int:
    """How many threads a run may use: args.threads, or where that is 0 the cores that the process may use."""
    if args.threads:
        return args.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def note(args: Namespace) -> str | None:
    return None
