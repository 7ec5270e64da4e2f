"""MER with one big batch a meta-update, the current example last (MER, Algorithm 6)."""

from argparse import Namespace

import torch

from .common import Learner
from .memory import Reservoir


class Net(Learner):
    """Reads n_layers, n_hiddens, lr, gamma, batches_per_example and the reservoir's options."""

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        self.memory = Reservoir(n_inputs, args, self.engine)
        self.batches_per_example = int(args.batches_per_example)
        self.gamma = args.gamma

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """For each example of a batch, SGD on replayed ones and then on it, under a Reptile meta-update."""
        weights = self.weights
        for x_i, y_i in zip(x, y, strict=True):
            current = self.memory.hold(x_i, y_i, t)
            self.memory.draw()  # The published code makes this draw and does not use it.
            for drawn in self.memory.draws(self.batches_per_example):
                before = weights.snapshot()
                self.engine.sgd(*self.memory.batch(drawn, current))
                weights.interpolate(before, self.gamma)
                del before  # The next one then lies in the same memory, which the caches still have.
            self.memory.add(x_i, y_i, t)
