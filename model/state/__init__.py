"""A learner's whole state as plain values and tensors, which a safe file can hold and a run go on from."""

from __future__ import annotations

from typing import Any

from torch import nn

from .decoder import Decoder
from .encoder import Encoder
from .kinds import Unsavable
from .proof import Proof

__all__ = ["Proof", "Unsavable", "capture", "restore"]


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


def restore(net: nn.Module, state: dict[str, Any]) -> None:
    """Give a learner that was built with the same arguments the state that `capture` found.

    Raises:
        Unsavable: the learner had other parameters by then, or made what cannot be made again.
    """
    Decoder(net).module(net, state, "")
