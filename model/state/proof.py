"""That a learner's state makes another one the same."""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .decoder import Decoder
from .encoder import capture
from .kinds import Home, Unsavable
from .portrait import Portrait, difference
from .surroundings import beside, imported_again


class Proof:
    """Captures a learner's state, if that makes a twin of it, built alike, what the learner is.

    Hooks, closures, methods and classes are not in a state: whether they are the same shows only in a twin
    that was given one.
    """

    def __init__(self, net: nn.Module, file: str, build: Callable[[types.ModuleType], nn.Module]) -> None:
        """Of a new learner, the name of its file, and what makes a twin of it from that file.

        The file is imported again, and others of the checkout with it: what they keep beside a learner is the
        twin's own. It is built once, and now, as learners may write files when they are built.
        """
        self._net, self._home = net, Home.of(net)
        self._twin: nn.Module | Unsavable
        try:
            with imported_again(file, self._home) as (module, self._twin_home):
                self._twin = build(module)
        except Exception as error:  # Of the learner's own.
            self._twin = _failed(error)

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
        if isinstance(self._twin, Unsavable):
            raise self._twin
        changed = difference(beside(self._net, self._home), beside(self._twin, self._twin_home))
        if changed is not None:
            raise Unsavable(f"{changed[1:]} changed, which is not the learner's own")
        mine = Portrait(self._net, self._home)
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        decoder = Decoder(self._twin, self._twin_home, mine.objects)
        decoder.module(self._twin, torch.load(file, weights_only=True), "")
        where = difference(mine, Portrait(self._twin, self._twin_home))
        if where is not None:
            named = f"learner's {where[1:]}" if where else "learner"
            raise Unsavable(f"the {named} would not come back as it is")


def _failed(error: Exception) -> Unsavable:
    said = (str(error).splitlines() or [""])[0]
    return Unsavable(f"a second learner cannot be made the same: {type(error).__name__}: {said}")
