"""The memories: MER's reservoir with its draws, and GEM's ring buffer for each task."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy
import torch

from .engine import Engine, Rows

AT_ONCE = 10_000
"""Entries of uniform draws that are made together, where there are as many."""


class Reservoir:
    """A uniform sample of all examples seen (Vitter 1985; MER, Algorithm 3), and the current example.

    Examples are named by slots, int64 (B,): slot 0 is the current example, m + 1 the m-th entry.

    Attributes:
        age: how many examples have been offered to the memory.
    """

    def __init__(self, n_inputs: int, args: Namespace, engine: Engine) -> None:
        """Room for args.memories; a draw takes args.replay_batch_size of them, as args.replay_draws says."""
        self.age = 0
        self._capacity, self._replay_batch_size = args.memories, int(args.replay_batch_size)
        self._draws = uniform_draws if args.replay_draws == "uniform" else engine.draws
        self._x = engine.rows(n_inputs)
        self._x.put(0, torch.zeros(n_inputs))
        self._y = torch.zeros(1, dtype=torch.int64)
        self._t = torch.zeros(1, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._x) - 1

    def hold(self, x: torch.Tensor, y: torch.Tensor, t: int) -> torch.Tensor:
        """Make an example, (n_inputs,) with its label and task, the current one, and return its slot."""
        self._put(0, x, y, t)
        return torch.zeros(1, dtype=torch.int64)

    def draw(self) -> torch.Tensor:
        """Slots of a replay batch: min(replay_batch_size, len) entries, uniform, with replacement."""
        return next(self.draws(1))

    def draws(self, times: int) -> Iterator[torch.Tensor]:
        """Several replay batches, in turn: where it pays, drawn together, or one while the last is in use."""
        for drawn in self._draws(len(self), min(self._replay_batch_size, len(self)), times):
            yield drawn.add_(1)

    def batch(self, *slots: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """Inputs, in the form that the memory's engine reads, and labels of the examples at `slots`, in that
        order."""
        where = torch.cat(slots)
        return self._x[where], self._y.index_select(0, where)

    def tasks(self, *slots: torch.Tensor) -> torch.Tensor:
        """Tasks of the examples at `slots`, int64 (B,)."""
        return self._t[torch.cat(slots)]

    def add(self, x: torch.Tensor, y: torch.Tensor, t: int) -> None:
        """Reservoir sampling: an example takes a free place, a random entry's, or with growing age none."""
        self.age += 1
        entry = len(self) if len(self) < self._capacity else random.randint(0, self.age)
        if entry < self._capacity:
            self._put(entry + 1, x, y, t)

    def state_dict(self) -> dict[str, Any]:
        """The memory and the current example, for a checkpoint."""
        return {"age": self.age, "x": self._x.dense(), "y": self._y, "t": self._t}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; this memory must be new."""
        self.age, self._y, self._t = state["age"], state["y"], state["t"]
        for slot, x in enumerate(state["x"]):
            self._x.put(slot, x)

    def _put(self, slot: int, x: torch.Tensor, y: torch.Tensor, t: int) -> None:
        self._x.put(slot, x)
        if slot == len(self._y):
            self._y, self._t = torch.cat([self._y, self._y]), torch.cat([self._t, self._t])
        self._y[slot], self._t[slot] = y, t


def uniform_draws(n: int, k: int, times: int) -> Iterator[torch.Tensor]:
    """Draws of k of n entries, each int64 (k,), distributed as the published ones are, at a cost free of n.

    They are those of random.choices: each entry from a random.random(), of 27 and 26 bits of two words.
    """
    at_once = max(AT_ONCE // max(k, 1), 1)
    for made in range(0, times, at_once):
        some = min(at_once, times - made)
        words = numpy.frombuffer(random.randbytes(8 * k * some), "<u4")
        below_one = ((words[::2] >> 5) * 2.0**26 + (words[1::2] >> 6)) * 2.0**-53
        yield from torch.from_numpy((below_one * n).astype(numpy.int64)).view(some, k)


class RingBuffer:
    """The last examples of each task, at most n_memories of them (GEM, section 3).

    The write position is one for all tasks: a new task goes on where the last one stopped, and places never
    written take no part.
    """

    def __init__(self, n_inputs: int, n_memories: int, engine: Engine) -> None:
        self._n_inputs, self._n_memories, self._engine = n_inputs, n_memories, engine
        self._position = 0
        self._tasks: dict[int, _TaskBuffer] = {}

    def add(self, x: torch.Tensor, y: torch.Tensor, t: int) -> None:
        """Write a batch, (B, n_inputs) and (B,); rows that would run past the end are dropped."""
        if t not in self._tasks:
            self._tasks[t] = _TaskBuffer(self._engine.rows(self._n_inputs))
        fitting = min(len(x), self._n_memories - self._position)
        for i in range(fitting):
            self._tasks[t].put(self._position + i, x[i], y[i])
        self._position = (self._position + fitting) % self._n_memories

    def batches(self, but: int) -> list[tuple[Any, torch.Tensor]]:
        """Each task's examples but one task's, tasks in order of appearance."""
        return [buffer.batch() for t, buffer in self._tasks.items() if t != but]

    def state_dict(self) -> dict[str, Any]:
        """All tasks' examples, for a checkpoint."""
        return {
            "position": self._position,
            "tasks": {t: buffer.state_dict() for t, buffer in self._tasks.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; this buffer must be new."""
        self._position = state["position"]
        for t, saved in state["tasks"].items():
            self._tasks[t] = _TaskBuffer(self._engine.rows(self._n_inputs))
            for place, x, y in zip(saved["places"], saved["x"], saved["y"], strict=True):
                self._tasks[t].put(place, x, y)


class _TaskBuffer:
    """One task's places of the ring: a place, once written, keeps its row."""

    def __init__(self, rows: Rows) -> None:
        self._x, self._y = rows, torch.zeros(0, dtype=torch.int64)
        self._row_of: dict[int, int] = {}
        self._batch: tuple[Any, torch.Tensor] | None = None

    def put(self, place: int, x: torch.Tensor, y: torch.Tensor) -> None:
        row = self._row_of.setdefault(place, len(self._x))
        self._x.put(row, x)
        if row == len(self._y):
            self._y = torch.cat([self._y, y.reshape(1).cpu()])
        self._y[row] = y
        self._batch = None

    def state_dict(self) -> dict[str, Any]:
        """Places in the order of their rows, the rows, and their labels."""
        return {"places": list(self._row_of), "x": self._x.dense(), "y": self._y}

    def batch(self) -> tuple[Any, torch.Tensor]:
        # A finished task's batch stays the same object, so that an engine can keep what it prepared for it.
        if self._batch is None:
            self._batch = self._x[torch.arange(len(self._x))], self._y
        return self._batch
