"""A learner's whole state as plain values and tensors, which a safe file can hold and a run go on from."""

from __future__ import annotations

from typing import Any

from torch import nn

from .decoder import Decoder
from .encoder import capture
from .kinds import Home, Unsavable
from .proof import Proof

__all__ = ["Proof", "Unsavable", "capture", "restore"]


def restore(net: nn.Module, state: dict[str, Any]) -> None:
    """Give a learner that was built with the same arguments the state that `capture` found.

    Raises:
        Unsavable: the learner made what cannot be made again.
    """
    Decoder(net, Home.of(net)).module(net, state, "")
