"""Elastic Weight Consolidation (Kirkpatrick et al. 2017; MER, section 5)."""

from argparse import Namespace

import torch

from .common import Learner, OptionError


class Net(Learner):
    """One network, pulled back to where it was after each task.

    Reads n_layers, n_hiddens, lr, n_memories, memory_strength.

    loss = cross-entropy + memory_strength * sum over finished tasks of F (weights - anchor)^2, F being the
    squared gradient of the mean loss over the task's first n_memories examples. The sums of F and of F *
    anchor say it all, so that a step costs the same however many tasks there were.

    Raises:
        OptionError: n_memories is 0.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
        super().__init__(n_inputs, n_outputs, args)
        if args.n_memories < 1:
            raise OptionError("ewc estimates Fisher information from examples: give --n_memories, 1 or more")
        self.n_memories, self.memory_strength = args.n_memories, args.memory_strength
        self.task: int | None = None
        self.pull: tuple[torch.Tensor, torch.Tensor] | None = None

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """One SGD step on a batch and the penalty; the task's first examples are kept."""
        if self.task is None:
            self.task, self.x, self.y = t, x, y
        elif t != self.task:
            self.consolidate()
            self.task, self.x, self.y = t, x, y
        elif (room := self.n_memories - self.y.numel()) > 0:
            self.x, self.y = torch.cat([self.x, x[:room]]), torch.cat([self.y, y[:room]])
        self.engine.step(x, y, pull=self.pull)

    def consolidate(self) -> None:
        """Add the finished task's penalty to the pull, the gradient of all penalties."""
        fisher = self.engine.gradient(self.x, self.y).square()
        stiffness = 2 * self.memory_strength * fisher
        target = stiffness * self.weights.flat
        if self.pull is None:
            self.pull = stiffness, target
        else:
            self.pull = self.pull[0] + stiffness, self.pull[1] + target
