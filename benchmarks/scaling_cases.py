"""What is measured along each axis: a learner, made when its turn comes, and one piece of its work."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import cases
import l2
import torch

from data import DataSet
from model.engine import NativeEngine
from model.memory import Reservoir

ENGINES = ("native", "torch")
REPLAYS = {
    "meralg1": "--replay_batch_size 100 --batches_per_example 10",
    "meralg7": "--replay_batch_size 100 --s 5",
    "eralg4": "--replay_batch_size 25",
}
TORCH_UP_TO = {"meralg1": 5120, "meralg7": 100_000, "eralg4": 100_000}
"""Beyond as many memories one example takes the torch engine, whose draws are CPython's, many seconds."""

Build = Callable[[], tuple[cases.Thunk, int]]


@dataclass(frozen=True)
class Case:
    """A point of a figure: where it is, and what makes a thunk and the pieces of work that a call does."""

    panel: str
    line: str
    x: int
    build: Build


def memories(tasks: DataSet, sizes: Iterable[int]) -> Iterator[Case]:
    """One example of learners that replay, their memory being full."""
    for size in sizes:
        for model, replay in REPLAYS.items():
            for engine in ENGINES:
                for draws in ("shuffle", "uniform"):
                    if engine == "torch" and (draws == "uniform" or size > TORCH_UP_TO[model]):
                        continue
                    more = f"--memories {size} {replay} --replay_draws {draws}"
                    args = cases.options(model, engine, 1, more)
                    yield Case(
                        "an example",
                        f"{model}, {engine}" if draws == "shuffle" else f"{model}, native, uniform",
                        size,
                        later(1, replaying, tasks, args),
                    )


def draws(entries: Iterable[int]) -> Iterator[Case]:
    """One draw, a shuffle of all entries, alone."""

    def shuffle(n: int) -> cases.Thunk:
        order = list(range(n))
        return lambda: random.shuffle(order)

    def native(n: int, k: int) -> cases.Thunk:
        return lambda: NativeEngine.draw(n, k)

    for n in entries:
        k = min(n, 100)
        yield Case("a draw", "native", n, later(k, native, n, k))
        yield Case("a draw", "random.shuffle", n, later(1, shuffle, n))


def earlier_tasks(tasks: DataSet, numbers: Iterable[int], n_memories: Iterable[int]) -> Iterator[Case]:
    """One example of the last of so many tasks, and the evaluation of one of them, averaged over all."""
    for n in numbers:
        some = DataSet(tasks.train[:n], tasks.test[:n])
        for engine in ENGINES:
            for m in n_memories:
                yield Case(
                    "an example",
                    f"gem ({m}), {engine}",
                    n,
                    # Some examples need a projection and others do not: a call has some of both.
                    later(5, several, 5, cases.constrained, tasks, engine, 1, n, m),
                )
            yield Case(
                "an example",
                f"ewc, {engine}",
                n,
                later(1, cases.consolidated, tasks, engine, n),
            )
            args = cases.options("taskinput", engine, 1)
            yield Case(
                "an example",
                f"taskinput, {engine}",
                n,
                later(1, last_task, some, args),
            )
            yield Case(
                "evaluation of a task",
                engine,
                n,
                later(len(some), cases.evaluating, some, engine, 1),
            )


def widths(tasks: DataSet, hidden: Iterable[int]) -> Iterator[Case]:
    """One SGD step through two hidden layers of so many units."""
    for n in hidden:
        yield from steps(tasks, n, f"--n_hiddens {n}")


def depths(tasks: DataSet, layers: Iterable[int]) -> Iterator[Case]:
    """One SGD step through so many hidden layers of 100 units."""
    for n in layers:
        yield from steps(tasks, n, f"--n_layers {n}")


def steps(tasks: DataSet, x: int, more: str) -> Iterator[Case]:
    """One SGD step on each engine, by which option the network differs from the paper's."""
    for engine in ENGINES:
        yield Case("a step", engine, x, partial(cases.sgd_steps, tasks, engine, more))


def l2_microseconds(tasks: DataSet, hidden: Iterable[int]) -> dict[int, float]:
    """For each width the time of a step's bytes at the second-level cache's bandwidth, measured."""
    x, _ = cases.examples(tasks, 0, 0, 500)
    speeds = l2.bandwidths()
    return {n: l2.step_seconds(x, [784, n, n, 10], *speeds) * 1e6 for n in hidden}


def later(units: int, make: Callable[..., cases.Thunk], *arguments: object) -> Build:
    """A case's `build`: what `make` returns, which does so many pieces of work a call."""
    return lambda: (make(*arguments), units)


def several(times: int, make: Callable[..., cases.Thunk], *arguments: object) -> cases.Thunk:
    """What `make` returns, so often in a call."""
    thunk = make(*arguments)

    def together() -> None:
        for _ in range(times):
            thunk()

    return together


def last_task(tasks: DataSet, args: Namespace) -> cases.Thunk:
    """One example of a learner's last task."""
    return cases.observing(cases.learner(tasks, args), tasks, len(tasks) - 1)


def replaying(tasks: DataSet, args: Namespace) -> cases.Thunk:
    """One example of a replay learner, its memory filled the quick way: as from a checkpoint."""
    net = cases.learner(tasks, args)
    fill(net.memory, tasks, args.memories)
    return cases.observing(net, tasks, len(tasks) - 1)


def fill(memory: Reservoir, tasks: DataSet, size: int, at_once: int = 1000) -> None:
    """Put `size` examples, as many of each task, into a new memory; few are ever dense at a time."""
    slots = torch.arange(size)
    task, row = slots % len(tasks), slots // len(tasks)

    def inputs() -> Iterator[torch.Tensor]:
        yield torch.zeros(tasks.n_inputs)
        for start in range(0, len(row), at_once * len(tasks)):
            some = slice(start, start + at_once * len(tasks), len(tasks))
            blocks = [examples.x(row[some]) for examples in tasks.train]
            for slot in range(start, min(start + at_once * len(tasks), size)):
                yield blocks[slot % len(tasks)][(slot - start) // len(tasks)]

    y = torch.stack([examples.y for examples in tasks.train])[task, row]
    current = torch.zeros(1, dtype=torch.int64)
    memory.load_state_dict(
        {"age": size, "x": inputs(), "y": torch.cat([current, y]), "t": torch.cat([current, task])}
    )
