"""What a value is, and what it holds, for any value that can be followed from a learner."""

from __future__ import annotations

import functools
import hashlib
import io
import random
import types
import weakref
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from ..engine import NativeEngine, TorchEngine
from ..engine.sparse import SparseRows
from ..engine.torch_engine import DenseRows
from .kinds import OF_MODULES, computed, fields_of, is_of

Look = tuple[Any, list[tuple[str, Any]]]
"""What says whether two values are alike but for what they hold; and that, each part with its name."""
OF_OPTIMIZERS = vars(torch.optim.Optimizer([torch.zeros(1)], {})).keys() | {"_opt_called"}
"""What PyTorch and its schedules set on an optimiser."""
COMPILERS = ("_dynamo", "_torchdynamo")
"""What torch.compile sets on objects of others."""
OPAQUE = ("torch._", "torch.jit")
"""Whose objects keep things for themselves that follow from others: compiled modules."""


@functools.singledispatch
def look(value: Any) -> Look:
    """What a value is, and what it holds. By default an object of a class, and its attributes.

    Of a class with a `state_dict` of its own that says what its objects hold. A set's items are not among its
    parts, as they may have no order.
    """
    cls = type(value)
    if is_of(value, *OPAQUE):
        return None, []
    if "state_dict" in vars(cls) and (not is_of(value, "torch.") or is_of(value, "torch.amp")):
        return None, [(".state_dict()", value.state_dict())]
    if isinstance(value, io.IOBase):
        return str(getattr(value, "name", "")), []
    if isinstance(value, Iterator):
        return object(), []  # How far it is nobody can tell.
    if "__reduce__" in vars(cls):
        return None, [(".__reduce__()", tuple(value.__reduce__())[1:3])]
    return None, _attributes(fields_of(value))


def _attributes(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f".{name}", part) for name, part in sorted(values.items()) if not name.startswith(COMPILERS)]


def _items(values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(f"[{i}]", part) for i, part in enumerate(values)]


@look.register(list)
@look.register(tuple)
@look.register(deque)
def _(value: list | tuple | deque) -> Look:
    return (len(value), getattr(value, "maxlen", None)), _items(value)


@look.register
def _(value: dict) -> Look:
    names = [
        f"[{key!r}]" if isinstance(key, int | float | str | bytes) else f"[{i}]"
        for i, key in enumerate(value)
    ]
    keys = [(f"{name} key", key) for name, key in zip(names, value, strict=True)]
    factory = (
        ".default_factory",
        getattr(value, "default_factory", None) if isinstance(value, defaultdict) else None,
    )
    return None, [factory, *keys, *zip(names, value.values(), strict=True)]


@look.register(set)
@look.register(frozenset)
def _(value: set | frozenset) -> Look:
    values = all(isinstance(item, int | float | str) for item in value)
    return list(map(repr, value)) if values else len(value), []


@look.register
def _(value: torch.Tensor) -> Look:
    hooks = (value._backward_hooks, getattr(value, "_post_accumulate_grad_hooks", None))
    held = {"grad": value.grad if value.is_leaf else None, "hooks": list(map(_values, hooks))}
    facts = value.dtype, value.layout, value.device, value.requires_grad, value.is_leaf
    whole = () if is_lazy(value) else (value.shape, _strides(value), _digest(value))
    return (*map(str, facts), *whole), _attributes({**held, **vars(value)})


@look.register
def _(value: numpy.ndarray) -> Look:
    return (value.dtype.str, value.shape, value.flags.writeable, hashlib.sha256(value.tobytes()).digest()), []


@look.register
def _(value: RemovableHandle) -> Look:
    hooks = list(value.hooks_dict_ref() or ())
    return hooks.index(value.id) if value.id in hooks else None, []


@look.register
def _(value: types.SimpleNamespace) -> Look:
    return None, _attributes(vars(value))


@look.register
def _(value: random.Random) -> Look:
    return None if isinstance(value, random.SystemRandom) else value.getstate(), []


@look.register
def _(value: numpy.random.Generator) -> Look:
    return repr(value.bit_generator.state), []


@look.register
def _(value: torch.Generator) -> Look:
    return str(value.device), [(".get_state()", value.get_state())]


@look.register
def _(value: types.ModuleType) -> Look:
    return value.__name__, []


@look.register
def _(value: type) -> Look:
    return value.__qualname__, []


@look.register
def _(value: types.FunctionType) -> Look:
    if (value.__module__ or "").startswith(OPAQUE):
        return value.__qualname__, []
    cells = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
    held = {"defaults": value.__defaults__, "kwdefaults": value.__kwdefaults__, **vars(value), **cells}
    return value.__code__, _attributes(held)


@look.register
def _(value: types.CellType) -> Look:
    try:
        return None, [("", value.cell_contents)]
    except ValueError:
        return "empty", []


@look.register
def _(value: types.MethodType) -> Look:
    return None, [("()", value.__func__), (".__self__", value.__self__)]


@look.register
def _(value: types.BuiltinFunctionType) -> Look:
    return value.__name__, [(".__self__", value.__self__)]


@look.register
def _(value: functools.partial) -> Look:
    held = {"func": value.func, "args": value.args, "keywords": value.keywords}
    return None, _attributes({**held, **vars(value)})


@look.register(weakref.WeakSet)
@look.register(weakref.WeakKeyDictionary)
@look.register(weakref.WeakValueDictionary)
def _(value: object) -> Look:
    return None, []  # Something else holds what is in them.


@look.register
def _(value: weakref.ReferenceType) -> Look:
    return None, [("()", value())]


@look.register
def _(value: nn.Module) -> Look:
    fields = dict(vars(value))
    named = {kind: fields.pop(kind) for kind in ("_modules", "_parameters", "_buffers")}
    # Hooks are under numbers that count all of the process.
    fields |= {name: _values(fields[name]) for name in OF_MODULES & fields.keys() if "hooks" in name}
    if is_of(value, "torch."):
        # Such as a weight under weight_norm, which the next forward pass computes again.
        originals = {name.removesuffix("_orig") for name in named["_parameters"]}
        fields = {name: part for name, part in fields.items() if not (computed(part) or name in originals)}
    # In their order, which is that of the optimiser's parameters.
    parts = [(f".{name}", part) for those in named.values() for name, part in those.items()]
    return list(map(list, named.values())), [*parts, *_attributes(fields)]


@look.register
def _(value: torch.optim.Optimizer) -> Look:
    theirs = is_of(value, "torch.")
    fields = {
        name: _values(part) if name in OF_OPTIMIZERS and "hooks" in name else part
        for name, part in vars(value).items()
        if "hooks" in name or not (name in OF_OPTIMIZERS or (theirs and name.startswith("_")))
    }
    if hasattr(fields.get("step"), "_wrapped_by_lr_sched"):
        del fields["step"]  # Counts, to warn of a schedule that goes before its optimiser.
    # Their settings come back in another order.
    groups = [sorted(group.items()) for group in value.param_groups]
    defaults = sorted(value.defaults.items())
    return None, _attributes({**fields, "state": value.state, "param_groups": groups, "defaults": defaults})


@look.register(DenseRows)
@look.register(SparseRows)
def _(value: DenseRows | SparseRows) -> Look:
    return None, [("", value.dense())]


@look.register(TorchEngine)
@look.register(NativeEngine)
def _(value: TorchEngine | NativeEngine) -> Look:
    return value.lr, [(".weights", value.weights)]


def _values(hooks: dict[int, Any] | None) -> list[Any]:
    return list((hooks or {}).values())


def _strides(value: torch.Tensor) -> tuple[int, ...]:
    """Steps from one number to the next, on which the order of sums may hang."""
    strided = value.layout is torch.strided
    return (
        tuple(step for n, step in zip(value.shape, value.stride(), strict=True) if n > 1) if strided else ()
    )


def _digest(value: torch.Tensor) -> bytes:
    dense = value.detach() if value.layout is torch.strided else value.detach().to_dense()
    whole = dense.cpu().resolve_conj().resolve_neg().flatten().clone(memory_format=torch.contiguous_format)
    return hashlib.sha256(whole.view(torch.uint8).numpy().data).digest()
