"""Native draws are Python's own, bit for bit, and leave the generator where Python would."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engine import NativeEngine, unavailable
from model.engine.draws import shuffle_draw

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

POWERS = [2**k + d for k in range(1, 13) for d in (-1, 0, 1)]
SIZES = st.one_of(st.integers(1, 6000), st.sampled_from(POWERS))


def both(n: int, k: int) -> None:
    """Draw with Python and natively from the same state, and compare the draws and the states after."""
    before = random.getstate()
    expected = shuffle_draw(n, k)
    after = random.getstate()
    random.setstate(before)
    assert NativeEngine.draw(n, k).tolist() == expected.tolist()
    assert random.getstate() == after


@settings(deadline=None, max_examples=60)
@given(SIZES, st.integers(0, 4), st.integers(0, 2**64), st.integers(0, 700))
def test_draws_are_shuffles_bit_for_bit(n, k, seed, used):
    random.seed(seed)
    for _ in range(used):
        random.getrandbits(32)
    both(n, min(k, n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 31, 32, 33, 5119, 5120, 5121])
def test_many_draws_in_a_row(n):
    random.seed(n)
    both(n, min(n, 12))
    both(n, min(n, 5))


@pytest.mark.parametrize("n", [65_535, 65_536, 65_537, 200_003])
def test_memories_beyond_sixteen_bits(n):
    random.seed(n)
    both(n, 2)


def test_python_and_native_draws_mix():
    def mixed(draw) -> list:
        random.seed(5)
        seen: list = [random.gauss(0, 1)]
        for n in (1, 7, 100, 513):
            seen += draw(n, min(n, 9)).tolist()
            seen += [random.randint(0, n), random.random()]
            # The second of a pair of Gaussian variates waits in the state: draws must not lose it.
            seen.append(random.gauss(0, 1))
        order = list(range(50))
        random.shuffle(order)
        return seen + order

    assert mixed(NativeEngine.draw) == mixed(shuffle_draw)


def test_draws_are_uniform():
    random.seed(0)
    n, k, repeats = 10, 10, 2000
    counts = [0] * n
    for _ in range(repeats):
        for entry in NativeEngine.draw(n, k).tolist():
            counts[entry] += 1
    expected = k * repeats / n
    # Nine degrees of freedom: above 33.7 once in ten thousand times.
    assert sum((count - expected) ** 2 / expected for count in counts) < 33.7


@pytest.mark.parametrize(("n", "k"), [(0, 1), (3, 4), (-1, 0), (2**40, 1)])
def test_impossible_draws_are_refused(n, k):
    state = random.getstate()
    with pytest.raises((ValueError, RuntimeError, OverflowError)):
        NativeEngine.draw(n, k or 1)
    assert random.getstate() == state
