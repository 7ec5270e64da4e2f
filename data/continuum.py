"""The stream: which examples of which task come when."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Iterator, Sequence

import torch


class Continuum:
    """Batches of training examples, task after task, in the order that the seeded generators give.

    Draws from torch's and Python's global generators when it is made, and never again; iterating twice gives
    the same stream.

    Attributes:
        order: the tasks' indices in the order of presentation.
        n_examples: how many examples the stream holds, repetitions counted.
    """

    def __init__(self, sizes: Sequence[int], args: Namespace) -> None:
        """`sizes` of the tasks; of args: samples_per_task (0 or less: all), n_epochs, batch_size,
        shuffle_tasks."""
        n_tasks = len(sizes)
        shuffled = args.shuffle_tasks == "yes"
        self.order: list[int] = torch.randperm(n_tasks).tolist() if shuffled else list(range(n_tasks))
        samples = []
        for size in sizes:
            wanted = min(args.samples_per_task, size) if args.samples_per_task > 0 else size
            samples.append(torch.randperm(size)[:wanted].tolist())
        self._rows = [torch.tensor(epochs(samples[t], args.n_epochs)) for t in self.order]
        self._batch_size = args.batch_size
        self.n_examples = sum(len(rows) for rows in self._rows)

    def __iter__(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Each batch's task and the rows of its examples, int64 (B,); a task's last batch may be short."""
        for t, rows in zip(self.order, self._rows, strict=True):
            for batch in rows.split(self._batch_size):
                yield t, batch


def epochs(samples: list[int], n_epochs: int) -> list[int]:
    """A task's samples n_epochs times over, end to end, each time shuffled anew from the same order."""
    rows = []
    for _ in range(n_epochs):
        epoch = list(samples)
        random.shuffle(epoch)
        rows += epoch
    return rows
