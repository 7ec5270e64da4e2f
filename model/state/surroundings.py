"""What a learner's files keep beside it: under global names, on classes, and in functions."""

from __future__ import annotations

import copy
import random
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch
from torch import nn

from .kinds import Home
from .portrait import Portrait

CONTAINERS = (list, dict, set, deque)


def portrait(net: nn.Module, home: Home) -> Portrait:
    """What is beside a learner, itself not followed."""
    kept = types.SimpleNamespace()
    for holder, name, value in _names(home):
        value = getattr(value, "__func__", value)  # Static methods and those of classes.
        foreign = isinstance(value, types.FunctionType) and value.__module__ not in home.modules
        if not (foreign or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType)):
            where = holder.__name__ if isinstance(holder, types.ModuleType) else _place(holder)
            setattr(kept, f"{where}.{name}", value)
    return Portrait(kept, home, stop=net)


class Surroundings:
    """What is beside a learner now, to be put back: names, what is directly in containers, and generators."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._values = {(holder, name): value for holder, name, value in _names(home)}
        self._contents = [(v, copy.copy(v)) for v in self._values.values() if type(v) in CONTAINERS]
        self._generators = [set_back for v in self._values.values() if (set_back := _setter(v))]

    def put_back(self) -> None:
        """Have everything as it was."""
        for holder, name, value in list(_names(self._home)):
            if (holder, name) not in self._values:
                delattr(holder, name)
            elif value is not self._values[holder, name]:
                setattr(holder, name, self._values[holder, name])
        for container, content in self._contents:
            container.clear()
            (container.extend if isinstance(container, list | deque) else container.update)(content)
        for set_back in self._generators:
            set_back()


def _names(home: Home) -> Iterator[tuple[Any, str, Any]]:
    """All names of the files and of their classes: where, which, and for what."""
    waiting: list[Any] = list(home.modules.values())
    known = {id(holder) for holder in waiting}
    while waiting:
        holder = waiting.pop()
        for name, value in list(vars(holder).items()):
            if name.startswith("__") or name == "_abc_impl":
                continue
            yield holder, name, value
            if isinstance(value, type) and value.__module__ in home.modules and id(value) not in known:
                known.add(id(value))
                waiting.append(value)


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _setter(value: Any) -> Callable[[], object] | None:
    """What sets a generator back to where it is."""
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        state: Any = value.getstate()
        return lambda: value.setstate(state)
    if isinstance(value, numpy.random.RandomState | torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state)
    if isinstance(value, numpy.random.Generator):
        state = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", state)
    return None
