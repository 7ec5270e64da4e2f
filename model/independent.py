"""One small network for each task: no transfer, no interference (GEM, section 4.2; MER, section 5)."""

from argparse import Namespace

import torch
from torch import nn

from . import engine
from .common import MLP, OptionError, on_engine


class Net(nn.Module):
    """n_tasks MLPs that share n_hiddens units a layer between them. Reads n_layers, n_hiddens, lr, finetune.

    Raises:
        OptionError: more tasks than hidden units.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__()
        n_hiddens = args.n_hiddens // n_tasks
        if not n_hiddens:
            raise OptionError(
                f"--n_hiddens {args.n_hiddens}: independent divides them by {n_tasks} tasks, give more"
            )
        nets = [MLP([n_inputs] + [n_hiddens] * args.n_layers + [n_outputs]) for _ in range(n_tasks)]
        self.nets = nn.ModuleList(nets)
        self.weights, self.engines = zip(*(on_engine(net, net.net, args) for net in nets), strict=True)
        self.finetune = args.finetune
        self.last = 0

    def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
        """Scores (B, n_outputs) of the task's own network for inputs (B, n_inputs) or a `test_set`."""
        return self.engines[t].scores(x)

    def test_set(self, examples: engine.Examples) -> object:
        """A task's test examples in the form that `forward` reads fastest."""
        return self.engines[0].test_set(examples)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """One SGD step of the task's network, which --finetune yes starts from the last task's weights."""
        if self.finetune and t > 0 and t != self.last:
            self.weights[t].flat.copy_(self.weights[self.last].flat)
            self.last = t
        self.engines[t].step(x, y)
