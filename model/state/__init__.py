"""A learner's whole state as plain values and tensors, which a safe file can hold and a run go on from."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from .decoder import Decoder
from .encoder import Encoder
from .kinds import Unsavable

__all__ = ["Unsavable", "capture", "parts", "restore"]


Parts = frozenset[tuple[str, str, str]]


def parts(net: nn.Module) -> Parts:
    """A learner's modules and parameters: their names, the first name of each, and its shape."""
    first: dict[int, str] = {}
    modules = net.named_modules(remove_duplicate=False)
    parameters = net.named_parameters(remove_duplicate=False)
    return frozenset(
        (name, first.setdefault(id(part), name), "" if is_lazy(part) else str(getattr(part, "shape", "")))
        for name, part in (*modules, *parameters)
    )


def capture(net: nn.Module, built: Parts | None = None) -> dict[str, Any]:
    """A learner's parameters, their gradients, buffers and other attributes, its modules' too.

    Attributes may be numbers, strings, tensors, arrays, lists, tuples, dictionaries, sets, deques,
    generators, optimisers, modules, anything else with `state_dict` and `load_state_dict`, objects, named
    tuples and members of enumerations of classes in the learner's own file made of these, and functions,
    which are left out. What shares an object, or the memory of a parameter or of another tensor, goes on
    sharing it.

    Args:
        built: the learner's parts when it was built, if it may have grown.

    Raises:
        Unsavable: an attribute is of another kind, or the learner has other parts than it was built with.
    """
    if built is not None and (others := parts(net) ^ built):
        raise Unsavable(f"the learner's {min(others)[0]} came, went or changed as it learned")
    return Encoder(net).module(net, "")


def restore(net: nn.Module, state: dict[str, Any]) -> None:
    """Give a learner that was built with the same arguments the state that `capture` found.

    Raises:
        Unsavable: the learner had other parameters by then, or made what cannot be made again.
    """
    Decoder(net).module(net, state, "")
