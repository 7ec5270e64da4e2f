"""One input layer for each task under shared hidden layers (GEM, section 4.2; MER, section 5)."""

from argparse import Namespace

import torch
from torch import nn

from . import engine
from .common import relu_between


class Net(nn.Module):
    """Reads n_layers, n_hiddens, lr. Of n_layers hidden layers the first is the task's own, the others are
    shared.

    With n_layers 1 nothing is left to share, and each task has one Linear from input to output.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__()
        n_shared, n_hiddens = args.n_layers - 1, args.n_hiddens
        own = [nn.Linear(n_inputs, n_hiddens if n_shared > 0 else n_outputs) for _ in range(n_tasks)]
        self.i_layer = nn.ModuleList(own)
        shared: list[nn.Linear] = []
        start_at_zero = list(own)
        if n_shared > 0:
            hidden = [nn.Linear(n_hiddens, n_hiddens) for _ in range(n_shared)]
            output = nn.Linear(n_hiddens, n_outputs)
            self.h_layer = nn.ModuleList([nn.ModuleList(hidden)])
            self.o_layer = nn.ModuleList([output])
            shared = [*hidden, output]
            # The published code leaves the biases of the later hidden layers as PyTorch draws them.
            start_at_zero += [hidden[0], output]
        for layer in start_at_zero:
            nn.init.zeros_(layer.bias)
        if args.cuda:
            self.cuda()
        self.weights = engine.Weights(self)
        self.engines = [engine.build(relu_between([first, *shared]), self.weights, args) for first in own]

    def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
        """Log-probabilities (B, n_outputs) of inputs (B, n_inputs), or of a `test_set`, of task t."""
        return self.engines[t].scores(x).log_softmax(1)

    def test_set(self, examples: engine.Examples) -> object:
        """A task's test examples in the form that `forward` reads fastest."""
        return self.engines[0].test_set(examples)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """One SGD step on a batch, through the task's input layer and the shared ones."""
        self.engines[t].step(x, y)
