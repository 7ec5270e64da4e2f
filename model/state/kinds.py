"""What the encoder and the decoder of a learner's state both know."""

from __future__ import annotations

import operator
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

TAG = "__kind__"
"""Key of the dictionaries that stand for values of other kinds."""
DICTIONARIES: dict[str, type] = {cls.__name__: cls for cls in (dict, OrderedDict, Counter, defaultdict)}
FACTORIES: dict[str, type] = {cls.__name__: cls for cls in (list, dict, set, deque, int, float)}
"""What a defaultdict may make."""


OF_MODULES = vars(nn.Module()).keys() - {"training"}
"""What PyTorch sets on every module."""


class Unsavable(TypeError):
    """A learner's state cannot be saved or brought back; the message is one line for the user."""


def joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def fields_of(value: object) -> dict[str, Any]:
    """An object's attributes, in its dictionary or in slots."""
    slots = [
        name
        for cls in type(value).__mro__
        for name, member in vars(cls).items()
        if isinstance(member, types.MemberDescriptorType) and hasattr(value, name)
    ]
    return {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}


class Home:
    """The learner's own file.

    Attributes:
        module: what it is once it is imported.
    """

    def __init__(self, net: nn.Module) -> None:
        self.module = sys.modules[type(net).__module__]

    def find(self, name: str) -> Any:
        """What has this qualified name there, None where nothing has."""
        try:
            return operator.attrgetter(name)(self.module)
        except AttributeError:
            return None

    def name_of(self, value: object) -> str | None:
        """The name of an object that the file itself has."""
        return next((name for name, known in vars(self.module).items() if known is value), None)

    def has(self, cls: type) -> bool:
        return cls.__module__ == self.module.__name__ and self.find(cls.__qualname__) is cls


def trained(value: object, parameters: Sequence[torch.Tensor]) -> list[Any]:
    """An object's class and, of an optimiser, which of a learner's parameters it trains, -1 for others."""
    index = {id(parameter): i for i, parameter in enumerate(parameters)}
    groups = getattr(value, "param_groups", [])
    return [type(value).__qualname__, [[index.get(id(p), -1) for p in group["params"]] for group in groups]]
