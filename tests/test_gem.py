"""GEM's ring buffer and its projection, on cases with a known answer."""

from argparse import Namespace

import numpy as np
import pytest
import quadprog
import torch

from model import gem
from model.engine.torch_engine import DenseRows
from model.memory import RingBuffer
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
    step = net.project(g, m[None])
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
    close(net.project(g, m[None]), g.double() + max(needed.item(), margin) * m.double())


def test_a_satisfied_constraint_beside_a_violated_one_takes_no_part(engine):
    net = build(engine)
    g, n = vectors(net, 2)
    m = against(g)
    agreeing = (n - n @ m / (m @ m) * m) + (1 - n @ g / (g @ g)) * g
    assert agreeing @ g > 0
    m, g64 = m.double(), g.double()
    expected = g64 - (g64 @ m) / (m @ m) * m
    assert agreeing.double() @ expected > 0
    close(net.project(g, torch.stack([agreeing, m.float()])), expected)


def test_a_memory_that_is_there_twice_is_solved_with_a_ridge(engine):
    net = build(engine)
    (g,) = vectors(net, 1)
    m = torch.zeros_like(g)
    m[:4] = 1  # A square of 4 makes the matrix singular to the last bit.
    g[:4] = torch.tensor([-1.0, -2.0, 0.5, 0.25])
    with pytest.raises(ValueError, match="positive definite"):
        quadprog.solve_qp(np.full((2, 2), 4.0), np.ones(2), np.eye(2), np.zeros(2))
    step = net.project(g, torch.stack([m, m]))
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


class FakeEngine(Namespace):
    def rows(self, n_inputs: int) -> DenseRows:
        return DenseRows(n_inputs, torch.device("cpu"))


def ring(n_memories: int) -> RingBuffer:
    return RingBuffer(1, n_memories, FakeEngine())


def add(buffer: RingBuffer, t: int, *numbers: int) -> None:
    buffer.add(torch.tensor([[float(n)] for n in numbers]), torch.tensor(numbers), t)


def kept(buffer: RingBuffer) -> list[list[int]]:
    """Each task's labels, tasks in order of appearance; inputs must be the same numbers."""
    batches = buffer.batches(but=-1)
    for x, y in batches:
        assert x.flatten().tolist() == y.tolist()
    return [sorted(y.tolist()) for _, y in batches]


def test_the_ring_overwrites_its_oldest():
    buffer = ring(3)
    for n in (1, 2, 3):
        add(buffer, 0, n)
    assert kept(buffer) == [[1, 2, 3]]
    add(buffer, 0, 4)
    assert kept(buffer) == [[2, 3, 4]]
    add(buffer, 0, 5)
    assert kept(buffer) == [[3, 4, 5]]


def test_a_new_task_goes_on_at_the_write_position():
    buffer = ring(3)
    add(buffer, 0, 1)
    add(buffer, 0, 2)
    add(buffer, 5, 3)  # Place 2, the last; places 0 and 1 were never written for this task.
    assert kept(buffer) == [[1, 2], [3]]
    add(buffer, 5, 4)  # Place 0.
    add(buffer, 5, 5)
    assert kept(buffer) == [[1, 2], [3, 4, 5]]
    add(buffer, 5, 6)  # Over 3.
    assert kept(buffer) == [[1, 2], [4, 5, 6]]


def test_rows_past_the_end_are_dropped_and_the_position_returns_to_the_start():
    buffer = ring(5)
    add(buffer, 0, 1, 2, 3)
    add(buffer, 0, 4, 5, 6)  # 6 does not fit, and 7 goes over 1.
    assert kept(buffer) == [[1, 2, 3, 4, 5]]
    add(buffer, 0, 7)
    assert kept(buffer) == [[2, 3, 4, 5, 7]]
    buffer = ring(4)
    add(buffer, 0, 1, 2, 3, 4)  # Exactly full.
    add(buffer, 0, 5)
    assert kept(buffer) == [[2, 3, 4, 5]]
    buffer = ring(2)
    add(buffer, 0, 1, 2, 3, 4, 5)  # More than the whole ring.
    assert kept(buffer) == [[1, 2]]


def test_tasks_come_in_order_of_appearance_without_the_current_one():
    buffer = ring(2)
    for t in (7, 3, 5):
        add(buffer, t, t)
    assert [y.tolist() for _, y in buffer.batches(but=3)] == [[7], [5]]
    assert buffer.batches(but=7)[0][1].tolist() == [3]
