"""The published code's draws from the memory, in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import torch


def shuffle_draw(n: int, k: int) -> torch.Tensor:
    """k of n entries, int64 (k,), as the published code draws them: a shuffle of all n before each.

    The order carries over from one shuffle to the next, so that the draws are uniform, with replacement.
    """
    order = list(range(n))
    drawn = []
    for j in range(k):
        random.shuffle(order)
        drawn.append(order[j])
    return torch.tensor(drawn, dtype=torch.int64)


def in_turn(draw: Callable[[int, int], torch.Tensor], n: int, k: int, times: int) -> Iterator[torch.Tensor]:
    """That many draws, each made when it is asked for."""
    for _ in range(times):
        yield draw(n, k)
