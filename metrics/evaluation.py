"""How accurate a learner is on every task's test set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

CHUNK = 10_000
"""Test examples that are made dense at a time, for learners that read nothing else."""


class Examples(Protocol):
    """A task's test examples."""

    y: torch.Tensor

    def __len__(self) -> int: ...

    def x(self, rows: slice) -> torch.Tensor:
        """Inputs (B, n_inputs), float32, of some of the rows."""


class Evaluation:
    """Accuracy on every test example of every task, prepared once and asked for many times.

    A learner with a method `test_set(examples)` is given what that returns in place of the inputs (B,
    n_inputs).
    """

    def __init__(self, net: torch.nn.Module, tests: Sequence[Examples], device: str) -> None:
        self._net, self._tests, self._device = net, tests, device
        prepare: Callable[[Examples], Any] | None = getattr(net, "test_set", None)
        self._prepared = [prepare(examples) for examples in tests] if prepare else None

    @torch.no_grad()
    def accuracies(self) -> list[float]:
        """The accuracy on each task, between 0 and 1.

        Raises:
            FloatingPointError: a score is NaN, or an example's best score is infinite.
        """
        self._net.eval()
        return [self._accuracy(t) for t in range(len(self._tests))]

    def _accuracy(self, t: int) -> float:
        scores = self._scores(t)
        best, guesses = scores.max(1)
        # Some learners give classes of other tasks minus infinity.
        if not best.isfinite().all():
            raise FloatingPointError(f"the scores on task {t} are not all finite")
        return (guesses.cpu() == self._tests[t].y).double().mean().item()

    def _scores(self, t: int) -> torch.Tensor:
        if self._prepared is not None:
            return self._net(self._prepared[t], t)
        test = self._tests[t]
        chunks = [test.x(slice(i, i + CHUNK)).to(self._device) for i in range(0, len(test), CHUNK)]
        return torch.cat([self._net(x, t) for x in chunks])
