"""What a learner's files keep beside it: under global names, on classes, and in functions."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .kinds import Home
from .portrait import Portrait


def beside(net: nn.Module, home: Home) -> Portrait:
    """What can be followed from the names of a learner's files, itself not followed."""
    kept = types.SimpleNamespace()
    for place, name, value in _names(home):
        value = getattr(value, "__func__", value)  # Static methods and those of classes.
        foreign = isinstance(value, types.FunctionType) and value.__module__ not in home.modules
        if not (foreign or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType)):
            setattr(kept, f"{place}.{name}", value)
    return Portrait(kept, home, stop=net)


@contextmanager
def imported_again(file: str, home: Home) -> Iterator[tuple[types.ModuleType, Home]]:
    """For a while, a learner's files as another process would import them: with global names of their own.

    Args:
        file: the name of the one to import, which the others come with.
    """
    first = {name: sys.modules.pop(name) for name in {file, *home.modules}}
    try:
        module = importlib.import_module(file)
        yield module, Home({name: sys.modules[name] for name in home.modules if name in sys.modules})
    finally:
        sys.modules.update(first)
        for name, module in first.items():
            package, _, leaf = name.rpartition(".")
            if package in sys.modules:
                setattr(sys.modules[package], leaf, module)


def _names(home: Home) -> Iterator[tuple[str, str, Any]]:
    """All names of the files and of their classes: where, which, and for what."""
    waiting: list[tuple[str, Any]] = list(home.modules.items())
    known = {id(holder) for _, holder in waiting}
    while waiting:
        place, holder = waiting.pop()
        for name, value in vars(holder).items():
            if name.startswith("__") or name == "_abc_impl":
                continue
            yield place, name, value
            if isinstance(value, type) and value.__module__ in home.modules and id(value) not in known:
                known.add(id(value))
                waiting.append((f"{value.__module__}.{value.__qualname__}", value))
