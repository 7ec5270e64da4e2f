"""From plain values to a learner."""

from __future__ import annotations

import enum
import operator
import random
from collections import defaultdict, deque
from collections.abc import Container
from typing import Any

import numpy
import torch
from torch import nn

from .growth import bare, grow, new_stateful
from .kinds import (
    BAGS,
    DICTIONARIES,
    FACTORIES,
    TAG,
    Home,
    Unsavable,
    attributes_of,
    class_name,
    fields_of,
    joined,
    marks_of,
    trained,
)

BITS = {name: getattr(numpy.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")}
"""NumPy's sources of random bits, by the names that their states have."""


def _another(path: str) -> Unsavable:
    return Unsavable(f"the learner's {path} was another one by then than when it was built")


def _unlike(saved: dict[str, Any], there: dict[str, Any]) -> str:
    """The first name of what only one of two states has, or has in another shape."""
    one, other = (
        {(name, getattr(part, "shape", None)) for name, part in of.items()} for of in (saved, there)
    )
    return min((name for name, _ in one ^ other), default="network")


class Decoder:
    """Makes a new learner what another one was.

    What the new one has in a value's place is given that value where it can be: methods and closures may
    hold on to it.
    """

    def __init__(self, net: nn.Module, home: Home, others: Container[int] = ()) -> None:
        """`home`: the learner's files; `others`: ids of what is another learner's, not to be written to."""
        self._net, self._home, self._others = net, home, others
        self._names = self._home.names()
        self._parameters: list[nn.Parameter] = []
        self._done: dict[int, Any] = {}
        # By id: what of the new learner stands for a value already.
        self._taken: dict[int, Any] = {}

    def module(self, module: nn.Module, state: dict[str, Any], path: str) -> None:
        """Give a module the state that `Encoder.module` found.

        Raises:
            Unsavable: it made what cannot be made again.
        """
        saved, there = state["parameters"], nn.Module.state_dict(module)
        try:
            grow(module, state, self._home, path)
            self._parameters = list(self._net.parameters())
            # Not the learner's own, which may be about a part of it.
            nn.Module.load_state_dict(module, saved)
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(name in state["learned"])
                parameter.grad = state["gradients"].get(name)
            parts = {at: module.get_submodule(at) for at in state["attributes"]}
        except (AttributeError, RuntimeError) as error:
            name = joined(path, _unlike(saved, there))
            raise Unsavable(f"the learner's {name} came, went or changed as it learned") from error
        for name, parameter in module.named_parameters():
            marks = state["marks"][name]
            for mark in marks_of(parameter).keys() - marks.keys():
                delattr(parameter, mark)
            for mark, value in marks.items():
                fresh = getattr(parameter, mark, None)
                setattr(parameter, mark, self.decode(value, fresh, joined(joined(path, name), mark)))
        for at, part in parts.items():
            for name in attributes_of(part).keys() - state["attributes"][at].keys():
                delattr(part, name)
            for name, value in state["attributes"][at].items():
                fresh = vars(part).get(name)
                decoded = self.decode(value, fresh, joined(joined(path, at), name))
                if decoded is not fresh or name not in vars(part):
                    setattr(part, name, decoded)

    def decode(self, value: Any, fresh: Any, path: str) -> Any:
        """The value itself; `fresh` is what the new learner has in its place, or None."""
        if isinstance(value, torch.Tensor) and isinstance(fresh, torch.Tensor):
            return value.to(fresh.device)
        if not isinstance(value, list | dict):
            return value
        if id(value) not in self._done:
            self._done[id(value)] = (
                self._filled(fresh, list, self._items(value, fresh, path))
                if isinstance(value, list)
                else self._rebuild(value, fresh, path)
            )
        return self._done[id(value)]

    def _filled(self, fresh: Any, cls: Any, items: Any) -> Any:
        """The new learner's container with these items, or one of this class."""
        if type(fresh) is not cls or not self._claimed(fresh):
            return items if type(items) is cls else cls(items)
        fresh.clear()
        (fresh.extend if isinstance(fresh, list | deque) else fresh.update)(items)
        return fresh

    def _items(self, values: list[Any], fresh: Any, path: str) -> list[Any]:
        known = (
            list(fresh)
            if isinstance(fresh, list | tuple) and len(fresh) == len(values)
            else [None] * len(values)
        )
        pairs = enumerate(zip(values, known, strict=True))
        return [self.decode(value, item, f"{path}[{i}]") for i, (value, item) in pairs]

    def _rebuild(self, value: dict[str, Any], fresh: Any, path: str) -> Any:
        match value[TAG]:
            case "constant":
                return self._there(fresh, path)
            case "parameter":
                return self._parameters[value["index"]]
            case "view":
                return self._parameters[value["owner"]].detach().as_strided(*value["place"])
            case "leaf":
                return self._leaf(value, fresh)
            case "dict":
                return self._dictionary(value, fresh, path)
            case "tuple":
                return tuple(self._items(value["items"], fresh, path))
            case "set":
                return self._set(self._items(value["items"], None, path), fresh)
            case "global":
                return self._there(self._home.find(value["name"]), path)
            case "frozenset":
                return frozenset(self._items(value["items"], None, path))
            case "deque":
                items = deque(self._items(value["items"], None, path), value["maxlen"])
                same = isinstance(fresh, deque) and fresh.maxlen == items.maxlen
                return self._filled(fresh, deque, items) if same else items
            case "array":
                array = value["items"].numpy()
                return array[()] if value["scalar"] else array
            case "random":
                twister = self._instead(fresh, random.Random())
                twister.setstate(value["state"])
                return twister
            case "generator":
                generator = self._instead(fresh, torch.Generator())
                generator.set_state(value["state"])
                return generator
            case "numpy generator":
                state = self.decode(value["state"], None, path)
                drawing = self._instead(fresh, numpy.random.Generator(BITS[state["bit_generator"]]()))
                if type(drawing.bit_generator).__name__ != state["bit_generator"]:
                    raise _another(path)
                drawing.bit_generator.state = state
                return drawing
            case "numpy twister":
                twister = self._instead(fresh, numpy.random.RandomState())
                twister.set_state(self.decode(value["state"], None, path))
                return twister
            case "part":
                return self._net.get_submodule(value["name"])
            case "engine":
                self._only(fresh, path).lr = value["lr"]
                return fresh
            case "module":
                return self._module(value, fresh, path)
            case "state_dict":
                return self._stateful(value, fresh, path)
            case "enum":
                return self._class(value, enum.Enum)(self.decode(value["value"], None, path))
            case "named tuple":
                return self._class(value, tuple)._make(self._items(value["items"], fresh, path))
            case "object":
                return self._object(value, fresh, path)
        raise ValueError(f"a learner's state has no kind {value[TAG]}")

    def _there(self, fresh: Any, path: str) -> Any:
        if fresh is None:
            raise Unsavable(f"the learner's {path}, made as it went, cannot be made again")
        return fresh

    def _only(self, fresh: Any, path: str) -> Any:
        """The new learner's object in this place, which must not stand for another one already."""
        if not self._free(self._there(fresh, path)):
            raise _another(path)
        return fresh

    def _claimed(self, fresh: Any) -> bool:
        """Whether an object may stand for a value; one that the learner's file has a name for may not."""
        return not (id(fresh) in self._others or id(fresh) in self._names) and self._free(fresh)

    def _instead(self, fresh: Any, made: Any) -> Any:
        """The new learner's object, where it may stand for a value of this one's class, or else this one."""
        return fresh if type(fresh) is type(made) and self._claimed(fresh) else made

    def _free(self, fresh: Any) -> bool:
        """Whether the new learner's object stands for nothing yet, which from now on it does."""
        free = id(fresh) not in self._taken
        self._taken[id(fresh)] = fresh
        return free

    def _leaf(self, value: dict[str, Any], fresh: Any) -> torch.Tensor:
        tensor = value["value"]
        same = isinstance(fresh, torch.Tensor) and fresh.is_leaf and fresh.requires_grad
        if not (same and fresh.dtype == tensor.dtype and self._claimed(fresh)):
            fresh = nn.Parameter(tensor) if value["parameter"] else tensor.detach().requires_grad_()
        # Not copied: what shares its memory still does.
        fresh.data, fresh.grad = tensor.to(fresh.device), value["grad"]
        return fresh

    def _set(self, items: list[Any], fresh: Any) -> set[Any]:
        """Of these items in this order, if it can be had: that hangs on how a set grew to its size."""
        made = self._instead(fresh, set())
        for again in range(min(len(items), 32) + 1):
            made.clear()
            made.update(items)
            made |= set(items[:again])
            if all(map(operator.is_, made, items)):
                break
        return made

    def _module(self, value: dict[str, Any], fresh: Any, path: str) -> nn.Module:
        name = value["parts"][""]["class"]
        alike = class_name(type(fresh)) == name and self._claimed(fresh)
        part = fresh if alike else bare(name, self._home, path)
        self.module(part, value, path)
        return part

    def _stateful(self, value: dict[str, Any], fresh: Any, path: str) -> Any:
        cls, of = value["of"]
        known = all(i >= 0 for group in of for i in group)
        groups = [{"params": [self._parameters[i] for i in group]} for group in of] if known else []
        optimizer = self.decode(
            value["optimizer"], getattr(fresh, "optimizer", None), joined(path, "optimizer")
        )
        if class_name(type(fresh)) != cls:
            fresh = new_stateful(cls, groups, optimizer) or fresh
        fresh = self._only(fresh, path)
        if groups and trained(fresh, self._parameters) != value["of"] and class_name(type(fresh)) == cls:
            # Groups came as it learned.
            fresh.param_groups.clear()
            for group in groups:
                fresh.add_param_group(group)
        if trained(fresh, self._parameters) != value["of"]:
            raise _another(path)
        fresh.load_state_dict(self.decode(value["state"], None, path))
        if value["defaults"] is not None:
            fresh.defaults = self.decode(value["defaults"], None, path)
        return fresh

    def _dictionary(self, value: dict[str, Any], fresh: Any, path: str) -> Any:
        keys = self._items(value["keys"], None, path)
        old = fresh if isinstance(fresh, dict) else {}
        pairs = zip(keys, value["values"], strict=True)
        made: Any = {key: self.decode(item, old.get(key), f"{path}[{key!r}]") for key, item in pairs}
        cls = DICTIONARIES[value["class"]]
        if cls is defaultdict:
            theirs = getattr(fresh, "default_factory", None)
            made = defaultdict(FACTORIES.get(value["factory"], theirs), made)
            if theirs is not made.default_factory:
                return made
        return self._filled(fresh, cls, made)

    def _class(self, value: dict[str, Any], base: type = object) -> Any:
        cls = BAGS.get(value["class"]) or self._home.find_class(value["class"], base)
        if cls is None:
            raise Unsavable(f"the learner's files have no class {value['class']}")
        return cls

    def _object(self, value: dict[str, Any], fresh: Any, path: str) -> Any:
        cls = self._class(value)
        result = fresh if type(fresh) is cls and self._claimed(fresh) else cls.__new__(cls)
        for name in fields_of(result).keys() - value["fields"].keys():
            object.__delattr__(result, name)  # Of frozen ones too.
        for name, field in value["fields"].items():
            decoded = self.decode(field, getattr(fresh, name, None), f"{path}.{name}")
            object.__setattr__(result, name, decoded)  # Of frozen ones too.
        return result
