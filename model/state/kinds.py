"""What the encoder and the decoder of a learner's state both know."""

from __future__ import annotations

import argparse
import operator
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

TAG = "__kind__"
"""Key of the dictionaries that stand for values of other kinds."""
DICTIONARIES: dict[str, type] = {cls.__name__: cls for cls in (dict, OrderedDict, Counter, defaultdict)}
ROOT = Path(__file__).resolve().parent.parent.parent
"""The checkout that this process runs."""
COMMON = ("model.engine", "model.state", "model.common", "model.memory", "model.options", "model.room")
"""What learners have in common."""
BAGS: dict[str, type] = {cls.__name__: cls for cls in (argparse.Namespace, types.SimpleNamespace)}
"""Classes of others whose objects are their attributes."""
FACTORIES: dict[str, type] = {cls.__name__: cls for cls in (list, dict, set, deque, int, float)}
"""What a defaultdict may make."""
OF_MODULES = vars(nn.Module()).keys() - {"training"}
"""What PyTorch sets on every module."""


class Unsavable(TypeError):
    """A learner's state cannot be saved or brought back; the message is one line for the user."""


def computed(value: object) -> bool:
    """Whether a value is a tensor that hangs on a graph."""
    return isinstance(value, torch.Tensor) and value.grad_fn is not None


def is_of(value: object, *packages: str) -> bool:
    """Whether an object's class is of one of these; a compiled function's may not say."""
    return str(type(value).__module__).startswith(packages)


def joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """What was set on a module, parameters, buffers and modules aside."""
    values = {name: value for name, value in vars(module).items() if name not in OF_MODULES}
    if not is_of(module, "torch."):
        return values
    # What PyTorch's own modules keep for themselves follows from their parameters, but for their settings.
    return {
        name: value
        for name, value in values.items()
        if not (
            (name.startswith("_") and not _is_setting(value)) or is_of(value, "torch.") or computed(value)
        )
    }


def _is_setting(value: object) -> bool:
    """Whether a value is made of numbers and words."""
    if isinstance(value, dict):
        return all(map(_is_setting, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_setting, value))
    return isinstance(value, int | float | str | None)


def marks_of(parameter: nn.Parameter) -> dict[str, Any]:
    """What was set on a parameter, but for what compilers set."""
    return {name: value for name, value in vars(parameter).items() if not name.startswith("_")}


def fields_of(value: object) -> dict[str, Any]:
    """An object's attributes, in its dictionary or in slots."""
    slots = [
        name
        for cls in type(value).__mro__
        for name, member in vars(cls).items()
        if isinstance(member, types.MemberDescriptorType) and name != "__dict__" and hasattr(value, name)
    ]
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


class Home:
    """The learner's own files: the one that has its class, and those of the checkout that it imports.

    Attributes:
        modules: what they are once they are imported, by name.
    """

    def __init__(self, modules: dict[str, types.ModuleType]) -> None:
        self.modules = modules

    @staticmethod
    def of(net: nn.Module) -> Home:
        """A learner's, its class's file first."""
        modules: dict[str, types.ModuleType] = {}
        waiting = [type(net).__module__]
        while waiting:
            name = waiting.pop()
            if name in sys.modules and name not in modules and (not modules or _is_own(name)):
                modules[name] = sys.modules[name]
                values = vars(sys.modules[name]).values()
                waiting += [
                    str(getattr(v, "__name__" if isinstance(v, types.ModuleType) else "__module__", ""))
                    for v in values
                ]
        return Home(modules)

    def find(self, name: str) -> Any:
        """What has this name, "module:name", there; None where nothing has."""
        module, _, simple = name.partition(":")
        return vars(self.modules[module]).get(simple) if module in self.modules else None

    def find_class(self, name: str, base: type) -> Any:
        """The class of this name, "module:qualified name", written there; None where no `base` has it."""
        module, _, qualified = name.partition(":")
        try:
            found = operator.attrgetter(qualified)(self.modules[module])
        except (AttributeError, KeyError):
            return None
        # Nothing else: a file could name what runs a program.
        return (
            found
            if isinstance(found, type) and issubclass(found, base) and class_name(found) == name
            else None
        )

    def names(self) -> dict[int, str]:
        """Of all objects that the files themselves have a name for, by id, that name."""
        return {
            id(value): f"{module.__name__}:{name}"
            for module in self.modules.values()
            for name, value in vars(module).items()
        }

    def own_name(self, cls: type) -> str | None:
        """The name of a class that the files have, None of others."""
        return class_name(cls) if self.find_class(class_name(cls), object) is cls else None


def class_name(cls: type) -> str:
    """By which a class can be found."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_own(name: str) -> bool:
    """Whether a module is of the checkout, and none that all learners have."""
    file = Path(getattr(sys.modules[name], "__file__", None) or "")
    return file.is_relative_to(ROOT) and "site-packages" not in file.parts and not name.startswith(COMMON)


def find_shared(name: str, base: type, *packages: str) -> Any:
    """The class of this name in one of these packages' files; None where no `base` has it."""
    file = name.partition(":")[0]
    there = file.startswith(packages) and file in sys.modules
    return Home({file: sys.modules[file]} if there else {}).find_class(name, base)


def trained(value: object, parameters: Sequence[torch.Tensor]) -> list[Any]:
    """The name of an object's class and, of an optimiser, which parameters it trains, -1 for others."""
    index = {id(parameter): i for i, parameter in enumerate(parameters)}
    groups = getattr(value, "param_groups", [])
    return [class_name(type(value)), [[index.get(id(p), -1) for p in group["params"]] for group in groups]]
