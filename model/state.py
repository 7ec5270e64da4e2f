"""A learner's whole state as plain values and tensors, which a safe file can hold and a run go on from."""

from __future__ import annotations

import argparse
import functools
import random
import sys
import types
from collections import deque
from typing import Any

import numpy
import torch
from torch import nn

from .engine import Engine, Weights

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)
CONSTANT = (
    *(
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.ModuleType,
        type,
        functools.partial,
    ),
    *(Engine, Weights),
)
"""What is the same in every learner built alike, or a view of its parameters."""
TAG = "__kind__"
"""Key of the dictionaries that stand for values of other kinds."""


class Unsavable(TypeError):
    """A learner's state cannot be saved or brought back; the message is one line for the user."""


def capture(net: nn.Module) -> dict[str, Any]:
    """A learner's parameters, buffers and other attributes.

    Attributes may be numbers, strings, tensors, arrays, lists, tuples, dictionaries, sets, deques,
    generators, optimisers, anything else with `state_dict` and `load_state_dict`, objects of classes in the
    learner's own file made of these, and functions and modules, which are left out. What shares an object, or
    the memory of a parameter or of another attribute, goes on sharing it.

    Raises:
        Unsavable: an attribute is of another kind.
    """
    encoder = _Encoder(net)
    attributes = {name: encoder.encode(value, name) for name, value in _attributes(net).items()}
    buffers = [name for name, _ in net.named_buffers()]
    return {"parameters": net.state_dict(), "buffers": buffers, "attributes": attributes}


def restore(net: nn.Module, state: dict[str, Any]) -> None:
    """Give a learner that was built with the same arguments the state that `capture` found.

    Raises:
        Unsavable: the learner had other parameters by then.
    """
    saved, known = state["parameters"], net.state_dict()
    try:
        for name in state["buffers"]:
            if name in saved and name not in known:  # Registered as the learner went.
                module, _, leaf = name.rpartition(".")
                net.get_submodule(module).register_buffer(leaf, saved[name])
        net.load_state_dict(saved)
    except (AttributeError, RuntimeError) as error:
        raise Unsavable("the learner had other parameters by then than when it was built") from error
    decoder = _Decoder(net)
    for name, value in state["attributes"].items():
        fresh = vars(net).get(name)
        decoded = decoder.decode(value, fresh)
        if decoded is not fresh:
            setattr(net, name, decoded)


def _attributes(net: nn.Module) -> dict[str, Any]:
    """What a learner set on itself, modules and parameters aside."""
    return {name: value for name, value in vars(net).items() if name not in vars(nn.Module())}


class _Encoder:
    def __init__(self, net: nn.Module) -> None:
        self._module = type(net).__module__
        self._parameters = list(net.parameters())
        self._owners = {p.untyped_storage().data_ptr(): i for i, p in enumerate(self._parameters)}
        # Values are kept too, so that no id is used twice; None while a value's parts are being encoded.
        self._done: dict[int, tuple[object, Any]] = {}

    def encode(self, value: Any, path: str) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, PLAIN):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = value, None
            self._done[id(value)] = value, self._describe(value, path)
        encoded = self._done[id(value)][1]
        if encoded is None:
            raise Unsavable(f"the learner's {path} holds itself, which a checkpoint cannot hold")
        return encoded

    def _tensor(self, value: torch.Tensor) -> Any:
        strided = value.layout is torch.strided
        owner = self._owners.get(value.untyped_storage().data_ptr()) if strided else None
        if owner is None:
            return value.detach()
        for i, parameter in enumerate(self._parameters):
            if value is parameter:
                return {TAG: "parameter", "index": i}
        place = value.shape, value.stride(), value.storage_offset()
        return {TAG: "view", "owner": owner, "place": place}

    def _describe(self, value: Any, path: str) -> list[Any] | dict[str, Any]:
        def items(of: Any) -> list[Any]:
            return [self.encode(item, f"{path}[{i}]") for i, item in enumerate(of)]

        if type(value) is list:
            return items(value)
        if isinstance(value, CONSTANT):
            return {TAG: "constant"}
        if type(value) is dict:
            return {TAG: "dict", "keys": items(value), "values": items(value.values())}
        if type(value) in (tuple, set, frozenset):
            return {TAG: type(value).__name__, "items": items(value)}
        if isinstance(value, deque):
            return {TAG: "deque", "items": items(value), "maxlen": value.maxlen}
        if isinstance(value, numpy.ndarray | numpy.generic):
            return {
                TAG: "array",
                "items": torch.from_numpy(numpy.array(value)),
                "scalar": numpy.ndim(value) == 0,
            }
        if isinstance(value, random.Random):
            return {TAG: "random", "state": value.getstate()}
        if isinstance(value, torch.Generator):
            return {TAG: "generator", "state": value.get_state()}
        if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
            return {TAG: "state_dict", "state": self.encode(value.state_dict(), path)}
        if isinstance(value, argparse.Namespace) or type(value).__module__ == self._module:
            fields = {name: self.encode(field, f"{path}.{name}") for name, field in vars(value).items()}
            return {TAG: "object", "class": type(value).__name__, "fields": fields}
        raise Unsavable(f"the learner's {path} is a {type(value).__name__}, which a checkpoint cannot hold")


class _Decoder:
    def __init__(self, net: nn.Module) -> None:
        self._classes = {**vars(sys.modules[type(net).__module__]), "Namespace": argparse.Namespace}
        self._parameters = list(net.parameters())
        self._done: dict[int, Any] = {}

    def decode(self, value: Any, fresh: Any) -> Any:
        """The value itself; `fresh` is what the new learner has in its place, or None."""
        if isinstance(value, torch.Tensor) and isinstance(fresh, torch.Tensor):
            return value.to(fresh.device)
        if not isinstance(value, list | dict):
            return value
        if id(value) not in self._done:
            done = self._items(value, fresh) if isinstance(value, list) else self._rebuild(value, fresh)
            self._done[id(value)] = done
        return self._done[id(value)]

    def _items(self, values: list[Any], fresh: Any) -> list[Any]:
        known = (
            list(fresh)
            if isinstance(fresh, list | tuple) and len(fresh) == len(values)
            else [None] * len(values)
        )
        return [self.decode(value, item) for value, item in zip(values, known, strict=True)]

    def _rebuild(self, value: dict[str, Any], fresh: Any) -> Any:
        match value[TAG]:
            case "constant":
                return fresh
            case "parameter":
                return self._parameters[value["index"]]
            case "view":
                return self._parameters[value["owner"]].detach().as_strided(*value["place"])
            case "dict":
                keys = self._items(value["keys"], None)
                old = fresh if isinstance(fresh, dict) else {}
                return {k: self.decode(v, old.get(k)) for k, v in zip(keys, value["values"], strict=True)}
            case "tuple":
                return tuple(self._items(value["items"], fresh))
            case "set":
                return set(self._items(value["items"], None))
            case "frozenset":
                return frozenset(self._items(value["items"], None))
            case "deque":
                return deque(self._items(value["items"], None), value["maxlen"])
            case "array":
                array = value["items"].numpy()
                return array[()] if value["scalar"] else array
            case "random":
                twister = random.Random()
                twister.setstate(value["state"])
                return twister
            case "generator":
                generator = torch.Generator()
                generator.set_state(value["state"])
                return generator
            case "state_dict":
                fresh.load_state_dict(self.decode(value["state"], None))
                return fresh
            case "object":
                return self._object(value, fresh)
        raise ValueError(f"a learner's state has no kind {value[TAG]}")

    def _object(self, value: dict[str, Any], fresh: Any) -> Any:
        cls = self._classes[value["class"]]
        result = fresh if type(fresh) is cls else cls.__new__(cls)
        for name, field in value["fields"].items():
            setattr(result, name, self.decode(field, getattr(result, name, None)))
        return result
