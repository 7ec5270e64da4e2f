"""All that can be followed from a learner, so that two can be compared: what a checkpoint must bring back."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy
import torch

from .kinds import Home
from .looks import look

VALUES = (
    int,
    float,
    complex,
    str,
    bytes,
    types.NoneType,
    numpy.generic,
    torch.Size,
    torch.dtype,
    torch.device,
)
"""What its text says all of."""
FLEETING = (tuple, types.MethodType, types.BuiltinFunctionType, type)
"""Of which it does not matter whether they are one object or two."""

Line = tuple[str, Any]
"""Where something is in a learner, and what is there."""


def difference(one: Portrait, other: Portrait) -> str | None:
    """Where two learners first differ, as what follows a learner's name; None where they do not."""
    both = one.lines, other.lines
    for (here, fact), (there, other_fact) in zip_longest(*both, fillvalue=("", None)):
        if here != there:  # Something is in only one of them.
            return there if any(here == path for path, _ in both[1]) else here
        if fact != other_fact:
            return here
    return None


class Portrait:
    """All that can be followed from a learner, or from something else of its.

    Modules are followed with their hooks, tensors with their gradients, containers, objects, methods,
    partials, and functions to what they hold on to. What is one object, or shares memory, must be or do so in
    another that is alike. Not followed are global names and the attributes of classes.

    Attributes:
        lines: about it, the same for learners that are alike.
        objects: those of which it matters which one they are, by id.
    """

    def __init__(self, root: object, home: Home, stop: object = None) -> None:
        """`home`: the learner's files, by whose names their own objects are known; `stop` is not followed."""
        self.lines: list[Line] = []
        self.objects: dict[int, Any] = {}
        self._names = {**home.names(), id(root): ""}
        # All are kept, so that no id and no memory is used twice.
        self._numbers: dict[int, int] = {id(stop): 0}
        self._in_memory: list[tuple[str, torch.Tensor | numpy.ndarray]] = []
        self._integers: list[tuple[str, int]] = []
        self._sets: list[tuple[str, Iterable[Any]]] = []
        waiting: list[Line] = [("", root)]
        while waiting:
            path, value = waiting.pop()
            waiting += [(path + name, part) for name, part in reversed(self._parts(path, value))]
        self.lines += [(path, sorted(map(self._mark, items))) for path, items in self._sets]
        self.lines += _shared(self._in_memory)
        # An object's id is another one in another process: unlike anything.
        self.lines += [(path, object() if i in self.objects else "") for path, i in self._integers]

    def _parts(self, path: str, value: Any) -> list[Line]:
        """Write down what a value is, and hand back what it holds."""
        met = id(value) in self._numbers
        self.lines.append((path, self._mark(value)))
        if type(value) is int and value > 2**16:
            self._integers.append((path, value))
        if met or isinstance(value, VALUES):
            return []
        if isinstance(value, set | frozenset):
            self._sets.append((path, value))
        if isinstance(value, numpy.ndarray) or (isinstance(value, torch.Tensor) and _has_memory(value)):
            self._in_memory.append((path, value))
        fact, parts = look(value)
        self.lines.append((path, fact))
        return parts

    def _mark(self, value: Any) -> str:
        """Its class and, of an object, which one it is; of a value all."""
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        if isinstance(value, VALUES):
            return f"{name} {value!r}"
        plain = isinstance(value, torch.Tensor) and not value.requires_grad
        if plain or isinstance(value, FLEETING):
            return name
        self.objects[id(value)] = value
        number = self._numbers.setdefault(id(value), len(self._numbers))
        return f"{name} {number} {self._names.get(id(value), '')}"


def _has_memory(value: torch.Tensor) -> bool:
    return value.layout is torch.strided and value.numel() > 0 and value.device.type != "meta"


def _shared(arrays: Sequence[tuple[str, torch.Tensor | numpy.ndarray]]) -> list[Line]:
    """Of each, the first one that it shares memory with, and how many bytes after them all it begins."""
    bounds = [_bounds(value) for _, value in arrays]
    together: list[list[int]] = []
    end = 0
    for i in sorted(range(len(arrays)), key=lambda i: bounds[i]):
        if not together or bounds[i][0] >= end:
            together.append([])
        together[-1].append(i)
        end = max(end, bounds[i][1])
    places = {i: (min(group), bounds[i][0] - bounds[group[0]][0]) for group in together for i in group}
    return [(path, places[i]) for i, (path, _) in enumerate(arrays)]


def _bounds(value: torch.Tensor | numpy.ndarray) -> tuple[int, int]:
    """Addresses of the memory that an array lies in: of its first byte, and behind its last."""
    if isinstance(value, torch.Tensor):
        start, size = value.data_ptr(), value.element_size()
        steps = [(n - 1) * step * size for n, step in zip(value.shape, value.stride(), strict=True)]
    else:
        start, size = value.__array_interface__["data"][0], value.itemsize
        steps = [(n - 1) * step for n, step in zip(value.shape, value.strides, strict=True)]
    return start + sum(min(step, 0) for step in steps), start + sum(max(step, 0) for step in steps) + size
