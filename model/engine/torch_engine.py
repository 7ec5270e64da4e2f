"""The reference engine: PyTorch's autograd, for any network on any device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import torch
from torch.nn.functional import cross_entropy

from .draws import in_turn, shuffle_draw
from .weights import Weights

CHUNK = 10_000
"""Rows of a test set that are made dense at a time."""


class Examples(Protocol):
    """What an engine needs of a task's examples: images (N, P) that tasks share, and the task's pixel map."""

    images: torch.Tensor
    pixel_map: torch.Tensor | None

    def __len__(self) -> int: ...

    def x(self, rows: slice) -> torch.Tensor:
        """Inputs (B, n_inputs), float32, of some of the rows."""


class DenseRows:
    """Input rows kept for replay, as one tensor that grows."""

    def __init__(self, n_inputs: int, device: torch.device) -> None:
        self._rows = torch.empty(0, n_inputs, device=device)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, slot: int, x: torch.Tensor) -> None:
        """Write one row (n_inputs,) at a slot in use, or at the next one, `len(rows)`."""
        if slot == self._length:
            if self._length == len(self._rows):
                more = torch.empty(max(64, self._length), self._rows.shape[1], device=self._rows.device)
                self._rows = torch.cat([self._rows, more])
            self._length += 1
        self._rows[slot] = x

    def dense(self) -> torch.Tensor:
        """All rows, float32 (len, n_inputs)."""
        return self._rows[: self._length]

    def __getitem__(self, slots: torch.Tensor) -> torch.Tensor:
        """The rows at `slots`, int64 (B,) on the CPU, in that order: float32 (B, n_inputs)."""
        return self._rows[slots.to(self._rows.device)]


class TorchEngine:
    """The engine's verbs over a network whose parameters are views into `weights`.

    Inputs `x` are float32 (B, n_inputs) or a batch taken from `rows()`; labels `y` are int64 (B,). The loss
    of a row is its cross-entropy. Every verb that computes a loss raises FloatingPointError where that is NaN
    or infinite.
    """

    name = "torch"
    draws = staticmethod(partial(in_turn, shuffle_draw))

    def __init__(
        self, network: torch.nn.Module, weights: Weights, lr: float, reason: str | None = None
    ) -> None:
        """`reason`: why it has to stand in for the native engine, if it does."""
        self._network, self.weights, self.lr, self.reason = network, weights, lr, reason
        self._parameters: list[torch.Tensor] = list(network.parameters())

    def test_set(self, examples: Examples) -> Examples:
        """A task's test examples in the form that `scores` reads fastest."""
        return examples

    def rows(self, n_inputs: int) -> DenseRows:
        """An empty store of input rows, from which batches can be taken by slot."""
        return DenseRows(n_inputs, self.weights.flat.device)

    def sgd(self, x: torch.Tensor, y: torch.Tensor, scale: torch.Tensor | None = None) -> None:
        """One SGD step per row, in order (batch size one), on its loss times its `scale` (B,), if given."""
        x, y, learned = self._here(x), self._here(y), self._learned()
        total: torch.Tensor | float = 0.0
        for i in range(len(x)):
            loss = cross_entropy(self._network(x[i : i + 1]), y[i : i + 1])
            if scale is not None:
                loss = loss * scale[i]
            gradients = torch.autograd.grad(loss, learned)
            with torch.no_grad():
                torch._foreach_add_(learned, gradients, alpha=-self.lr)
            total = total + loss.detach()
        _check(total)

    def step(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        weight: torch.Tensor | None = None,
        pull: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        """One SGD step on the sum of the rows' losses times `weight` (B,), by default their mean.

        `pull`, two vectors (stiffness, target) laid out like the weights, adds stiffness * weights - target
        to the gradient: a diagonal quadratic penalty such as EWC's, however many terms it sums.
        """
        gradient = self.gradient(x, y, weight)
        if pull is not None:
            stiffness, target = pull
            gradient.addcmul_(stiffness, self.weights.flat).sub_(target)
        self.weights.descend(gradient, self.lr)

    def gradient(self, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """The gradient of the same sum, float32 (P,), laid out like the weights."""
        x, y, learned = self._here(x), self._here(y), self._learned()
        scores = self._network(x)
        if weight is None:
            loss = cross_entropy(scores, y)
        else:
            loss = cross_entropy(scores, y, reduction="none") @ self._here(weight)
        _check(loss.detach())
        gradient = torch.zeros_like(self.weights.flat)
        views = self.weights.views(gradient)
        for parameter, g in zip(learned, torch.autograd.grad(loss, learned), strict=True):
            views[parameter].copy_(g)
        return gradient

    def gradients(self, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """The gradient of each batch's mean loss, float32 (len(batches), P), until the next call."""
        return torch.stack([self.gradient(x, y) for x, y in batches])

    def gram(self, vectors: torch.Tensor) -> torch.Tensor:
        """The products of vectors laid out like the weights, float32 (K, P): float64 (K, K)."""
        vectors = vectors.double()
        return vectors @ vectors.T

    def combination(self, factors: Sequence[float], vectors: torch.Tensor) -> torch.Tensor:
        """The sum of vectors laid out like the weights, float32 (K, P), each times its factor: made in
        float64, float32 (P,).
        """
        combined = torch.zeros_like(self.weights.flat, dtype=torch.float64)
        for factor, vector in zip(factors, vectors, strict=True):
            if factor:
                combined.add_(vector, alpha=factor)
        return combined.float()

    @torch.no_grad()
    def scores(self, x: torch.Tensor | Examples) -> torch.Tensor:
        """The network's output, float32 (B, n_outputs), before any softmax, for inputs or a `test_set`."""
        if isinstance(x, torch.Tensor):
            return self._network(self._here(x))
        return torch.cat([self.scores(x.x(slice(i, i + CHUNK))) for i in range(0, len(x), CHUNK)])

    def _learned(self) -> list[torch.Tensor]:
        """The parameters that are not frozen."""
        return [parameter for parameter in self._parameters if parameter.requires_grad]

    def _here(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.weights.flat.device)


def _check(loss: torch.Tensor | float) -> None:
    if not torch.isfinite(torch.as_tensor(loss)):
        raise FloatingPointError(f"the loss is {float(loss)}")
