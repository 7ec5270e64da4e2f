"""MER with the current example's learning rate raised (MER, Algorithm 7)."""

import random
from argparse import Namespace

import torch

from .common import Learner
from .memory import Reservoir


class Net(Learner):
    """Reads n_layers, n_hiddens, lr, gamma, s and the reservoir's options."""

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        self.memory = Reservoir(n_inputs, args, self.engine)
        self.gamma, self.s = args.gamma, args.s

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """For each example of a batch, SGD on it, `s`-fold, among replayed ones, and a meta-update."""
        for x_i, y_i in zip(x, y, strict=True):
            if self.memory.age > 0:  # The published code learns nothing from the very first example.
                self.replay(self.memory.hold(x_i, y_i, t))
            self.memory.add(x_i, y_i, t)

    def replay(self, current: torch.Tensor) -> None:
        """SGD on the current example and a draw, shuffled, and Reptile's meta-update."""
        slots = torch.cat([current, self.memory.draw()])
        order = list(range(len(slots)))
        random.shuffle(order)
        scale = torch.ones(len(slots))
        scale[order.index(0)] = self.s
        before = self.weights.snapshot()
        self.engine.sgd(*self.memory.batch(slots[order]), scale=scale)
        self.weights.interpolate(before, self.gamma)
