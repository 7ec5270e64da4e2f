"""The stream, draw by draw, against the published rules spelled out."""

import random
from argparse import Namespace

import pytest
import torch

from data.continuum import Continuum


def options(**changed):
    """What a continuum reads of the command line."""
    default = {"samples_per_task": -1, "n_epochs": 1, "batch_size": 1, "shuffle_tasks": "no"}
    return Namespace(**default | changed)


def spelled_out(sizes, args):
    """Every batch as (task, rows), drawn in the published order, with nothing clever."""
    order = list(range(len(sizes)))
    if args.shuffle_tasks == "yes":
        order = torch.randperm(len(sizes)).tolist()
    sample = {}
    for t in range(len(sizes)):
        n = args.samples_per_task
        if n <= 0 or n > sizes[t]:
            n = sizes[t]
        sample[t] = torch.randperm(sizes[t]).tolist()[:n]
    batches = []
    for t in order:
        shown = []
        for _ in range(args.n_epochs):
            again = sample[t].copy()
            random.shuffle(again)
            shown.extend(again)
        while shown:
            batches.append((t, shown[: args.batch_size]))
            shown = shown[args.batch_size :]
    return batches


def seed(number):
    torch.manual_seed(number)
    random.seed(number)


def batches(continuum):
    return [(t, rows.tolist()) for t, rows in continuum]


@pytest.mark.parametrize("shuffle_tasks", ["no", "yes"])
@pytest.mark.parametrize("samples_per_task", [-1, 0, 1, 5, 9, 100])
@pytest.mark.parametrize("n_epochs, batch_size", [(1, 1), (3, 1), (1, 4), (3, 4), (2, 50)])
def test_the_stream_is_the_published_one(shuffle_tasks, samples_per_task, n_epochs, batch_size):
    sizes = [9, 7, 12, 1]
    args = options(
        shuffle_tasks=shuffle_tasks,
        samples_per_task=samples_per_task,
        n_epochs=n_epochs,
        batch_size=batch_size,
    )
    seed(3)
    expected = spelled_out(sizes, args)
    torch_after, python_after = torch.get_rng_state(), random.getstate()

    seed(3)
    continuum = Continuum(sizes, args)
    assert torch.equal(torch.get_rng_state(), torch_after)
    assert random.getstate() == python_after
    assert batches(continuum) == expected
    assert continuum.n_examples == sum(len(rows) for _, rows in expected)


def test_a_stream_can_be_read_twice_and_draws_no_more():
    seed(1)
    continuum = Continuum([8, 8], options(n_epochs=2))
    first = batches(continuum)
    seed(2)
    assert batches(continuum) == first


def test_a_batch_spans_epochs_but_not_tasks():
    seed(0)
    shown = batches(Continuum([5, 5], options(n_epochs=2, batch_size=4)))
    assert [(t, len(rows)) for t, rows in shown] == [(0, 4), (0, 4), (0, 2), (1, 4), (1, 4), (1, 2)]
    for t in (0, 1):
        rows = [row for task, part in shown if task == t for row in part]
        assert sorted(rows[:5]) == sorted(rows[5:]) == list(range(5))


def test_one_example_at_a_time_is_a_row_each():
    seed(0)
    (t, rows), *_ = Continuum([6], options())
    assert t == 0 and rows.shape == (1,) and rows.dtype == torch.int64
