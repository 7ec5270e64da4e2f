"""The reservoir: who is kept, who is drawn, and how Python's generator is used meanwhile."""

import random
from argparse import Namespace

import numpy as np
import pytest
import torch

from model.engine import native
from model.engine.draws import shuffle_draw
from model.engine.native import NativeEngine
from model.engine.torch_engine import DenseRows
from model.memory import Reservoir, uniform_draw

needs_native = pytest.mark.skipif(bool(native.unavailable()), reason=str(native.unavailable()))
DRAWS = [
    shuffle_draw,
    uniform_draw,
    pytest.param(NativeEngine.draw, marks=needs_native, id="native"),
]


class FakeEngine(Namespace):
    draw = staticmethod(shuffle_draw)

    def rows(self, n_inputs: int) -> DenseRows:
        return DenseRows(n_inputs, torch.device("cpu"))


def reservoir(capacity: int, k: float = 3, draws: str = "shuffle") -> Reservoir:
    options = Namespace(memories=capacity, replay_batch_size=k, replay_draws=draws)
    return Reservoir(1, options, FakeEngine())


def add(memory: Reservoir, *numbers: int) -> None:
    """Offer examples whose input and label are a number, of task number + 1000."""
    for n in numbers:
        memory.add(torch.tensor([float(n)]), torch.tensor(n), n + 1000)


def kept(memory: Reservoir) -> list[int]:
    slots = torch.arange(len(memory)) + 1
    x, y = memory.batch(slots)
    assert x.flatten().tolist() == y.tolist() == (memory.tasks(slots) - 1000).tolist()
    return y.tolist()


def chi_square(counts: np.ndarray, expected: np.ndarray | float) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


# A chi-square of d degrees of freedom is above d + 4 sqrt(2 d) about once in a thousand; seeds are fixed.
def unlikely(degrees: int) -> float:
    return degrees + 4 * (2 * degrees) ** 0.5


def test_it_fills_in_order_and_draws_nothing_meanwhile():
    memory = reservoir(5)
    state = random.getstate()
    add(memory, 1, 2, 3, 4, 5)
    assert kept(memory) == [1, 2, 3, 4, 5]
    assert memory.age == len(memory) == 5
    assert random.getstate() == state


def test_a_full_one_replaces_what_randint_says():
    random.seed(2)
    memory, expected = reservoir(4), []
    add(memory, *range(60))
    ours = random.getstate()
    random.seed(2)
    for age, n in enumerate(range(60), start=1):
        if len(expected) < 4:
            expected.append(n)
        elif (p := random.randint(0, age)) < 4:
            expected[p] = n
    assert kept(memory) == expected
    assert ours == random.getstate()
    assert memory.age == 60 and len(memory) == 4


def test_examples_are_kept_as_likely_as_the_published_rule_has_it():
    """randint(0, age) has age + 1 outcomes, so that the first `capacity` are kept a little more often.

    They stay with probability (capacity + 1) / (n + 1), all others with capacity / (n + 1).
    """
    capacity, n, trials = 5, 25, 1500
    random.seed(0)
    counts = np.zeros(n)
    for _ in range(trials):
        memory = reservoir(capacity)
        add(memory, *range(n))
        counts[kept(memory)] += 1
    p = np.where(np.arange(n) < capacity, capacity + 1, capacity) / (n + 1)
    assert p.sum() == pytest.approx(capacity)
    assert chi_square(counts, trials * p) < unlikely(n)
    assert counts[:capacity].mean() > counts[capacity:].mean()


def test_a_reservoir_of_one_entry():
    random.seed(0)
    memory = reservoir(1, k=10)
    add(memory, 0)
    assert memory.draw().tolist() == [1]
    add(memory, *range(1, 200))
    assert len(memory) == 1 and kept(memory)[0] in range(200)
    replaced = 0
    for n in range(200, 400):
        before = kept(memory)
        add(memory, n)
        replaced += kept(memory) != before
    assert 0 < replaced < 10


def test_a_draw_takes_as_many_as_there_are_up_to_the_replay_batch():
    memory = reservoir(100, k=3.9)
    sizes = []
    for n in range(6):
        sizes.append(len(memory.draw()))
        add(memory, n)
    assert sizes == [0, 1, 2, 3, 3, 3]
    assert reservoir(3, draws="uniform").draw().tolist() == []


def test_the_current_example_stands_beside_the_memory():
    memory = reservoir(3)
    add(memory, 1, 2)
    current = memory.hold(torch.tensor([7.0]), torch.tensor(7), 1007)
    x, y = memory.batch(torch.tensor([2]), current, torch.tensor([1, 1]))
    assert x.flatten().tolist() == y.tolist() == [2, 7, 1, 1]
    assert memory.tasks(current, torch.tensor([1])).tolist() == [1007, 1001]
    assert kept(memory) == [1, 2] and memory.age == 2
    drawn = [memory.draw().tolist() for _ in range(50)]
    assert {slot for draw in drawn for slot in draw} == {1, 2}


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_are_uniform_with_replacement(draw):
    n, k, trials = 6, 4, 1500
    random.seed(1)
    pairs = np.zeros((n, n))
    singles = np.zeros((k, n))
    for _ in range(trials):
        drawn = draw(n, k)
        assert drawn.dtype == torch.int64 and drawn.shape == (k,)
        singles[np.arange(k), drawn.numpy()] += 1
        pairs[drawn[0], drawn[1]] += 1
    for counts in singles:
        assert chi_square(counts, trials / n) < unlikely(n - 1)
    # The first two are independent: every pair, equal ones too, is as likely as any other.
    assert chi_square(pairs, trials / n**2) < unlikely(n**2 - 1)


@pytest.mark.parametrize(
    "draw", [shuffle_draw, pytest.param(NativeEngine.draw, marks=needs_native, id="native")]
)
@pytest.mark.parametrize("n, k", [(1, 1), (2, 2), (3, 2), (64, 5), (65, 5), (100, 1), (7, 0)])
def test_a_shuffle_draw_uses_pythons_generator_as_the_published_code_does(draw, n, k):
    random.seed(n)
    ours, after_ours = draw(n, k).tolist(), random.getstate()
    random.seed(n)
    order, expected = list(range(n)), []
    for j in range(k):
        random.shuffle(order)
        expected.append(order[j])
    assert ours == expected
    assert after_ours == random.getstate()


def test_replay_draws_chooses_the_draw():
    for draws, draw in (("shuffle", shuffle_draw), ("uniform", uniform_draw)):
        memory = reservoir(50, k=5, draws=draws)
        add(memory, *range(20))
        random.seed(9)
        slots = memory.draw()
        random.seed(9)
        assert torch.equal(slots, draw(20, 5) + 1)
