"""What comes and goes as a learner learns: modules and what is registered in them, optimisers, schedules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .kinds import Home, Unsavable, class_name, find_shared, joined

KINDS = ("_parameters", "_buffers", "_modules")
"""Where a module has what is registered in it, by names."""
Shape = dict[str, Any]
"""Of a module: its class, and of each of these kinds in order which names have None."""


def shape_of(module: nn.Module) -> Shape:
    """A module without what its names stand for."""
    names = {kind: {leaf: value is None for leaf, value in getattr(module, kind).items()} for kind in KINDS}
    return {"class": class_name(type(module)), **names}


def grow(module: nn.Module, state: dict[str, Any], home: Home, path: str) -> None:
    """Give a module the parts, parameters and buffers that `Encoder.module` found, and no others.

    What is there already stays the same object; values of parameters are not set.

    Raises:
        Unsavable: a part's class is not the learner's own, ours or PyTorch's.
    """
    placed = {id(module)}
    for at, shape in state["parts"].items():  # What holds a part comes before it.
        holder, leaf = _place(module, at)
        part = holder._modules.get(leaf) if at else module
        if part is None or (at and (class_name(type(part)) != shape["class"] or id(part) in placed)):
            part = holder._modules[leaf] = bare(shape["class"], home, joined(path, at))
        placed.add(id(part))
        _register(part, shape)

    saved = state["parameters"]
    parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    for name in state["marks"]:
        if name in saved and _facts(parameters.get(name)) != _facts(saved[name]):
            holder, leaf = _place(module, name)
            holder._parameters[leaf] = nn.Parameter(torch.empty_like(saved[name]), requires_grad=False)

    for name, buffer in state["buffers"].items():
        if name in buffers:
            buffers[name].data = buffer.to(buffers[name].device)
        else:
            holder, leaf = _place(module, name)
            holder.register_buffer(leaf, buffer, persistent=name in saved)


def bare(name: str, home: Home, path: str) -> nn.Module:
    """A module of the class of this name with nothing in it.

    Raises:
        Unsavable: the class is not the learner's own, ours or PyTorch's.
    """
    shared = find_shared(name, nn.Module, "model.common", "torch.nn.modules.")
    cls = home.find_class(name, nn.Module) or shared
    if cls is None:
        raise Unsavable(f"the learner's {path}, made as it went, cannot be made again: a {name}")
    module: nn.Module = cls.__new__(cls)
    nn.Module.__init__(module)
    return module


def new_stateful(name: str, groups: list[dict[str, Any]], optimizer: Any) -> Any:
    """An optimiser of PyTorch's for these groups or, where there is an `optimizer`, a schedule for that.

    Its state is yet to come. None where PyTorch has none of this name.
    """
    if optimizer is None:
        cls = find_shared(name, torch.optim.Optimizer, "torch.optim")
        return cls(groups) if cls and groups else None
    cls = find_shared(name, torch.optim.lr_scheduler.LRScheduler, "torch.optim")
    if cls is None:
        return None
    schedule = cls.__new__(cls)  # Its arguments are in its state.
    schedule.optimizer = optimizer
    return schedule


def _register(module: nn.Module, shape: Shape) -> None:
    """Give a module these names and no others, None where it had nothing under them."""
    for kind in KINDS:
        names, table = shape[kind], getattr(module, kind)
        if list(shape_of(module)[kind].items()) != list(names.items()):
            values = {leaf: None if empty else table.get(leaf) for leaf, empty in names.items()}
            table.clear()
            table.update(values)
            for leaf in names:
                vars(module).pop(leaf, None)  # It may have been an attribute, None.
    module._non_persistent_buffers_set.intersection_update(module._buffers)


def _place(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The part that holds what has this name, and the last of the name."""
    at, _, leaf = name.rpartition(".")
    return module.get_submodule(at), leaf


def _facts(tensor: torch.Tensor | None) -> tuple[Any, ...]:
    return () if tensor is None else (tensor.shape, tensor.dtype)
