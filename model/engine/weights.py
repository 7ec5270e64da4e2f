"""One flat vector for all the parameters of a network, so that learners can treat weights as a value."""

from __future__ import annotations

import torch

from .compiled import _native, unavailable
from .sparse import plain

LANE = 16
"""Floats in one 64-byte line: every row of a layer starts on such a boundary."""


def padded(length: int) -> int:
    """`length` rounded up to whole lanes."""
    return -(-length // LANE) * LANE


class Weights:
    """The parameters of a module, moved into one contiguous float32 vector of which they become views.

    A Linear weight, (out, in) to the module, lies input-major: `in` rows of `out` floats, each row padded
    with zeros to a multiple of `LANE`, so that the weights of one input are one contiguous, aligned run.
    Everything else lies as PyTorch holds it, padded likewise. Padding is zero and stays zero under every
    operation an engine performs.

    Attributes:
        flat: float32 (P,), the weights themselves, on the module's device.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        """Move the parameters of `module`. Build and initialise it first: values are kept."""
        self._module = module
        linear = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Linear)}
        self._layout: dict[torch.nn.Parameter, tuple[int, tuple[int, ...], tuple[int, ...]]] = {}
        end = 0
        for parameter in module.parameters():
            shape = tuple(parameter.shape)
            strides: tuple[int, ...]
            if id(parameter) in linear:
                row = padded(shape[0])
                strides, length = (1, row), shape[1] * row
            else:
                strides, length = parameter.data.contiguous().stride(), padded(parameter.numel())
            self._layout[parameter] = (end, shape, strides)
            end += length
        self.flat = torch.zeros(end, device=next(module.parameters()).device)
        for moved, view in self.views(self.flat).items():
            moved.data = view.copy_(moved.data)

    def views(self, vector: torch.Tensor) -> dict[torch.Tensor, torch.Tensor]:
        """Each parameter's part of a vector (P,) laid out like `flat`, in the parameter's own shape."""
        start = vector.storage_offset()
        return {
            p: vector.as_strided(shape, strides, start + offset)
            for p, (offset, shape, strides) in self._layout.items()
        }

    def hold(self) -> bool:
        """Whether the module's parameters are those of then, and lie in `flat`."""
        start = self.flat.data_ptr()
        there = (p.data_ptr() == start + 4 * offset for p, (offset, *_) in self._layout.items() if p.numel())
        return all(there) and [*map(id, self._module.parameters())] == [*map(id, self._layout)]

    def offset(self, parameter: torch.nn.Parameter) -> int:
        """Where in `flat` a parameter's part begins, in floats."""
        return self._layout[parameter][0]

    def snapshot(self) -> torch.Tensor:
        """A copy of the weights, float32 (P,)."""
        return self.flat.clone()

    def interpolate(self, before: torch.Tensor, rate: float, renew: bool = False) -> None:
        """Reptile's meta-update: weights <- before + rate * (weights - before), both float32 (P,).

        Where `renew`, `before` becomes a snapshot of what the weights then are, for the next one.
        """
        alike = before.shape == self.flat.shape and all(map(_as_kernels_read, (self.flat, before)))
        if alike and unavailable() is None:
            # To the same bits, in one pass over memory in place of three.
            _native.interpolate(self.flat.data_ptr(), before.data_ptr(), len(self.flat), rate, renew)
        else:
            # Not torch.lerp: its error leans one way, 2e-7 of the step, which a long run adds up.
            self.flat.sub_(before).mul_(rate).add_(before)
            if renew:
                before.copy_(self.flat)

    def descend(self, gradient: torch.Tensor, lr: float) -> None:
        """A plain SGD step along a gradient laid out like `flat`."""
        self.flat.sub_(gradient, alpha=lr)


def _as_kernels_read(vector: torch.Tensor) -> bool:
    """Whether a vector lies as the kernels read one: float32, its lines aligned."""
    return vector.is_cpu and plain(vector, torch.float32) is vector and vector.data_ptr() % 64 == 0
