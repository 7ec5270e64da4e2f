"""The state of Python's own generator, a Mersenne Twister, as the native draws read and write it."""

from __future__ import annotations

import ctypes
import random
from _random import Random
from collections.abc import Callable

State = ctypes.c_uint32 * 625
"""How many of the generator's words have been handed out, and its 624 words."""


def advance(by: Callable[[int, int], int]) -> None:
    """Have `by` take words from the global generator.

    It is given the address of 624 words, uint32, which it may advance, and how many of them have been handed
    out; it returns how many are now.
    """
    state = _in_place or _copy()
    state[0] = by(ctypes.addressof(state) + 4, state[0])
    if state is not _in_place:
        random.setstate((3, (*state[1:], state[0]), random.getstate()[2]))


def _copy() -> ctypes.Array[ctypes.c_uint32]:
    _, words, _ = random.getstate()
    return State(words[-1], *words[:-1])


def _find() -> ctypes.Array[ctypes.c_uint32] | None:
    """The state where CPython keeps it, right behind the head of the generator object, if it does.

    A copy back and forth takes 30 us, as long as some draws; what is found is compared with a copy, in case
    another Python has another layout.
    """
    generator = getattr(random.getstate, "__self__", None)
    if generator is None or Random.__basicsize__ < object.__basicsize__ + ctypes.sizeof(State):
        return None
    found = State.from_address(id(generator) + object.__basicsize__)
    return found if bytes(found) == bytes(_copy()) else None


_in_place = _find()
