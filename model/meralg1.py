"""Meta-Experience Replay, MER (MER, Algorithm 1)."""

from argparse import Namespace

import torch

from .common import Learner
from .memory import Reservoir


class Net(Learner):
    """Reads n_layers, n_hiddens, lr, beta, gamma, batches_per_example and the reservoir's options."""

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        self.memory = Reservoir(n_inputs, args, self.engine)
        self.batches_per_example = int(args.batches_per_example)
        self.beta, self.gamma = args.beta, args.gamma

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """For each example of a batch, SGD on it and replayed ones, under two Reptile meta-updates."""
        weights = self.weights
        for x_i, y_i in zip(x, y, strict=True):
            current = self.memory.hold(x_i, y_i, t)
            start, before = weights.snapshot(), weights.snapshot()
            for drawn in self.memory.draws(self.batches_per_example):
                self.engine.sgd(*self.memory.batch(current, drawn))
                weights.interpolate(before, self.beta, renew=True)  # within-batch meta-update
            weights.interpolate(start, self.gamma)  # across-batch meta-update
            self.memory.add(x_i, y_i, t)
