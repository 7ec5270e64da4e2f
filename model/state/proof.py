"""That a learner's state makes another one the same."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from . import surroundings
from .decoder import Decoder
from .encoder import capture
from .kinds import Home, Unsavable
from .portrait import Portrait, difference


class Proof:
    """Captures a learner's state, if that makes a twin of it, built alike, what the learner is.

    Hooks, closures, methods and classes are not in a state: whether they are the same shows only in a twin
    that was given one.
    """

    def __init__(self, net: nn.Module, build: Callable[[], nn.Module]) -> None:
        """Of a new learner, and what makes another: once, and now, as it may write files, say.

        What it changes under global names and on classes is put back.
        """
        self._net, self._home = net, Home(net)
        self._around = surroundings.portrait(net, self._home)
        before = surroundings.Surroundings(self._home)
        try:
            self._twin: nn.Module | Unsavable = build()
        except Exception as error:  # Of the learner's own.
            self._twin = _failed(error)
        finally:
            before.put_back()

    def capture(self) -> dict[str, Any]:
        """The learner's state as it is now.

        Raises:
            Unsavable: there is none, or it is not enough.
        """
        try:
            state = capture(self._net)
            self._check(state)
        except Unsavable:
            raise
        except Exception as error:  # What is asked of the learner's objects is answered by their own code.
            raise _failed(error) from error
        return state

    def _check(self, state: dict[str, Any]) -> None:
        """See to it that this state, by way of a file, makes the twin what the learner is."""
        changed = difference(self._around, surroundings.portrait(self._net, self._home))
        if changed is not None:
            raise Unsavable(f"{changed[1:]} changed, which is not the learner's own")
        if isinstance(self._twin, Unsavable):
            raise self._twin
        mine = Portrait(self._net, self._home)
        theirs = Portrait(self._twin, self._home).objects
        for part in (mine.objects[key] for key in theirs.keys() & mine.objects.keys()):
            if isinstance(part, nn.Module) or hasattr(type(part), "load_state_dict"):
                kind = type(part).__name__
                raise Unsavable(f"learners built alike share a {kind}, which a checkpoint cannot hold")
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        Decoder(self._twin, mine.objects).module(self._twin, torch.load(file, weights_only=True), "")
        where = difference(mine, Portrait(self._twin, self._home))
        if where is not None:
            named = f"learner's {where[1:]}" if where else "learner"
            raise Unsavable(f"the {named} would not come back as it is")


def _failed(error: Exception) -> Unsavable:
    said = (str(error).splitlines() or [""])[0]
    return Unsavable(f"a second learner cannot be made the same: {type(error).__name__}: {said}")
