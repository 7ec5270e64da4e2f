"""Networks for the tests of the native engine: random ones, and both engines over them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st

from model.common import relu_between
from model.engine import compiled
from model.engine.native import NativeEngine
from model.engine.torch_engine import TorchEngine
from model.engine.weights import Weights

SETTINGS = settings(
    max_examples=int(os.environ.get("MER_TEST_EXAMPLES", 100)),
    derandomize="MER_TEST_EXAMPLES" not in os.environ,
    deadline=None,
)
"""A hundred cases are the same ones every time; a number of your own is drawn anew each time."""
SETTINGS_OF_LONG_TESTS = settings(SETTINGS, max_examples=SETTINGS.max_examples // 3 + 1)
EPS = 2.0**-23

needs_native = pytest.mark.skipif(bool(compiled.unavailable()), reason=str(compiled.unavailable()))


def instruction_sets() -> list[str]:
    """Those that the native engine is compiled for and this processor has."""
    return [] if compiled.unavailable() else [name for name in ("avx512", "avx2", "baseline") if _has(name)]


@contextmanager
def instruction_set(name: str | None) -> Iterator[None]:
    """The native engine on one instruction set for a while, and then on the one it was told to use."""
    compiled._native.select(name)
    try:
        yield
    finally:
        compiled._native.select(os.environ.get("MER_NATIVE_ISA"))


def _has(name: str) -> bool:
    try:
        with instruction_set(name):
            return True
    except ValueError:
        return False


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: two of them, on matrices so small, do little but wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=instruction_sets())
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """The native engine on each instruction set in turn."""
    with instruction_set(request.param):
        yield request.param


class Network:
    """An MLP in one vector, with every weight and bias from `seed`, and an engine over it on demand."""

    def __init__(self, sizes: list[int], seed: int = 0, gain: float = 1.0, dead: float = 0.0) -> None:
        """Weights uniform within `gain` times Glorot's bound; a share `dead` of them, biases too, is zero."""
        self.layers = [torch.nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False)]
        self.module = relu_between(self.layers)
        generator = np.random.default_rng(seed)
        with torch.no_grad():
            for layer in self.layers:
                bound = gain * (6 / (layer.in_features + layer.out_features)) ** 0.5
                for parameter in layer.parameters():
                    values = generator.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)
                    values[generator.random(values.shape) < dead] = 0
                    parameter.copy_(torch.from_numpy(values))
        self.weights = Weights(self.module)

    def native(self, lr: float = 0.1, threads: int = 1) -> NativeEngine:
        return NativeEngine(self.layers, self.weights, lr, threads)

    def torch(self, lr: float = 0.1) -> TorchEngine:
        return TorchEngine(self.module, self.weights, lr)

    def padding(self) -> torch.Tensor:
        """What of the vector belongs to no parameter."""
        mask = torch.ones_like(self.weights.flat)
        for part in self.weights.views(mask).values():
            part.zero_()
        return self.weights.flat[mask.bool()]


@contextmanager
def in_double() -> Iterator[None]:
    """Networks made here, and the torch engine over them, compute in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@dataclass(frozen=True)
class Case:
    """A network and a batch for it, all from a seed, so that hypothesis shrinks sizes and zeros."""

    sizes: list[int]
    rows: int
    seed: int
    gain: float
    dead: float
    density: float

    def network(self) -> Network:
        return Network(self.sizes, self.seed, self.gain, self.dead)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs, a share `density` of them not zero, negative zeros among the others, and labels."""
        generator = np.random.default_rng(self.seed + 1)
        x = generator.standard_normal((self.rows, self.sizes[0])).astype(np.float32)
        x *= generator.random(x.shape) < self.density
        y = generator.integers(self.sizes[-1], size=self.rows)
        return torch.from_numpy(x), torch.from_numpy(y)

    def weight(self) -> torch.Tensor:
        """A weight for each row, some of them zero or negative."""
        generator = np.random.default_rng(self.seed + 2)
        weight = generator.uniform(-0.5, 2, self.rows) * (generator.random(self.rows) < 0.8)
        return torch.from_numpy(weight.astype(np.float32))

    def pull(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The stiffness of each weight, and that times its target, laid out like the weights."""
        network, target = self.network(), Network(self.sizes, self.seed + 3)
        stiffness = Network(self.sizes, self.seed + 4).weights.flat.square()
        assert len(stiffness) == len(network.weights.flat)
        return stiffness, stiffness * target.weights.flat


WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from([1, 15, 16, 17, 112, 113, 127, 128, 129, 300]))


def cases(most_rows: int = 9) -> st.SearchStrategy[Case]:
    """Networks of one to five layers."""
    return st.builds(
        Case,
        sizes=st.lists(WIDTHS, min_size=2, max_size=6),
        rows=st.integers(1, most_rows),
        seed=st.integers(0, 2**20),
        gain=st.sampled_from([0.1, 1.0, 2.0]),
        dead=st.sampled_from([0.0, 0.5, 1.0]),
        density=st.sampled_from([0.0, 0.05, 0.2, 1.0]),
    )


def clear_of_kinks(module: torch.nn.Sequential, x: torch.Tensor) -> bool:
    """Whether no hidden unit is so near its ReLU's kink that rounding in float32 may decide its side.

    A network and inputs in float64. Sums of nothing but zeros are exact, and no danger.
    """
    with torch.no_grad():
        size = x.abs()
        for layer in list(module)[:-1]:
            if isinstance(layer, torch.nn.ReLU):
                x, size = x.relu(), size * (x > 0)
                continue
            x, size = layer(x), size @ layer.weight.abs().T + layer.bias.abs()
            if ((x.abs() <= 100 * EPS * size) & (size > 0)).any():
                return False
    return True
