"""A learner's state by way of a checkpoint file, for the tests of model/state."""

from __future__ import annotations

import io
from typing import Any

import torch

from model.state import capture, restore


def through_a_file(net: torch.nn.Module, another: torch.nn.Module) -> Any:
    """Another learner, built alike, with the state of the first."""
    file = io.BytesIO()
    torch.save(capture(net), file)
    restore(another, torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    return another
