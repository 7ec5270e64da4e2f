"""Plain SGD on the stream, the baseline that forgets (MER, section 5)."""

from argparse import Namespace

import torch

from .common import Learner


class Net(Learner):
    """One network for all tasks. Reads n_layers, n_hiddens, lr."""

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """One SGD step on a batch (B, n_inputs), labels (B,)."""
        self.engine.step(x, y)
