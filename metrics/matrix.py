"""GEM's accuracy matrix and the figures read off it (Lopez-Paz & Ranzato 2017, section 3; MER, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Statistics:
    """Accuracies between 0 and 1, tasks in the order in which they were presented; T is the number of tasks.

    Attributes:
        order: int64 (T,), the index of the t-th task presented.
        baseline: float32 (T,), before any training.
        matrix: float32 (T, T); row t when training left the t-th task presented, column u the u-th task
        presented.
    """

    order: torch.Tensor
    baseline: torch.Tensor
    matrix: torch.Tensor

    @property
    def final(self) -> torch.Tensor:
        """(T,) after the last task: their mean is the paper's retained accuracy, RA."""
        return self.matrix[-1]

    @property
    def learning(self) -> torch.Tensor:
        """(T,) each task when training left it: their mean is the paper's learning accuracy, LA."""
        return self.matrix.diagonal()

    @property
    def backward(self) -> torch.Tensor:
        """(T,) what later tasks changed of each task: their mean is the paper's BTI."""
        return self.final - self.learning

    @property
    def forward(self) -> torch.Tensor:
        """(T,) what earlier tasks brought to each task before it was trained; 0 for the first."""
        gain = torch.zeros_like(self.baseline)
        gain[1:] = self.matrix.diagonal(1) - self.baseline[1:]
        return gain

    def means(self) -> tuple[float, float, float]:
        """GEM's three figures: mean final accuracy, mean backward transfer, mean forward transfer."""
        return self.final.mean().item(), self.backward.mean().item(), self.forward.mean().item()


def statistics(result_t: torch.Tensor, result_a: torch.Tensor) -> Statistics:
    """Read the matrix off a run's log.

    Args:
        result_t: (R,), for each logged row the task seen before it; the first row is the baseline, whatever
        its tag.
        result_a: (R, T), for each logged row the accuracy on every task, columns in task-index order.

    Raises:
        ValueError: the log is not that of a whole run: not each of the T tasks was presented once.
    """
    n_tasks = result_a.shape[1]
    order, rows = torch.unique_consecutive(result_t[1:].long(), return_counts=True)
    if sorted(order.tolist()) != list(range(n_tasks)):
        raise ValueError(f"the log presents the tasks {order.tolist()}, not each of {n_tasks} once")
    leaving = rows.cumsum(0)
    return Statistics(order, result_a[0, order].float(), result_a[leaving][:, order].float())
