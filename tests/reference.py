"""The ten learners again, in float64 NumPy with hand-written gradients, naively: the tests' second opinion.

Weights come as a dictionary of arrays under their names in a state_dict, and are changed in place. Random
draws use Python's global generator in the same order as the published code.
"""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Sequence
from itertools import product

import numpy as np

Array = np.ndarray
Theta = dict[str, Array]
Example = tuple[Array, int, int]
"""Input (n_inputs,), label, task."""


def scores(weights: Sequence[Array], x: Array) -> Array:
    """An MLP's output (B, n_outputs) for x (B, n_inputs), weights being W (out, in), b, W, b, ..."""
    return hidden_inputs(weights, x)[-1]


def hidden_inputs(weights: Sequence[Array], x: Array) -> list[Array]:
    """What goes into each layer, and what comes out of the last."""
    inputs = [x]
    for i in range(0, len(weights), 2):
        out = inputs[-1] @ weights[i].T + weights[i + 1]
        inputs.append(np.maximum(out, 0) if i + 2 < len(weights) else out)
    return inputs


def losses(weights: Sequence[Array], x: Array, y: Array) -> Array:
    """Cross-entropy of each row, (B,)."""
    z = scores(weights, x)
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]


def gradient(weights: Sequence[Array], x: Array, y: Array, share: Array | None = None) -> list[Array]:
    """Of the sum of the rows' losses times `share` (B,), by default their mean; one array a weight."""
    inputs = hidden_inputs(weights, x)
    p = np.exp(inputs[-1])
    delta = p / p.sum(1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    delta *= np.full(len(y), 1 / len(y))[:, None] if share is None else share[:, None]
    gradients: list[Array] = []
    for i in reversed(range(0, len(weights), 2)):
        before = inputs[i // 2]
        gradients = [delta.T @ before, delta.sum(0), *gradients]
        delta = (delta @ weights[i]) * (before > 0)
    return gradients


def descend(weights: Sequence[Array], along: Sequence[Array], lr: float) -> None:
    for w, g in zip(weights, along, strict=True):
        w -= lr * g


def sgd(
    weights: Sequence[Array], rows: Sequence[Example], lr: float, scale: Sequence[float] | None = None
) -> None:
    """One step a row, on its loss times its scale."""
    for i, (x, y, _) in enumerate(rows):
        descend(weights, gradient(weights, x[None], np.array([y])), lr * (scale[i] if scale else 1.0))


def stacked(rows: Sequence[Example]) -> tuple[Array, Array]:
    return np.stack([x for x, _, _ in rows]), np.array([y for _, y, _ in rows])


class Single:
    """One network for all tasks."""

    def __init__(self, theta: Theta, args: Namespace) -> None:
        self.weights, self.args = list(theta.values()), args

    def copy(self) -> list[Array]:
        return [w.copy() for w in self.weights]

    def interpolate(self, before: Sequence[Array], rate: float) -> None:
        for w, b in zip(self.weights, before, strict=True):
            w[...] = b + rate * (w - b)


class Online(Single):
    def observe(self, x: Array, t: int, y: Array) -> None:
        descend(self.weights, gradient(self.weights, x, y), self.args.lr)


class TaskInput:
    def __init__(self, theta: Theta, args: Namespace) -> None:
        self.theta, self.args = theta, args

    def observe(self, x: Array, t: int, y: Array) -> None:
        own = [self.theta[f"i_layer.{t}.weight"], self.theta[f"i_layer.{t}.bias"]]
        weights = own + [w for name, w in self.theta.items() if name[0] in "ho"]
        descend(weights, gradient(weights, x, y), self.args.lr)


class Independent:
    def __init__(self, theta: Theta, args: Namespace) -> None:
        self.theta, self.args, self.last = theta, args, 0

    def net(self, t: int) -> list[Array]:
        return [w for name, w in self.theta.items() if name.startswith(f"nets.{t}.")]

    def observe(self, x: Array, t: int, y: Array) -> None:
        if self.args.finetune and t > 0 and t != self.last:
            for new, old in zip(self.net(t), self.net(self.last), strict=True):
                new[...] = old
            self.last = t
        descend(self.net(t), gradient(self.net(t), x, y), self.args.lr)


class Ewc(Single):
    """The penalty as the paper writes it: a sum over finished tasks."""

    def __init__(self, theta: Theta, args: Namespace) -> None:
        super().__init__(theta, args)
        self.finished: list[tuple[list[Array], list[Array]]] = []
        self.task: int | None = None

    def observe(self, x: Array, t: int, y: Array) -> None:
        if t != self.task:
            if self.task is not None:
                fisher = [g**2 for g in gradient(self.weights, self.x, self.y)]
                self.finished.append((fisher, self.copy()))
            self.task, self.x, self.y = t, x, y
        else:
            more = max(0, self.args.n_memories - len(self.x))
            self.x, self.y = np.concatenate([self.x, x[:more]]), np.concatenate([self.y, y[:more]])
        total = gradient(self.weights, x, y)
        for fisher, anchor in self.finished:
            for g, f, w, a in zip(total, fisher, self.weights, anchor, strict=True):
                g += 2 * self.args.memory_strength * f * (w - a)
        descend(self.weights, total, self.args.lr)


class Gem(Single):
    """Each task has n_memories places, None until written; one write position for all tasks."""

    def __init__(self, theta: Theta, args: Namespace) -> None:
        super().__init__(theta, args)
        self.places: dict[int, list[tuple[Array, int] | None]] = {}
        self.position = 0

    def observe(self, x: Array, t: int, y: Array) -> None:
        places = self.places.setdefault(t, [None] * self.args.n_memories)
        for i in range(len(x)):
            if self.position + i < len(places):
                places[self.position + i] = x[i], int(y[i])
        end = self.position + len(x)
        self.position = 0 if end >= len(places) else end
        g = self.flat(gradient(self.weights, x, y))
        earlier = []
        for task, kept in self.places.items():
            if task != t:
                written = [(*place, task) for place in kept if place is not None]
                earlier.append(self.flat(gradient(self.weights, *stacked(written))))
        if earlier and min(g @ g_k for g_k in earlier) < 0:
            g = turned(g, np.stack(earlier), self.args.memory_strength)
        start = 0
        for w in self.weights:
            w -= self.args.lr * g[start : start + w.size].reshape(w.shape)
            start += w.size

    def flat(self, gradients: Sequence[Array]) -> Array:
        return np.concatenate([g.ravel() for g in gradients])


def turned(g: Array, memories: Array, margin: float) -> Array:
    """GEM's step g + M'v, v minimising its length over v >= margin: every set of bounds is tried."""
    products, against = memories @ memories.T, memories @ g
    best, least = g, np.inf
    for free in product((False, True), repeat=len(memories)):
        inside = np.array(free)
        v = np.full(len(memories), float(margin))
        if inside.any():
            rest = against[inside] + products[np.ix_(inside, ~inside)] @ v[~inside]
            v[inside] = -np.linalg.solve(products[np.ix_(inside, inside)], rest)
        step = g + memories.T @ v
        if (v >= margin).all() and step @ step < least:
            best, least = step, step @ step
    return best


class Replay(Single):
    """The reservoir and its draws; `learn` is what differs."""

    def __init__(self, theta: Theta, args: Namespace) -> None:
        super().__init__(theta, args)
        self.memory: list[Example] = []
        self.age = 0

    def draw(self) -> list[Example]:
        order, drawn = list(range(len(self.memory))), []
        for j in range(min(int(self.args.replay_batch_size), len(self.memory))):
            random.shuffle(order)
            drawn.append(self.memory[order[j]])
        return drawn

    def observe(self, x: Array, t: int, y: Array) -> None:
        for x_i, y_i in zip(x, y, strict=True):
            self.age += 1
            current = x_i, int(y_i), t
            self.learn(current)
            if len(self.memory) < self.args.memories:
                self.memory.append(current)
            elif (p := random.randint(0, self.age)) < self.args.memories:
                self.memory[p] = current

    def learn(self, current: Example) -> None:
        raise NotImplementedError


class Er4(Replay):
    def learn(self, current: Example) -> None:
        descend(self.weights, gradient(self.weights, *stacked([*self.draw(), current])), self.args.lr)


class Er5(Replay):
    def learn(self, current: Example) -> None:
        rows = [current, *self.draw()]
        total = [np.zeros_like(w) for w in self.weights]
        for task in {t for _, _, t in rows}:
            part = gradient(self.weights, *stacked([row for row in rows if row[2] == task]))
            total = [a + b for a, b in zip(total, part, strict=True)]
        descend(self.weights, total, self.args.lr)


class Mer1(Replay):
    def learn(self, current: Example) -> None:
        start = self.copy()
        for _ in range(int(self.args.batches_per_example)):
            before = self.copy()
            sgd(self.weights, [current, *self.draw()], self.args.lr)
            self.interpolate(before, self.args.beta)
        self.interpolate(start, self.args.gamma)


class Mer6(Replay):
    def learn(self, current: Example) -> None:
        self.draw()
        for _ in range(int(self.args.batches_per_example)):
            before = self.copy()
            sgd(self.weights, [*self.draw(), current], self.args.lr)
            self.interpolate(before, self.args.gamma)


class Mer7(Replay):
    def learn(self, current: Example) -> None:
        if self.age == 1:
            return
        rows = [current, *self.draw()]
        order = list(range(len(rows)))
        random.shuffle(order)
        before = self.copy()
        scale = [self.args.s if i == 0 else 1.0 for i in order]
        sgd(self.weights, [rows[i] for i in order], self.args.lr, scale)
        self.interpolate(before, self.args.gamma)


LEARNERS = {
    "online": Online,
    "taskinput": TaskInput,
    "independent": Independent,
    "ewc": Ewc,
    "gem": Gem,
    "eralg4": Er4,
    "eralg5": Er5,
    "meralg1": Mer1,
    "meralg6": Mer6,
    "meralg7": Mer7,
}
