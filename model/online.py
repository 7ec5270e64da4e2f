"""Plain SGD on the stream, the baseline that forgets (MER, section 5)."""

import torch

from .common import Learner


class Net(Learner):
    """One network for all tasks. Reads n_layers, n_hiddens, lr."""

    def __init__(self, n_inputs, n_outputs, n_tasks, args):
        super().__init__(n_inputs, n_outputs, args)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """One SGD step on a batch (B, n_inputs), labels (B,)."""
        self.engine.step(x, y)
