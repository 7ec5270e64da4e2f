"""The two engines held together on random networks and batches, and to the torch engine in float64.

A bound on an error is 1e-5 of the largest number, and rounding, of numbers that cancel too, or four times the
torch engine's own error where that is more: a softmax that is sure of its label leaves few digits of a
gradient to either.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from native_cases import (
    EPS,
    SETTINGS,
    SETTINGS_OF_LONG_TESTS,
    Case,
    Network,
    cases,
    clear_of_kinks,
    in_double,
    kernels,
    needs_native,
    one_thread,
)

from model.engine.weights import LANE

__all__ = ["kernels", "one_thread"]
pytestmark = [needs_native, pytest.mark.usefixtures("kernels")]
LR = 0.05


def assert_near(native: torch.Tensor, single: torch.Tensor, double: torch.Tensor, bound: float) -> None:
    """The native engine's numbers are within a bound of the exact ones, or as near as the torch engine's."""
    error = (native - double).abs().max().item()
    assert error <= max(bound, 4 * (single - double).abs().max().item())


def largest(tensor: torch.Tensor) -> float:
    return tensor.abs().max().item()


def rounding(network: Network, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None) -> float:
    """What a batch's gradient may be off by where its rows' gradients cancel, to zero even."""
    shares = torch.full((len(x),), 1 / len(x)) if weight is None else weight.abs()
    engine = network.torch()
    sizes = [engine.gradient(x[i : i + 1], y[i : i + 1]).abs() * shares[i] for i in range(len(x))]
    return 2 * EPS * largest(sum(sizes, torch.zeros(1)))


@given(cases())
@SETTINGS
def test_scores(case):
    x, _ = case.batch()
    network = case.network()
    native, single = network.native().scores(x), network.torch().scores(x)
    with in_double():
        double = case.network().torch().scores(x.double())
    assert_near(native, single, double, 1e-5 * largest(double))


@given(cases(), st.booleans())
@SETTINGS
def test_gradient(case, weighted):
    x, y = case.batch()
    weight = case.weight() if weighted else None
    network = case.network()
    with in_double():
        exact = case.network()
        assume(clear_of_kinks(exact.module, x.double()))
        double = exact.torch().gradient(x.double(), y, weight.double() if weighted else None)
    before = network.weights.snapshot()
    native, single = network.native().gradient(x, y, weight), network.torch().gradient(x, y, weight)
    bound = 1e-5 * largest(double) + rounding(network, x, y, weight)
    assert_near(native, single, double, bound)
    assert torch.equal(network.weights.flat, before)


@given(cases(), st.integers(1, 5), st.integers(1, 3))
@SETTINGS
def test_gradients(case, n_batches, threads):
    x, y = case.batch()
    batches = [(x[i % len(x) :], y[i % len(x) :]) for i in range(n_batches)]
    engine = case.network().native(threads=threads)
    rows = engine.gradients(batches)
    assert rows.shape == (n_batches, len(case.network().weights.flat))
    for row, batch in zip(rows, batches, strict=True):
        assert torch.equal(row, engine.gradient(*batch))


def assert_read_again(case: Case, threads: int) -> None:
    """A batch of a store gives the gradient of its rows the first time, listed, and written over."""
    x, y = case.batch()
    engine = case.network().native(threads=threads)
    rows = engine.rows(x.shape[1])
    rows.extend(x)
    batch = rows[torch.arange(len(x))]
    for written in (x, x.roll(1, 0)):
        for slot, row in enumerate(written):
            rows.put(slot, row)
        expected = engine.gradient(written, y)
        for _ in range(3):
            assert torch.equal(engine.gradients([(batch, y)])[0], expected)
    assert batch.listed() is not None


@given(cases(), st.integers(1, 2))
@SETTINGS
def test_a_batch_that_is_read_again(case, threads):
    assert_read_again(case, threads)


@pytest.mark.parametrize("hidden", [10, 40, 100, 120])
def test_a_large_batch_that_is_read_again(hidden):
    assert_read_again(Case([784, hidden, hidden, 10], rows=200, seed=3, gain=1.0, dead=0.0, density=0.2), 1)


@given(cases(), st.booleans(), st.booleans())
@example(Case([31, 23], rows=8, seed=0, gain=2.0, dead=0.0, density=0.0), False, False)
@example(Case([28, 28, 37], rows=9, seed=3191, gain=1.0, dead=0.5, density=0.0), False, False)
@SETTINGS
def test_step(case, weighted, pulled):
    x, y = case.batch()
    weight = case.weight() if weighted else None
    pull = case.pull() if pulled else None
    with in_double():
        exact = case.network()
        start = exact.weights.snapshot()
        assume(clear_of_kinks(exact.module, x.double()))
        in_full = None if pull is None else (pull[0].double(), pull[1].double())
        exact.torch(LR).step(x.double(), y, weight.double() if weighted else None, in_full)
    native, single = case.network(), case.network()
    bound = LR * rounding(native, x, y, weight)
    native.native(LR).step(x, y, weight, pull)
    single.torch(LR).step(x, y, weight, pull)
    bound += 1e-5 * largest(exact.weights.flat - start) + 2 * EPS * largest(start)
    assert_near(native.weights.flat, single.weights.flat, exact.weights.flat, bound)
    assert not native.padding().any()


@given(cases(), st.booleans())
@SETTINGS
def test_sgd(case, scaled):
    x, y = case.batch()
    scale = case.weight() if scaled else None
    with in_double():
        exact = case.network()
        start = exact.weights.snapshot()
        engine = exact.torch(LR)
        for i in range(len(x)):
            assume(clear_of_kinks(exact.module, x[i : i + 1].double()))
            engine.sgd(x[i : i + 1].double(), y[i : i + 1], scale[i : i + 1].double() if scaled else None)
    native, single = case.network(), case.network()
    native.native(LR).sgd(x, y, scale)
    single.torch(LR).sgd(x, y, scale)
    # Each row rounds the weights once more, and sees what was rounded before.
    bound = len(x) * (1e-5 * largest(exact.weights.flat - start) + 2 * EPS * largest(start))
    assert_near(native.weights.flat, single.weights.flat, exact.weights.flat, bound)
    assert not native.padding().any()


@given(cases(), st.integers(0, 9), st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]))
@SETTINGS
def test_gram(case, n, threads, dense):
    network, generator = case.network(), torch.Generator().manual_seed(case.seed)
    vectors = torch.randn(n, len(network.weights.flat), generator=generator)
    # As gradients are: zero at all weights of an input that is.
    lines = vectors.view(n, vectors.shape[1] // LANE, LANE)
    lines[torch.rand(lines.shape[:2], generator=generator) > dense] = 0
    products, in_torch = network.native(threads=threads).gram(vectors), network.torch().gram(vectors)
    assert products.dtype == in_torch.dtype and products.shape == in_torch.shape
    assert torch.equal(products, products.T)
    # Sums of thousands of exact products in float64, which torch.sum adds more exactly than a matrix product.
    double = vectors.double()
    expected = [(double * vector).sum(1) for vector in double]
    assert not n or torch.allclose(products, torch.stack(expected), rtol=0, atol=1e-14 * vectors.shape[1])


@given(cases(), st.integers(1, 9), st.integers(1, 3))
@SETTINGS
def test_combination(case, n, threads):
    network = case.network()
    generator = torch.Generator().manual_seed(case.seed)
    vectors = torch.randn(n, len(network.weights.flat), generator=generator)
    factors = [0.0, *torch.randn(n - 1, generator=generator).tolist()]
    expected = network.torch().combination(factors, vectors)
    assert torch.allclose(network.native(threads=threads).combination(factors, vectors), expected, rtol=1e-6)


@given(cases(), st.integers(2, 6))
@SETTINGS_OF_LONG_TESTS
def test_many_steps_stay_together(case, steps):
    """A short life: what the engines make of each other's results, on one vector in turn."""
    x, y = case.batch()
    alternating, single = case.network(), case.network()
    engines = alternating.native(LR), alternating.torch(LR)
    reference = single.torch(LR)
    start = single.weights.snapshot()
    bound = 0.0
    for i in range(steps):
        with in_double():
            exact = case.network()
            exact.weights.flat.copy_(single.weights.flat)
            assume(clear_of_kinks(exact.module, x.double()))
        bound += LR * rounding(single, x, y)
        engines[i % 2].step(x, y)
        reference.step(x, y)
    moved = largest(single.weights.flat - start)
    bound += steps * (1e-5 * moved + 2 * EPS * largest(start))
    assert largest(alternating.weights.flat - single.weights.flat) <= bound
    assert not alternating.padding().any()


def test_a_step_of_many_rows_equals_the_gradient():
    """More rows than the engine takes at a time."""
    case = Case([30, 20, 10], rows=500, seed=1, gain=1.0, dead=0.0, density=0.3)
    x, y = case.batch()
    network = case.network()
    before = network.weights.snapshot()
    gradient = network.native(LR).gradient(x, y)
    network.native(LR).step(x, y)
    expected = case.network().torch(LR).gradient(x, y)
    assert largest(gradient - expected) <= 1e-5 * largest(expected)
    assert largest(before - LR * expected - network.weights.flat) <= 1e-5 * LR * largest(expected) + 2 * EPS


@pytest.mark.parametrize("dead", [0.0, 1.0])
def test_one_hidden_unit(dead):
    case = Case([784, 1, 2], rows=3, seed=5, gain=1.0, dead=dead, density=0.2)
    x, y = case.batch()
    native, single = case.network(), case.network()
    native.native(LR).sgd(x, y)
    single.torch(LR).sgd(x, y)
    assert torch.allclose(native.weights.flat, single.weights.flat, rtol=1e-5, atol=1e-7)


def test_an_image_of_zeros():
    """Only biases move in the first layer, and zero sums at the kink of a ReLU have no gradient."""
    network, single = Network([50, 20, 20, 5], seed=2), Network([50, 20, 20, 5], seed=2)
    for net in (network, single):
        net.layers[1].weight.data.zero_()
        net.layers[1].bias.data.zero_()
    x, y = torch.zeros(1, 50), torch.tensor([3])
    network.native(LR).sgd(x, y)
    single.torch(LR).sgd(x, y)
    assert torch.allclose(network.weights.flat, single.weights.flat, rtol=1e-5, atol=1e-7)
    first = network.weights.views(network.weights.flat)[network.layers[0].weight]
    assert torch.equal(first, Network([50, 20, 20, 5], seed=2).layers[0].weight)
