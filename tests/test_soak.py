"""A short soak of each learner that replays: memory stays flat, and an example costs no more later on."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import ModuleType

import pytest
import torch

from model.memory import Reservoir

EXAMPLES = 6000
LEAK = 2**20
SLOWDOWN = 0.5
"""Far above the whole soak's 5 %: here a quarter is a fraction of a second, of a machine that may be busy."""


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/soak.py, which is a script and no part of a package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import soak

    return soak


@pytest.mark.parametrize("learner", ["eralg4", "eralg5", "meralg1", "meralg6", "meralg7"])
def test_a_stream_needs_no_more_memory_and_no_more_time_as_it_goes_on(soak: ModuleType, learner: str) -> None:
    assert learner in soak.REPLAYING
    soaked = soak.soak(learner, EXAMPLES, slices=30)
    warm, end = soaked.memory
    assert soaked.examples == EXAMPLES
    assert end - warm < LEAK
    assert soaked.slowdown < SLOWDOWN


def test_a_leak_and_a_slowdown_show(soak: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Reservoir.add

    def leaking(memory: Reservoir, x: torch.Tensor, y: torch.Tensor, t: int) -> None:
        kept = vars(memory).setdefault("kept", [])
        # Of the system's, not of what earlier tests have left free in this process.
        kept.append(mmap.mmap(-1, mmap.PAGESIZE))
        kept[-1].write(b"leaked")
        sum(range(5 * len(kept)))
        add(memory, x, y, t)

    monkeypatch.setattr(Reservoir, "add", leaking)
    soaked = soak.soak("eralg4", EXAMPLES, slices=30)
    warm, end = soaked.memory
    assert end - warm > 10 * LEAK
    assert soaked.slowdown > SLOWDOWN
