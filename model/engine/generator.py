"""The state of Python's own generator, a Mersenne Twister, as the native draws read and write it."""

from __future__ import annotations

import ctypes
import random
from _random import Random
from collections.abc import Callable

State = ctypes.c_uint32 * 625
"""How many of the generator's words have been handed out, and its 624 words."""

Words = ctypes.Array[ctypes.c_uint32]
"""What a `State` is to a type checker."""

By = Callable[[int, int], int]
"""What takes words: it is given the address of 624 of them, uint32, which it may advance, and how many have
been handed out; it returns how many are now."""


def advance(by: By) -> None:
    """Have `by` take words from the global generator."""
    state = _in_place or _copy()
    _advance(state, by)
    if state is not _in_place:
        _put(state)


class Fork:
    """A generator that goes on from where the global one is, and leaves that where it is.

    Any thread may advance it, one at a time.
    """

    def __init__(self) -> None:
        self._state = _copy() if _in_place is None else State.from_buffer_copy(_in_place)

    def advance(self, by: By) -> tuple[bytes, bytes]:
        """Have `by` take words; the states before and after it, for `catch_up`."""
        before = bytes(self._state)
        _advance(self._state, by)
        return before, bytes(self._state)


def catch_up(before: bytes, after: bytes) -> bool:
    """Take the global generator from one state to another; False, and no more, if it is not in the first."""
    if bytes(_in_place or _copy()) != before:
        return False
    _put(State.from_buffer_copy(after))
    return True


def _advance(state: Words, by: By) -> None:
    state[0] = by(ctypes.addressof(state) + 4, state[0])


def _put(state: Words) -> None:
    if _in_place is not None:
        ctypes.memmove(_in_place, state, ctypes.sizeof(state))
    else:
        random.setstate((3, (*state[1:], state[0]), random.getstate()[2]))


def _copy() -> Words:
    _, words, _ = random.getstate()
    return State(words[-1], *words[:-1])


def _find() -> Words | None:
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
