"""The reservoir, its draws and GEM's ring buffer: exact against a transcription, and in their statistics."""

import random
from argparse import Namespace
from collections import Counter

import pytest
import torch

from model.common import MLP, on_engine
from model.engine.draws import shuffle_draw
from model.memory import Reservoir, RingBuffer, uniform_draws


def on(engine):
    """An engine over the smallest network that takes two inputs."""
    net = MLP([2, 2])
    return on_engine(net, net.net, Namespace(engine=engine, cuda=False, threads=1, lr=0.1))[1]


def reservoir(engine, memories, replay_batch_size=3, replay_draws="shuffle"):
    options = {"replay_batch_size": replay_batch_size, "replay_draws": replay_draws}
    return Reservoir(2, Namespace(memories=memories, **options), on(engine))


def offer(memory, numbers):
    """Offer examples named by numbers: as inputs (number, -1), as label the number, as task its parity."""
    for i in numbers:
        memory.add(torch.tensor([float(i), -1.0]), torch.tensor(i), i % 2)


def entries(memory):
    """The labels in the memory, in order."""
    return memory.batch(torch.arange(1, len(memory) + 1))[1].tolist()


def assert_uniform(counts, n):
    """Chi-square of counts over n values that should come equally often, six standard deviations allowed."""
    expected = counts.total() / n
    chi_square = sum((counts[value] - expected) ** 2 / expected for value in range(n))
    assert chi_square < (n - 1) + 6 * (2 * (n - 1)) ** 0.5
    assert set(counts) == set(range(n))


def test_the_reservoir_follows_the_published_rule(engine):
    random.seed(5)
    expected = []
    for age, i in enumerate(range(60), 1):
        if len(expected) < 7:
            expected.append(i)
        elif (p := random.randint(0, age)) < 7:
            expected[p] = i
    after = random.getstate()

    random.seed(5)
    memory = reservoir(engine, memories=7)
    offer(memory, range(60))
    assert entries(memory) == expected
    assert memory.age == 60
    assert random.getstate() == after
    slots = torch.arange(1, 8)
    assert memory.tasks(slots).tolist() == [i % 2 for i in expected]
    assert memory._x.dense()[1:].tolist() == [[i, -1] for i in expected]


def test_the_replaced_place_is_drawn_up_to_the_age_inclusive(engine, monkeypatch):
    bounds = []
    monkeypatch.setattr(random, "randint", lambda low, high: bounds.append((low, high)) or high)
    memory = reservoir(engine, memories=3)
    offer(memory, range(6))
    assert bounds == [(0, 4), (0, 5), (0, 6)]
    assert entries(memory) == [0, 1, 2]
    monkeypatch.setattr(random, "randint", lambda low, high: 2)
    offer(memory, [9])
    assert entries(memory) == [0, 1, 9]


def test_how_often_each_example_stays(engine):
    # p is one of age + 1 places: the first 4 stay with probability 5 / 13, the others with 4 / 13.
    random.seed(0)
    kept, runs = Counter(), 1500
    for _ in range(runs):
        memory = reservoir(engine, memories=4)
        offer(memory, range(12))
        kept.update(entries(memory))
    for i in range(12):
        share = 5 / 13 if i < 4 else 4 / 13
        assert abs(kept[i] - runs * share) < 5 * (runs * share * (1 - share)) ** 0.5


def test_a_memory_of_one(engine):
    random.seed(1)
    memory = reservoir(engine, memories=1)
    offer(memory, [4])
    assert memory.draw().tolist() == [1]
    offer(memory, range(5, 40))
    assert len(memory) == 1


@pytest.mark.parametrize("replay_draws", ["shuffle", "uniform"])
def test_a_draw_takes_no_more_than_there_is(engine, replay_draws):
    memory = reservoir(engine, memories=5, replay_batch_size=3.0, replay_draws=replay_draws)
    assert memory.draw().tolist() == []
    for i, length in enumerate([1, 2, 3, 3, 3, 3]):
        offer(memory, [i])
        slots = memory.draw()
        assert len(slots) == length and slots.dtype == torch.int64
        assert all(1 <= slot <= len(memory) for slot in slots)


@pytest.mark.parametrize(
    ("n", "k", "times"), [(1, 1, 1), (7, 3, 4), (5120, 100, 10), (5120, 100, 205), (1_000_000, 20_625, 2)]
)
def test_uniform_draws_are_those_of_random_choices(n, k, times):
    random.seed(n)
    expected, after = [random.choices(range(n), k=k) for _ in range(times)], random.getstate()
    random.seed(n)
    assert [drawn.tolist() for drawn in uniform_draws(n, k, times)] == expected
    assert random.getstate() == after


@pytest.mark.parametrize("replay_draws", ["shuffle", "uniform"])
def test_draws_are_uniform_and_with_replacement(engine, replay_draws):
    random.seed(2)
    memory = reservoir(engine, memories=6, replay_batch_size=4, replay_draws=replay_draws)
    offer(memory, range(6))
    draws = [(memory.draw() - 1).tolist() for _ in range(3000)]
    for j in range(4):
        assert_uniform(Counter(draw[j] for draw in draws), 6)
    # Neighbours in a draw are independent: all 36 pairs come equally often.
    assert_uniform(Counter(6 * draw[0] + draw[1] for draw in draws), 36)


def test_a_shuffle_draw_uses_the_generator_as_random_shuffle_does(engine):
    random.seed(3)
    order, expected = list(range(11)), []
    for j in range(4):
        random.shuffle(order)
        expected.append(order[j] + 1)
    after = random.getstate()

    random.seed(3)
    memory = reservoir(engine, memories=11, replay_batch_size=4)
    offer(memory, range(11))
    assert memory.draw().tolist() == expected
    assert random.getstate() == after


def test_draws_from_nothing_leave_the_generator_alone():
    random.seed(4)
    before = random.getstate()
    assert [shuffle_draw(0, 0).tolist(), *(drawn.tolist() for drawn in uniform_draws(0, 0, 2))] == [[]] * 3
    assert random.getstate() == before


def ring_add(ring, numbers, t):
    ring.add(torch.tensor([[float(i), 1.0] for i in numbers]), torch.tensor(numbers), t)


def labels(ring, but=-1):
    return [y.tolist() for _, y in ring.batches(but)]


def test_the_ring_wraps_and_drops_what_runs_past_the_end(engine):
    ring = RingBuffer(2, 5, on(engine))
    ring_add(ring, [0, 1, 2], 0)
    ring_add(ring, [3, 4, 5], 0)  # 5 runs past the end
    assert labels(ring) == [[0, 1, 2, 3, 4]]
    ring_add(ring, [6], 0)  # the position returned to 0
    assert labels(ring) == [[6, 1, 2, 3, 4]]


def test_the_position_goes_on_when_the_task_changes(engine):
    ring = RingBuffer(2, 4, on(engine))
    ring_add(ring, [0, 1, 2], 7)
    ring_add(ring, [10], 3)  # written at place 3: of this task's four places one was ever written
    assert labels(ring) == [[0, 1, 2], [10]]
    ring_add(ring, [11, 12], 3)  # places 0 and 1
    ring_add(ring, [13, 14, 15], 3)  # places 2 and 3, over 10, and one dropped
    assert sorted(labels(ring)[1]) == [11, 12, 13, 14]
    assert labels(ring, but=7) == [labels(ring)[1]]
    assert labels(ring, but=3) == [[0, 1, 2]]


def test_a_ring_of_one(engine):
    ring = RingBuffer(2, 1, on(engine))
    for i in range(3):
        ring_add(ring, [i, 100 + i], 0)
        assert labels(ring) == [[i]]
