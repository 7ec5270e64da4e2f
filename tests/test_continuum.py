"""The stream against a literal reading of how the published code makes it."""

import random
from argparse import Namespace

import pytest
import torch

from data.continuum import Continuum


def options(**changed) -> Namespace:
    args = {"samples_per_task": -1, "n_epochs": 1, "batch_size": 1, "shuffle_tasks": "no"}
    return Namespace(**{**args, **changed})


def seed(n: int) -> None:
    torch.manual_seed(n)
    random.seed(n)


def generators() -> tuple:
    return random.getstate(), torch.get_rng_state().tolist()


def literally(sizes: list[int], args: Namespace) -> list[tuple[int, list[int]]]:
    """Task order; then a sample of every task in index order; then, as presented, shuffled epochs joined."""
    order = list(range(len(sizes)))
    if args.shuffle_tasks == "yes":
        order = torch.randperm(len(sizes)).tolist()
    samples = {}
    for t in range(len(sizes)):
        n = sizes[t] if args.samples_per_task <= 0 else min(args.samples_per_task, sizes[t])
        samples[t] = torch.randperm(sizes[t])[0:n].tolist()
    batches = []
    for t in order:
        stream = []
        for _ in range(args.n_epochs):
            epoch = samples[t][:]
            random.shuffle(epoch)
            stream.extend(epoch)
        while stream:
            batches.append((t, stream[: args.batch_size]))
            stream = stream[args.batch_size :]
    return batches


@pytest.mark.parametrize("shuffle_tasks", ["no", "yes"])
@pytest.mark.parametrize("n_epochs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("samples_per_task", [-1, 0, 1, 6, 1000])
def test_the_stream_is_the_published_one(samples_per_task, batch_size, n_epochs, shuffle_tasks):
    args = options(
        samples_per_task=samples_per_task,
        batch_size=batch_size,
        n_epochs=n_epochs,
        shuffle_tasks=shuffle_tasks,
    )
    sizes = [7, 12, 5, 9]
    seed(3)
    continuum = Continuum(sizes, args)
    ours = generators()
    seed(3)
    expected = literally(sizes, args)
    assert ours == generators()
    assert [(t, rows.tolist()) for t, rows in continuum] == expected
    assert len(continuum) == len(expected)
    assert continuum.n_examples == sum(len(rows) for _, rows in expected)
    assert continuum.order == list(dict.fromkeys(t for t, _ in expected))


def test_a_batch_spans_epochs_but_not_tasks():
    seed(0)
    batches = [(t, len(rows)) for t, rows in Continuum([5, 5], options(n_epochs=2, batch_size=4))]
    assert batches == [(0, 4), (0, 4), (0, 2), (1, 4), (1, 4), (1, 2)]


def test_every_epoch_shows_every_sample_once_in_its_own_order():
    seed(0)
    ((_, rows),) = Continuum([50], options(samples_per_task=20, n_epochs=3, batch_size=60))
    epochs = [epoch.tolist() for epoch in rows.split(20)]
    assert len(set(epochs[0])) == 20 and max(rows) < 50
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]


def test_iterating_again_gives_the_same_stream_and_draws_nothing():
    seed(0)
    continuum = Continuum([6, 6], options(shuffle_tasks="yes"))
    before = generators()
    first, second = ([(t, rows.tolist()) for t, rows in continuum] for _ in range(2))
    assert first == second
    assert generators() == before


def test_other_seeds_give_other_streams():
    streams = []
    for n in (0, 1):
        seed(n)
        streams.append([rows.item() for _, rows in Continuum([30], options())])
    assert streams[0] != streams[1] and sorted(streams[0]) == sorted(streams[1])
