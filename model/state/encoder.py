"""From a learner to plain values."""

from __future__ import annotations

import argparse
import enum
import functools
import random
import types
import weakref
from collections import deque
from typing import Any

import numpy
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..engine import Engine, Weights
from .kinds import DICTIONARIES, FACTORIES, OF_MODULES, TAG, Home, Unsavable, fields_of, joined, trained

PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device}
TENSORS = (torch.Tensor, nn.Parameter, nn.Buffer)
BUILT_IN = (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, deque)
"""What an object may hold beside its attributes."""
CONSTANT = (
    *(
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.ModuleType,
        type,
        functools.partial,
        weakref.ReferenceType,
    ),
    Weights,
)
"""What counts as the same in every learner built alike, or is a view of its parameters."""


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """What was set on a module, parameters, buffers and modules aside."""
    values = {name: value for name, value in vars(module).items() if name not in OF_MODULES}
    if not type(module).__module__.startswith("torch."):
        return values
    # What PyTorch's own modules keep for themselves follows from their parameters.
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("_") and not type(value).__module__.startswith("torch.")
    }


def _other(kind: str, path: str) -> Unsavable:
    return Unsavable(f"the learner's {path} is a {kind}, which a checkpoint cannot hold")


class Encoder:
    """Describes a learner. `path` says where in it, for messages."""

    def __init__(self, net: nn.Module) -> None:
        for name, part in (*net.named_parameters(), *net.named_buffers()):
            if is_lazy(part):
                raise Unsavable(f"the learner's {name} has no shape yet")
        self._home = Home(net)
        self._parameters = list(net.parameters())
        self._owners = {p.untyped_storage().data_ptr(): i for i, p in enumerate(self._parameters)}
        # Values are kept too, so that no id is used twice; None while a value's parts are being encoded.
        self._done: dict[int, tuple[object, Any]] = {}

    def module(self, module: nn.Module, path: str) -> dict[str, Any]:
        """The learner itself, or another module."""
        return {
            "parameters": module.state_dict(),
            "learned": [name for name, p in module.named_parameters() if p.requires_grad],
            "gradients": {name: p.grad for name, p in module.named_parameters() if p.grad is not None},
            "buffers": dict(module.named_buffers()),
            "attributes": {
                at: self._fields(attributes_of(part), joined(path, at)) for at, part in module.named_modules()
            },
        }

    def encode(self, value: Any, path: str) -> Any:
        """A value that a file can hold, the same one for the same object.

        Raises:
            Unsavable: there is none.
        """
        if type(value) in PLAIN:
            return value
        if isinstance(value, torch.Tensor) and type(value) not in TENSORS:
            raise _other(type(value).__name__, path)
        if isinstance(value, torch.Tensor) and value.grad_fn is not None:
            raise Unsavable(f"the learner's {path} has a graph, which a checkpoint cannot hold: detach it")
        leaf = isinstance(value, torch.Tensor) and value.requires_grad
        if isinstance(value, torch.Tensor) and not (leaf and self._owner(value) is None):
            return self._tensor(value)
        if id(value) not in self._done:
            self._done[id(value)] = value, None
            self._done[id(value)] = value, self._leaf(value) if leaf else self._describe(value, path)
        encoded = self._done[id(value)][1]
        if encoded is None:
            raise Unsavable(f"the learner's {path} holds itself, which a checkpoint cannot hold")
        return encoded

    def _owner(self, value: torch.Tensor) -> int | None:
        """Which parameter's memory a tensor lies in."""
        strided = value.layout is torch.strided
        return self._owners.get(value.untyped_storage().data_ptr()) if strided else None

    def _tensor(self, value: torch.Tensor) -> Any:
        owner = self._owner(value)
        if owner is None:
            return value.detach()
        for i, parameter in enumerate(self._parameters):
            if value is parameter:
                return {TAG: "parameter", "index": i}
        place = value.shape, value.stride(), value.storage_offset()
        return {TAG: "view", "owner": owner, "place": place}

    def _fields(self, values: dict[str, Any], path: str) -> dict[str, Any]:
        return {name: self.encode(value, joined(path, name)) for name, value in values.items()}

    def _leaf(self, value: torch.Tensor) -> dict[str, Any]:
        parameter = isinstance(value, nn.Parameter)
        return {TAG: "leaf", "parameter": parameter, "value": value.detach(), "grad": value.grad}

    def _array(self, value: numpy.ndarray | numpy.generic, path: str) -> dict[str, Any]:
        try:
            items = torch.from_numpy(numpy.array(value))
        except (TypeError, ValueError) as error:  # Texts, objects, long doubles, other byte orders.
            raise _other(f"{type(value).__name__} of {value.dtype}", path) from error
        return {TAG: "array", "items": items, "scalar": isinstance(value, numpy.generic)}

    def _describe(self, value: Any, path: str) -> list[Any] | dict[str, Any]:
        def items(of: Any) -> list[Any]:
            return [self.encode(item, f"{path}[{i}]") for i, item in enumerate(of)]

        if type(value) is list:
            return items(value)
        if isinstance(value, CONSTANT):
            return {TAG: "constant"}
        factory = getattr(value, "default_factory", list)
        if type(value) in DICTIONARIES.values() and factory in FACTORIES.values():
            made = {"class": type(value).__name__, "factory": factory.__name__}
            return {TAG: "dict", **made, "keys": items(value), "values": items(value.values())}
        if type(value) in (tuple, set, frozenset):
            return {TAG: type(value).__name__, "items": items(value)}
        if type(value) is deque:
            return {TAG: "deque", "items": items(value), "maxlen": value.maxlen}
        if type(value) is numpy.ndarray or isinstance(value, numpy.generic):
            return self._array(value, path)
        if type(value) is random.Random:
            return {TAG: "random", "state": value.getstate()}
        if isinstance(value, torch.Generator):
            return {TAG: "generator", "state": value.get_state()}
        if isinstance(value, numpy.random.Generator):
            return {TAG: "numpy generator", "state": self.encode(value.bit_generator.state, path)}
        if isinstance(value, Engine):
            return {TAG: "engine", "lr": value.lr}
        if isinstance(value, nn.Module):
            return {TAG: "module", **self.module(value, path)}
        if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
            of = trained(value, self._parameters)
            return {TAG: "state_dict", "of": of, "state": self.encode(value.state_dict(), path)}
        cls = type(value)
        if self._home.has(cls) and isinstance(value, enum.Enum):
            return {TAG: "enum", "class": cls.__qualname__, "value": self.encode(value.value, path)}
        if self._home.has(cls) and isinstance(value, tuple) and hasattr(value, "_fields"):
            return {TAG: "named tuple", "class": cls.__qualname__, "items": items(value)}
        if cls is argparse.Namespace or (self._home.has(cls) and not isinstance(value, BUILT_IN)):
            fields = self._fields(fields_of(value), path)
            name = self._home.name_of(value)
            return {TAG: "object", "class": cls.__qualname__, "global": name, "fields": fields}
        raise _other(cls.__name__, path)
