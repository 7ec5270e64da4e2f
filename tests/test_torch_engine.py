"""The reference engine's verbs against plain autograd, and the flat vector that they work on."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from data import Examples
from model.common import MLP
from model.engine import torch_engine
from model.engine.torch_engine import DenseRows, TorchEngine
from model.engine.weights import LANE, Weights

LR = 0.1


@pytest.fixture
def pair():
    """An engine over a network, its weights, and a plain copy of that network."""
    torch.manual_seed(0)
    network = MLP([6, 5, 4, 3])
    plain = copy.deepcopy(network)
    weights = Weights(network)
    return TorchEngine(network, weights, LR), weights, network, plain


def examples(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(n, 6), torch.arange(n) % 3


def plain_step(plain: torch.nn.Module, loss: torch.Tensor) -> None:
    plain.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter -= LR * parameter.grad


def assert_same(network: torch.nn.Module, plain: torch.nn.Module) -> None:
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_sgd_is_one_step_a_row_in_order(pair):
    engine, _, network, plain = pair
    x, y = examples(5)
    engine.sgd(x, y)
    for i in range(5):
        plain_step(plain, cross_entropy(plain(x[i : i + 1]), y[i : i + 1]))
    assert_same(network, plain)


def test_sgd_scales_each_rows_loss(pair):
    engine, _, network, plain = pair
    x, y = examples(3)
    engine.sgd(x, y, scale=torch.tensor([1.0, 5.0, 0.0]))
    plain_step(plain, cross_entropy(plain(x[:1]), y[:1]))
    plain_step(plain, 5 * cross_entropy(plain(x[1:2]), y[1:2]))
    assert_same(network, plain)


def test_a_step_is_on_the_mean_loss_or_on_the_weighted_sum(pair):
    engine, _, network, plain = pair
    x, y = examples(4)
    engine.step(x, y)
    plain_step(plain, cross_entropy(plain(x), y))
    share = torch.tensor([0.5, 0.0, 2.0, 1.0])
    engine.step(x, y, weight=share)
    plain_step(plain, (cross_entropy(plain(x), y, reduction="none") * share).sum())
    assert_same(network, plain)


def test_a_pull_adds_a_quadratic_penaltys_gradient(pair):
    engine, weights, network, plain = pair
    x, y = examples(4)
    stiffness, anchor = torch.rand_like(weights.flat), torch.rand_like(weights.flat)
    engine.step(x, y, pull=(stiffness, stiffness * anchor))
    springs, anchors = weights.views(stiffness), weights.views(anchor)
    penalty = sum(
        (springs[ours] * (theirs - anchors[ours]) ** 2).sum() / 2
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True)
    )
    plain_step(plain, cross_entropy(plain(x), y) + penalty)
    assert_same(network, plain)


def test_gradients_are_laid_out_like_the_weights(pair):
    engine, weights, network, plain = pair
    batches = [examples(2), examples(3)]
    before = weights.snapshot()
    gradients = engine.gradients(batches)
    assert torch.equal(weights.flat, before)
    for row, (x, y) in zip(gradients, batches, strict=True):
        assert torch.equal(row, engine.gradient(x, y))
        expected = torch.autograd.grad(cross_entropy(plain(x), y), list(plain.parameters()))
        views = weights.views(row)
        for parameter, g in zip(network.parameters(), expected, strict=True):
            torch.testing.assert_close(views[parameter], g)
    torch.testing.assert_close(engine.gram(gradients), gradients.double() @ gradients.double().T)


def test_scores_of_inputs_and_of_a_test_set_larger_than_a_chunk(pair, monkeypatch):
    engine, _, _, plain = pair
    x, y = examples(7)
    with torch.no_grad():
        torch.testing.assert_close(engine.scores(x), plain(x))
        monkeypatch.setattr(torch_engine, "CHUNK", 3)
        torch.testing.assert_close(engine.scores(engine.test_set(Examples(x, y))), plain(x))
    assert not engine.scores(x).requires_grad


@pytest.mark.parametrize("verb", ["sgd", "step", "gradient"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error(pair, verb, bad):
    engine, weights, _, _ = pair
    x, y = examples(2)
    weights.views(weights.flat)[next(engine._network.parameters())].fill_(bad)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        getattr(engine, verb)(x, y)


def test_the_vector_holds_the_parameters_input_major_in_whole_lanes(pair):
    _, weights, network, plain = pair
    assert_same(network, plain)
    first = network.net[0].weight
    assert weights.offset(first) == 0
    for i in range(6):
        start = i * LANE
        torch.testing.assert_close(weights.flat[start : start + 5], plain.net[0].weight[:, i])
    assert all(weights.offset(parameter) % LANE == 0 for parameter in network.parameters())
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert len(weights.flat) % LANE == 0
    assert int((weights.flat != 0).sum()) < n_parameters < len(weights.flat)
    weights.flat.add_(1)
    torch.testing.assert_close(first, plain.net[0].weight + 1)


def test_padding_stays_zero(pair):
    engine, weights, network, _ = pair
    padding = torch.ones_like(weights.flat)
    for view in weights.views(padding).values():
        view.zero_()
    assert padding.any()
    x, y = examples(4)
    engine.sgd(x, y)
    before = weights.snapshot()
    engine.step(x, y, pull=(weights.flat.square(), weights.flat))
    weights.interpolate(before, 0.5)
    weights.descend(engine.gradient(x, y), 0.1)
    assert not weights.flat[padding == 1].any()


def test_interpolation_and_snapshots(pair):
    _, weights, network, _ = pair
    before = weights.snapshot()
    weights.flat.mul_(3)
    assert not torch.equal(before, weights.flat)
    weights.interpolate(before, 0.25)
    torch.testing.assert_close(weights.flat, 1.5 * before)
    weights.interpolate(before, 0)
    assert torch.equal(weights.flat, before)
    first = before[0].item()
    weights.flat.mul_(3)
    weights.interpolate(before, 0.5, renew=True)
    assert torch.equal(weights.flat, before) and before[0] == 2 * first
    torch.testing.assert_close(network.net[0].weight, weights.views(before)[network.net[0].weight])


def test_a_state_dict_goes_into_a_plain_network_and_back(pair):
    _, weights, network, plain = pair
    weights.flat.mul_(2)
    plain.load_state_dict(network.state_dict())
    assert_same(network, plain)
    with torch.no_grad():
        plain.net[0].weight.fill_(7)
    network.load_state_dict(plain.state_dict())
    assert (weights.flat == 7).sum() == plain.net[0].weight.numel()


def test_rows_grow_and_are_taken_in_any_order():
    rows = DenseRows(2, torch.device("cpu"))
    for i in range(130):
        assert len(rows) == i
        rows.put(i, torch.tensor([float(i), -float(i)]))
    rows.put(3, torch.tensor([100.0, 100.0]))
    assert len(rows) == 130
    assert rows[torch.tensor([129, 3, 3, 0])][:, 0].tolist() == [129, 100, 100, 0]
    assert rows.dense().shape == (130, 2)
