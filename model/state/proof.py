"""That a learner's state makes another one the same."""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .decoder import Decoder
from .kinds import Home, Unsavable
from .portrait import Portrait, difference

CODE = (
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType),
    *(staticmethod, classmethod, property, types.MemberDescriptorType, types.GetSetDescriptorType),
)
"""What does not change as a learner learns."""


class Proof:
    """Whether what `capture` finds, by way of a file, makes another learner what this one is.

    Hooks, closures, methods and classes are not in a state: whether they are the same shows only in a learner
    that was given one.
    """

    def __init__(self, net: nn.Module, build: Callable[[], nn.Module]) -> None:
        """Of a new learner, and what makes more of the kind."""
        self._net, self._build = net, build
        self._home = Home(net).module
        self._around = self._beside()

    def check(self, state: dict[str, Any]) -> None:
        """See to it that this state, of the learner as it is now, will do.

        Raises:
            Unsavable: it will not.
        """
        changed = difference(self._around, self._beside())
        if changed is not None:
            raise Unsavable(f"{self._home.__name__}{changed} changed, which is not the learner's own")
        mine = Portrait(self._net, self._home)
        try:
            another = self._build()
            self._set(another, state, mine)
        except Unsavable:
            raise
        except Exception as error:  # What building and setting runs is the learner's own.
            said = (str(error).splitlines() or [""])[0]
            raise Unsavable(f"a second learner cannot be made: {type(error).__name__}: {said}") from error
        where = difference(mine, Portrait(another, self._home))
        if where is not None:
            named = f"learner's {where[1:]}" if where else "learner"
            raise Unsavable(f"the {named} would not come back as it is")

    def _set(self, another: nn.Module, state: dict[str, Any], mine: Portrait) -> None:
        """Bring another learner to a state, by way of a file, and leave alone what is the first one's."""
        theirs = Portrait(another, self._home).objects
        for part in (mine.objects[key] for key in theirs.keys() & mine.objects.keys()):
            if isinstance(part, nn.Module) or hasattr(part, "load_state_dict"):
                kind = type(part).__name__
                raise Unsavable(f"learners built alike share a {kind}, which a checkpoint cannot hold")
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        Decoder(another, mine.objects).module(another, torch.load(file, weights_only=True), "")

    def _beside(self) -> Portrait:
        """What the learner's file keeps under global names and on classes."""
        names = dict(vars(self._home))
        for cls in vars(self._home).values():
            if isinstance(cls, type) and cls.__module__ == self._home.__name__:
                names |= {f"{cls.__qualname__}.{name}": value for name, value in vars(cls).items()}
        kept = types.SimpleNamespace()
        for name, value in names.items():
            if not isinstance(value, CODE) and "__" not in name and not name.endswith("._abc_impl"):
                setattr(kept, name, value)
        return Portrait(kept, self._home)
