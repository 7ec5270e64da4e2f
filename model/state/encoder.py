"""From a learner to plain values."""

from __future__ import annotations

import datetime
import enum
import functools
import io
import logging
import operator
import random
import re
import threading
import types
import weakref
from collections import deque
from pathlib import PurePath
from typing import Any

import numpy
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from ..engine import Engine, Weights
from .growth import shape_of
from .kinds import (
    BAGS,
    DICTIONARIES,
    FACTORIES,
    TAG,
    Home,
    Unsavable,
    attributes_of,
    computed,
    fields_of,
    joined,
    marks_of,
    trained,
)

PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device}
TENSORS = (torch.Tensor, nn.Parameter, nn.Buffer)
BUILT_IN = (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, deque)
"""What an object may hold beside its attributes."""
CONSTANT = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, weakref.ReferenceType),
    *(numpy.ufunc, functools.partial, type(functools.cache(len)), operator.attrgetter, operator.itemgetter),
    *(range, slice, re.Pattern, PurePath, datetime.date, datetime.time, datetime.timedelta),
    *(RemovableHandle, logging.Logger, io.IOBase, type(threading.Lock()), type(threading.RLock()), Weights),
)
"""What counts as the same in every learner built alike, or is a view of its parameters."""


def _other(kind: str, path: str) -> Unsavable:
    return Unsavable(f"the learner's {path} is a {kind}, which a checkpoint cannot hold")


class Encoder:
    """Describes a learner. `path` says where in it, for messages."""

    def __init__(self, net: nn.Module) -> None:
        for name, part in (*net.named_parameters(), *net.named_buffers()):
            if is_lazy(part):
                raise Unsavable(f"the learner's {name} has no shape yet")
        self._home = Home.of(net)
        self._names = self._home.names()
        self._parts = {id(part): name for name, part in net.named_modules()}
        self._parameters = list(net.parameters())
        self._owners = {p.untyped_storage().data_ptr(): i for i, p in enumerate(self._parameters)}
        # Values are kept too, so that no id is used twice; None while a value's parts are being encoded.
        self._done: dict[int, tuple[object, Any]] = {}

    def module(self, module: nn.Module, path: str) -> dict[str, Any]:
        """The learner itself, or another module."""
        return {
            "parts": {at: shape_of(part) for at, part in module.named_modules()},
            # Not the learner's own, which may be about a part of it.
            "parameters": nn.Module.state_dict(module),
            "learned": [name for name, p in module.named_parameters() if p.requires_grad],
            "gradients": {name: p.grad for name, p in module.named_parameters() if p.grad is not None},
            "marks": {
                name: self._fields(marks_of(p), joined(path, name)) for name, p in module.named_parameters()
            },
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
        if isinstance(value, torch.Tensor) and (value.is_quantized or value.is_nested):
            raise _other("quantized or nested tensor", path)
        if computed(value):
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

        if id(value) in self._parts:
            return {TAG: "part", "name": self._parts[id(value)]}
        if id(value) in self._names:
            return {TAG: "global", "name": self._names[id(value)]}
        if type(value) is list:
            return items(value)
        if isinstance(value, CONSTANT):
            return {TAG: "constant"}
        if type(value) in DICTIONARIES.values():
            factory = getattr(value, "default_factory", None)
            known = next((name for name, cls in FACTORIES.items() if cls is factory), None)
            made = {"class": type(value).__name__, "factory": known}
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
        if isinstance(value, numpy.random.RandomState):
            return {TAG: "numpy twister", "state": self.encode(value.get_state(legacy=False), path)}
        if isinstance(value, Engine):
            return {TAG: "engine", "lr": value.lr}
        if isinstance(value, nn.Module):
            return {TAG: "module", **self.module(value, path)}
        # Of the class: an object may pass on what it is asked for.
        if hasattr(type(value), "state_dict") and hasattr(type(value), "load_state_dict"):
            schedule = isinstance(value, torch.optim.lr_scheduler.LRScheduler)
            scheduled = getattr(value, "optimizer", None) if schedule else None
            return {
                TAG: "state_dict",
                "of": trained(value, self._parameters),
                "optimizer": self.encode(scheduled, joined(path, "optimizer")),
                "state": self.encode(value.state_dict(), path),
                "defaults": self.encode(getattr(value, "defaults", None), path),
            }
        cls = type(value)
        name = self._home.own_name(cls)
        if name and isinstance(value, enum.Enum):
            return {TAG: "enum", "class": name, "value": self.encode(value.value, path)}
        if name and isinstance(value, tuple) and hasattr(value, "_fields"):
            return {TAG: "named tuple", "class": name, "items": items(value)}
        if cls in BAGS.values() or (name and not isinstance(value, BUILT_IN)):
            fields = self._fields(fields_of(value), path)
            return {TAG: "object", "class": name or cls.__name__, "fields": fields}
        raise _other(cls.__name__, path)


def capture(net: nn.Module) -> dict[str, Any]:
    """A learner's parameters, their gradients, buffers and other attributes, its modules' too.

    Attributes may be numbers, strings, tensors, arrays, lists, tuples, dictionaries, sets, deques,
    generators, optimisers, modules, anything else with `state_dict` and `load_state_dict`, objects, named
    tuples and members of enumerations of classes in the learner's own file made of these, and functions,
    which are left out. What shares an object, or the memory of a parameter or of another tensor, goes on
    sharing it.

    Raises:
        Unsavable: an attribute is of another kind.
    """
    try:
        return Encoder(net).module(net, "")
    except RecursionError as error:
        raise Unsavable("something in the learner is nested too deep for a checkpoint") from error
