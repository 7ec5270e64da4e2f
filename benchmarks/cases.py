"""What is measured: learners in the state in which a run spends its time, on MNIST Rotations."""

from __future__ import annotations

import importlib
import random
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import torch

import data
from metrics import Evaluation
from model.engine import torch_threads
from model.options import parse

Thunk = Callable[[], object]


def options(model: str, engine: str, threads: int, more: str = "") -> Namespace:
    """The paper's network under a learner, as main.py would read it."""
    return parse(f"--model {model} --engine {engine} --threads {threads} --lr 0.001 {more}".split())


def learner(tasks: data.DataSet, args: Namespace) -> Any:
    """A learner with weights that depend on nothing but its options."""
    torch.manual_seed(0)
    random.seed(0)
    net = importlib.import_module(f"model.{args.model}").Net
    return net(tasks.n_inputs, tasks.n_outputs, len(tasks), args)


def at_threads(thunk: Thunk, args: Namespace) -> Thunk:
    """The thunk with PyTorch's threads as a run with these options has them."""

    def at() -> None:
        torch.set_num_threads(torch_threads(args))
        thunk()

    return at


def examples(tasks: data.DataSet, t: int, start: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Some training examples of a task, (number, n_inputs) and (number,)."""
    rows = slice(start, start + number)
    return tasks.train[t].x(rows), tasks.train[t].y[rows]


def mixed_examples(tasks: data.DataSet) -> tuple[torch.Tensor, torch.Tensor]:
    """A few examples of every task, (520, n_inputs) and (520,) where there are 20."""
    drawn = [examples(tasks, t, 0, 26) for t in range(len(tasks))]
    return torch.cat([x for x, _ in drawn]), torch.cat([y for _, y in drawn])


def observing(net: Any, tasks: data.DataSet, t: int) -> Thunk:
    """Show the learner one example after another of a task."""
    x, y = examples(tasks, t, 30_000, 1000)
    shown = 0

    def observe() -> None:
        nonlocal shown
        i = shown % len(x)
        net.observe(x[i : i + 1], t, y[i : i + 1])
        shown += 1

    return observe


def sgd_steps(tasks: data.DataSet, engine: str, more: str = "") -> tuple[Thunk, int]:
    """Batch-of-one SGD steps over a store of rows from all tasks, and how many a call makes."""
    net = learner(tasks, options("online", engine, 1, more))
    rows = net.engine.rows(tasks.n_inputs)
    x, y = mixed_examples(tasks)
    for slot, row in enumerate(x):
        rows.put(slot, row)
    order = torch.randperm(len(x))[:500]
    return lambda: net.engine.sgd(rows[order], y[order]), len(order)


def plain_steps(tasks: data.DataSet) -> tuple[Thunk, int]:
    """The same steps as most PyTorch programs write them, and how many a call makes."""
    net = learner(tasks, options("online", "torch", 1)).net
    optimiser = torch.optim.SGD(net.parameters(), lr=0.001)
    loss = torch.nn.CrossEntropyLoss()
    x, y = mixed_examples(tasks)
    order = torch.randperm(len(x))[:500].tolist()

    def steps() -> None:
        for i in order:
            optimiser.zero_grad()
            loss(net(x[i : i + 1]), y[i : i + 1]).backward()
            optimiser.step()

    return steps, len(order)


def replaying(tasks: data.DataSet, model: str, engine: str, more: str, memories: int = 5120) -> Thunk:
    """One example of a replay learner whose memory is full."""
    net = learner(tasks, options(model, engine, 1, f"--memories {memories} {more}"))
    per_task = -(-memories // len(tasks))
    for t in range(len(tasks)):
        for x, y in zip(*examples(tasks, t, 0, per_task), strict=True):
            if len(net.memory) < memories:
                net.memory.add(x, y, t)
    return observing(net, tasks, len(tasks) - 1)


def consolidated(tasks: data.DataSet, engine: str, n_tasks: int = 20) -> Thunk:
    """One example of ewc in its last task, all others being finished."""
    net = learner(tasks, options("ewc", engine, 1, "--n_memories 10 --memory_strength 10"))
    for t in range(n_tasks):
        x, y = examples(tasks, t % len(tasks), 0, 10)
        net.observe(x, t, y)
    return observing(net, tasks, n_tasks - 1)


def constrained(
    tasks: data.DataSet, engine: str, threads: int, n_tasks: int = 20, n_memories: int = 256
) -> Thunk:
    """One example of gem in its last task, the buffers of all earlier tasks being full."""
    args = options("gem", engine, threads, f"--n_memories {n_memories} --memory_strength 0.5")
    net = learner(tasks, args)
    for t in range(n_tasks - 1):
        x, y = examples(tasks, t % len(tasks), 0, n_memories)
        net.memory.add(x, y, t)
    return at_threads(observing(net, tasks, n_tasks - 1), args)


def evaluating(tasks: data.DataSet, engine: str, threads: int) -> Thunk:
    """The accuracies on all test sets."""
    args = options("online", engine, threads)
    return at_threads(Evaluation(learner(tasks, args), tasks.test, "cpu").accuracies, args)
