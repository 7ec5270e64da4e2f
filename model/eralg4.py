"""Experience Replay with reservoir sampling, ER (MER, Algorithm 4)."""

from argparse import Namespace

import torch

from .common import Learner
from .memory import Reservoir


class Net(Learner):
    """Reads n_layers, n_hiddens, lr and the reservoir's options."""

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        self.memory = Reservoir(n_inputs, args, self.engine)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """For each example of a batch, one SGD step on the mean loss of it and a replay batch."""
        for x_i, y_i in zip(x, y, strict=True):
            current = self.memory.hold(x_i, y_i, t)
            self.engine.step(*self.memory.batch(self.memory.draw(), current))
            self.memory.add(x_i, y_i, t)
