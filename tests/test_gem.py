"""GEM's projection, on cases with a known answer."""

import numpy as np
import pytest
import quadprog
import torch

from model import gem
from model.options import parse


def build(engine: str = "torch", margin: float = 0.0) -> gem.Net:
    options = f"--model gem --n_hiddens 6 --n_memories 4 --lr 0.1 --threads 1 --engine {engine}"
    torch.manual_seed(0)
    return gem.Net(5, 3, 4, parse([*options.split(), "--memory_strength", str(margin)]))


def vectors(net: gem.Net, n: int, seed: int = 0) -> torch.Tensor:
    """n random vectors as long as the weights, (n, P)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, len(net.weights.flat), generator=generator)


def against(gradient: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """A memory's gradient that the step along `gradient` would work against."""
    noise = torch.randn(len(gradient), generator=torch.Generator().manual_seed(seed))
    return noise - 0.3 * gradient - noise @ gradient / (gradient @ gradient) * gradient


def close(step: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(step.double(), expected, rtol=1e-5, atol=1e-5)


def test_one_violated_constraint_leaves_the_step_orthogonal_to_it(engine):
    net = build(engine)
    (g,) = vectors(net, 1)
    m = against(g)
    step = net.project(torch.stack([m, g]))
    g, m = g.double(), m.double()
    close(step, g - (g @ m) / (m @ m) * m)
    assert abs(step.double() @ m) < 1e-3


@pytest.mark.parametrize("margin", [0.1, 0.5])
def test_a_margin_is_the_least_share_of_a_memory(engine, margin):
    net = build(engine, margin)
    (g,) = vectors(net, 1)
    m = against(g)
    needed = -(g.double() @ m.double()) / (m.double() @ m.double())
    assert 0.1 < needed < 0.5
    close(net.project(torch.stack([m, g])), g.double() + max(needed.item(), margin) * m.double())


def test_a_satisfied_constraint_beside_a_violated_one_takes_no_part(engine):
    net = build(engine)
    g, n = vectors(net, 2)
    m = against(g)
    agreeing = (n - n @ m / (m @ m) * m) + (1 - n @ g / (g @ g)) * g
    assert agreeing @ g > 0
    m, g64 = m.double(), g.double()
    expected = g64 - (g64 @ m) / (m @ m) * m
    assert agreeing.double() @ expected > 0
    close(net.project(torch.stack([agreeing, m.float(), g])), expected)


def test_a_memory_that_is_there_twice_is_solved_with_a_ridge(engine):
    net = build(engine)
    (g,) = vectors(net, 1)
    m = torch.zeros_like(g)
    m[:4] = 1  # A square of 4 makes the matrix singular to the last bit.
    g[:4] = torch.tensor([-1.0, -2.0, 0.5, 0.25])
    with pytest.raises(ValueError, match="positive definite"):
        quadprog.solve_qp(np.full((2, 2), 4.0), np.ones(2), np.eye(2), np.zeros(2))
    step = net.project(torch.stack([m, m, g]))
    g, m = g.double(), m.double()
    close(step, g - 2 * (g @ m) / (2 * (m @ m) + 1e-3) * m)


def test_the_ridge_grows_tenfold_until_the_matrix_is_positive_definite():
    assert gem.solve(np.array([[-0.0005]]), np.ones(1), 0.0) == pytest.approx(1 / 0.0005)
    assert gem.solve(np.array([[-0.05]]), np.ones(1), 0.0) == pytest.approx(1 / 0.05)
    assert gem.solve(np.array([[0.05]]), np.ones(1), 0.0) == pytest.approx(1 / 0.05)
    assert gem.solve(np.array([[0.05]]), -np.ones(1), 0.25) == pytest.approx(0.25)


def test_without_a_violation_the_step_is_the_plain_gradient(engine, monkeypatch):
    net, plain = build(engine, margin=0.5), build(engine)
    monkeypatch.setattr(gem, "solve", lambda *_: pytest.fail("there is nothing to project"))
    x, y = torch.rand(1, 5), torch.tensor([1])
    # The same example again as another task: the gradients' product is a square.
    for t in range(3):
        net.observe(x, t, y)
        plain.engine.step(x, y)
    torch.testing.assert_close(net.weights.flat, plain.weights.flat)


def test_a_product_of_zero_is_no_violation(monkeypatch):
    net = build(margin=0.5)
    x, y = torch.rand(1, 5), torch.tensor([1])
    net.observe(x, 0, y)
    monkeypatch.setattr(gem, "solve", lambda *_: pytest.fail("there is nothing to project"))
    monkeypatch.setattr(net.engine, "gradients", lambda _: torch.zeros(2, len(net.weights.flat)))
    net.observe(x, 1, y)


def test_with_a_violation_the_step_is_the_projected_one(engine):
    net = build(engine)
    x = torch.rand(1, 5)
    net.observe(x, 0, torch.tensor([0]))
    before = net.weights.snapshot()
    g = net.engine.gradient(x, torch.tensor([1])).double()
    m = net.engine.gradient(x, torch.tensor([0])).double()
    assert g @ m < 0
    net.observe(x, 1, torch.tensor([1]))
    close(net.weights.flat, before.double() - 0.1 * (g - (g @ m) / (m @ m) * m))


@pytest.mark.parametrize("largest", [1e300, np.inf, np.nan])
def test_gradients_beyond_float64_are_told_as_a_loss_beyond_it_is(largest):
    matrix = np.array([[largest, 1.0], [1.0, 2.0]])
    with pytest.raises(FloatingPointError, match="the gradients are"):
        gem.solve(matrix, np.array([1.0, -1.0]), 0.5)
