"""A run's log as curves over the examples seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

POINTS = 400
"""As many points of a curve as a figure can show."""
LENGTHS = 1000
"""As many lengths of a task as are tried where the options do not tell it."""


def examples_seen(rows_per_task: np.ndarray, args: Mapping[str, Any]) -> np.ndarray:
    """(R,) int64: the examples that had been learned at each row of a run's log.

    A row is logged before batch i where i is a multiple of `log_every` or the task changes there, and after
    the last batch; the files do not say which. How long a task is follows from `samples_per_task` and
    `n_epochs`. Where these disagree with the number of rows (all examples asked for, or more than there are),
    it is the greatest length found, the same for every task, that agrees. Where none does, tasks differing in
    length, a row stands for `log_every` batches, which makes a task up to that much too long.

    Args:
        rows_per_task: int64 (T,), tasks in the order presented; the baseline is not counted.
        args: the run's options; GEM's defaults where they are missing.

    Raises:
        ValueError, TypeError, ArithmeticError: options with which there can have been no run.
    """
    every, batch = int(args.get("log_every", 100)), int(args.get("batch_size", 1))
    if every < 1 or batch < 1:
        raise ValueError(f"log_every {every}, batch_size {batch}")
    length = int(args.get("samples_per_task", -1)) * int(args.get("n_epochs", 1))
    batches = -(-length // batch)
    if length <= 0 or not agrees(batches, rows_per_task, every):
        # A task's rows, the change after it included, are ceil(batches / every) if it is the first.
        most = int(rows_per_task[0]) * every
        lengths = np.linspace(most, most - every + 1, min(every, LENGTHS)).astype(np.int64)
        batches = next((b for b in lengths.tolist() if agrees(b, rows_per_task, every)), 0)
        length = batches * batch
    if not batches:
        return np.arange(rows_per_task.sum() + 1) * every * batch
    seen = [np.zeros(1, dtype=np.int64)]
    for task in range(len(rows_per_task)):
        start, end = task * batches, (task + 1) * batches
        logged = np.arange(start // every * every + every, end, every)
        seen += [task * length + (logged - start) * batch, np.array([(task + 1) * length])]
    return np.concatenate(seen)


def agrees(batches: int, rows_per_task: np.ndarray, every: int) -> bool:
    """Whether tasks of that many batches are logged in that many rows, each task's last row included."""
    ends = np.arange(len(rows_per_task) + 1) * batches
    return bool((-(-ends[1:] // every) - ends[:-1] // every == rows_per_task).all())


def tasks_seen(result_a: np.ndarray, order: np.ndarray, rows_per_task: np.ndarray) -> np.ndarray:
    """(R,) float64: the mean accuracy on the tasks presented so far, the one in training among them.

    Args:
        result_a: (R, T), columns in task-index order.
        order: (T,), the index of the t-th task presented.
        rows_per_task: (T,), as above.
    """
    task = np.append(0, np.repeat(np.arange(len(order)), rows_per_task))
    sums = result_a[:, order].cumsum(axis=1, dtype=np.float64)
    return sums[np.arange(len(task)), task] / (task + 1)


def thinned(n_rows: int) -> np.ndarray:
    """Indices of at most POINTS rows, evenly spread, the first and the last among them."""
    return np.linspace(0, n_rows - 1, min(n_rows, POINTS)).round().astype(np.int64)
