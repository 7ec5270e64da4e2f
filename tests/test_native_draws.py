"""Native draws: those of Python's random.shuffle, bit for bit, from and back to Python's generator."""

from __future__ import annotations

import random
import threading
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_cases import SETTINGS, kernels, needs_native, one_thread

from model.engine import Weights, generator, native
from model.engine.draws import in_turn, shuffle_draw
from model.engine.native import NativeEngine

__all__ = ["kernels", "one_thread"]
pytestmark = [needs_native, pytest.mark.usefixtures("kernels")]

POWERS = [2**exponent + near for exponent in range(1, 13) for near in (-1, 0, 1)]
LENGTHS = st.one_of(st.integers(1, 70), st.sampled_from(POWERS), st.integers(1, 6000))


def assert_same_draw(n: int, k: int) -> None:
    """Both draws from the generator's present state, which they take to the same place."""
    state = random.getstate()
    expected = shuffle_draw(n, k)
    end = random.getstate()
    random.setstate(state)
    drawn = NativeEngine.draw(n, k)
    assert drawn.dtype == expected.dtype
    assert drawn.tolist() == expected.tolist()
    assert random.getstate() == end


@given(st.integers(0, 2**32 - 1), st.integers(0, 700), LENGTHS, st.integers(0, 12), st.booleans())
@SETTINGS
def test_a_draw(seed, words, n, k, gauss):
    random.seed(seed)
    for _ in range(words):
        random.getrandbits(32)
    if gauss:
        random.gauss(0, 1)
    k = min(n, k, 20_000 // n + 1)
    assert_same_draw(n, k)


@pytest.mark.parametrize("n", [*range(1, 20), *POWERS])
def test_every_small_length_and_power_of_two(n):
    random.seed(n)
    assert_same_draw(n, min(n, 2))


@pytest.mark.parametrize("n", [5120, 65535, 65536, 65537, 131073])
def test_long_memories(n):
    random.seed(n)
    assert_same_draw(n, 3)


def test_a_draw_as_long_as_the_memory():
    random.seed(3)
    assert_same_draw(100, 100)


@pytest.mark.parametrize("n", [1, 2, 300, 5120, 70_000])
def test_where_the_generators_state_is_not_found(n, monkeypatch):
    monkeypatch.setattr(generator, "_in_place", None)
    random.seed(n)
    random.gauss(0, 1)
    assert_same_draw(n, min(n, 3))


DRAW, OTHERS = "draw", ["random", "gauss", "randint", "shuffle", "getrandbits", "choices"]


@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.sampled_from([DRAW, *OTHERS]), LENGTHS), max_size=12))
@SETTINGS
def test_calls_of_all_kinds_in_turn(seed, calls):
    def outcomes(draw):
        random.seed(seed)
        for call, n in calls:
            n = min(n, 600)
            if call == DRAW:
                yield draw(n, min(n, 3)).tolist()
            elif call == "random":
                yield random.random()
            elif call == "gauss":
                yield random.gauss(0, 1)
            elif call == "randint":
                yield random.randint(0, n)
            elif call == "shuffle":
                order = list(range(n))
                random.shuffle(order)
                yield order
            elif call == "getrandbits":
                yield random.getrandbits(1 + n % 64)
            else:
                yield random.choices(range(n), k=2)
        yield random.getstate()

    assert list(outcomes(NativeEngine.draw)) == list(outcomes(shuffle_draw))


def engine(threads: int) -> NativeEngine:
    layer = torch.nn.Linear(3, 2)
    return NativeEngine([layer], Weights(layer), lr=0.1, threads=threads)


BETWEEN = st.lists(st.sampled_from([None, None, None, 0, 1, 700]), max_size=8)


@pytest.mark.parametrize("threads", [1, 2, 3])
@given(st.integers(0, 2**32 - 1), st.integers(0, 700), st.integers(1, 300), st.integers(0, 5), BETWEEN)
@SETTINGS
def test_draws_made_ahead(threads, seed, words, n, k, between):
    """Those of one draw after another, whoever else draws in between: so many words, or nobody."""

    def outcomes(draws):
        random.seed(seed)
        for _ in range(words):
            random.getrandbits(32)
        for drawn, others in zip(draws, between, strict=True):
            yield drawn.tolist(), random.getstate()
            if others is not None:
                yield [random.getrandbits(32) for _ in range(others)]
        yield random.getstate()

    k, times = min(n, k), len(between)
    expected = list(outcomes(in_turn(shuffle_draw, n, k, times)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "AHEAD", 1)
        assert list(outcomes(engine(threads).draws(n, k, times))) == expected


def test_draws_that_nobody_asks_for():
    """What is made ahead and not taken has not been drawn."""
    random.seed(6)
    expected, after = shuffle_draw(1000, 50).tolist(), random.getstate()
    random.seed(6)
    draws = engine(threads=2).draws(1000, 50, 5)
    assert next(draws).tolist() == expected
    draws.close()
    assert random.getstate() == after


def test_no_draw_is_under_way_when_the_draws_are_closed(monkeypatch):
    begun, ended = [], []
    draw = native._native.draw

    def slow(*args):
        begun.append(args)
        time.sleep(0.1)
        ended.append(args)
        return draw(*args)

    monkeypatch.setattr(native._native, "draw", slow)
    draws = engine(threads=2).draws(1000, 50, 5)
    next(draws)
    while len(begun) < 2:
        time.sleep(0.001)
    draws.close()
    assert len(begun) == len(ended) < 5


def test_draws_are_made_ahead_on_another_thread(monkeypatch):
    makers = []
    draw = native._native.draw

    def noted(*args):
        makers.append(threading.current_thread())
        return draw(*args)

    monkeypatch.setattr(native._native, "draw", noted)
    random.seed(7)
    here, enough = threading.current_thread(), native.AHEAD // 100
    for threads, n in ((2, enough), (2, enough - 1), (1, enough)):
        makers.clear()
        assert len(list(engine(threads).draws(n, 100, 4))) == 4
        assert [maker is here for maker in makers] == 4 * [(threads, n) != (2, enough)]


def test_draws_ahead_where_the_generators_state_is_not_found(monkeypatch):
    monkeypatch.setattr(generator, "_in_place", None)
    random.seed(8)
    expected = [drawn.tolist() for drawn in in_turn(shuffle_draw, 1000, 50, 3)], random.getstate()
    random.seed(8)
    assert ([drawn.tolist() for drawn in engine(2).draws(1000, 50, 3)], random.getstate()) == expected


def test_what_is_left_of_a_normal_pair():
    """random.gauss makes two numbers at a time; a draw in between leaves the second one there."""
    random.seed(4)
    random.gauss(0, 1)
    second = random.getstate()[2]
    assert second is not None
    NativeEngine.draw(50, 5)
    assert random.getstate()[2] == second
    assert random.gauss(0, 1) == second


def test_a_draw_of_none_uses_nothing():
    random.seed(5)
    state = random.getstate()
    assert NativeEngine.draw(0, 0).dtype == torch.int64
    assert len(NativeEngine.draw(7, 0)) == 0
    NativeEngine.draw(1, 1)
    assert random.getstate() == state


@pytest.mark.parametrize(("n", "k"), [(0, 1), (5, 6), (-3, 1), (2**31, 1), (2**40, 1)])
def test_more_than_there_is(n, k):
    state = random.getstate()
    with pytest.raises(ValueError, match=f"{k} draws from {n} entries"):
        NativeEngine.draw(n, k)
    assert random.getstate() == state
