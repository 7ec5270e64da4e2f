"""The native engine on what is unusual, where it behaves like the torch engine, and on what is wrong."""

from __future__ import annotations

import math

import pytest
import torch
from native_cases import Network, instruction_set, kernels, needs_native, one_thread

__all__ = ["kernels", "one_thread"]
pytestmark = [needs_native, pytest.mark.usefixtures("kernels")]
SIZES = [12, 20, 5]


def batch(rows: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x = torch.rand(rows, 12, generator=generator)
    return x, torch.randint(5, (rows,), generator=generator)


def both(verb: str, *inputs: object) -> tuple[object, object]:
    """What a verb gives or raises, and the weights after it, of each engine."""
    outcomes = []
    for kind in ("native", "torch"):
        network = Network(SIZES)
        try:
            given = getattr(getattr(network, kind)(), verb)(*inputs)
        except (FloatingPointError, IndexError) as error:
            given = type(error)
        outcomes.append((given, network.weights.flat.clone()))
    return outcomes[0], outcomes[1]


VERBS = ["sgd", "step", "gradient"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("pixel", [math.nan, math.inf, -math.inf])
def test_a_pixel_that_is_no_number(verb, pixel):
    x, y = batch()
    x[1, 3] = pixel
    (native, weights), (single, expected) = both(verb, x, y)
    assert native is single is FloatingPointError
    if verb != "sgd":
        assert torch.equal(weights, expected)


def test_scores_of_a_pixel_that_is_no_number():
    x, _ = batch()
    x[1, 3] = math.nan
    network = Network(SIZES)
    scores = network.native().scores(x)
    assert torch.equal(scores.isnan().any(1), torch.tensor([False, True, False, False]))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_that_is_no_number(verb, weight):
    x, y = batch()
    (native, _), (single, _) = both(verb, x, y, torch.tensor([1.0, weight, 1.0, 1.0]))
    assert native is single is FloatingPointError


@pytest.mark.parametrize("verb", VERBS)
def test_a_diverged_network(verb):
    x, y = batch()
    for engine in (Network(SIZES, gain=1e30).native(), Network(SIZES, gain=1e30).torch()):
        with pytest.raises(FloatingPointError):
            getattr(engine, verb)(x, y)


@pytest.mark.parametrize("verb", ["step", "gradient"])
def test_the_mean_of_no_rows(verb):
    (native, weights), (single, expected) = both(verb, torch.empty(0, 12), torch.empty(0, dtype=torch.int64))
    assert native is single is FloatingPointError
    assert torch.equal(weights, expected)


def test_no_rows():
    network = Network(SIZES)
    before, engine = network.weights.snapshot(), network.native(threads=2)
    x, y = torch.empty(0, 12), torch.empty(0, dtype=torch.int64)
    assert engine.scores(x).shape == (0, 5)
    assert not engine.gradient(x, y, torch.empty(0)).any()
    engine.sgd(x, y)
    engine.step(x, y, torch.empty(0))
    assert torch.equal(network.weights.flat, before)


@pytest.mark.parametrize("label", [-1, 5, 2**40, -100])
@pytest.mark.parametrize("verb", VERBS)
def test_a_label_that_is_no_output(verb, label):
    x, y = batch()
    y[2] = label
    network = Network(SIZES)
    before = network.weights.snapshot()
    with pytest.raises(IndexError, match=f"label {label} of a network with 5 outputs"):
        getattr(network.native(), verb)(x, y)
    assert torch.equal(network.weights.flat, before)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.rand(4, 11), torch.zeros(4, dtype=torch.int64)),
        (torch.rand(4, 13), torch.zeros(4, dtype=torch.int64)),
        (torch.rand(12), torch.zeros(12, dtype=torch.int64)),
        (torch.rand(4, 3, 4), torch.zeros(4, dtype=torch.int64)),
        (torch.rand(4, 12), torch.zeros(3, dtype=torch.int64)),
        (torch.rand(4, 12), torch.zeros(4, 1, dtype=torch.int64)),
    ],
    ids=["narrow", "wide", "flat", "deep", "short labels", "labels in columns"],
)
def test_shapes_that_do_not_fit(verb, x, y):
    with pytest.raises(ValueError, match=r"inputs|labels"):
        getattr(Network(SIZES).native(), verb)(x, y)


@pytest.mark.parametrize("verb", VERBS)
def test_weights_that_do_not_fit(verb):
    with pytest.raises(ValueError, match="weights for 4 inputs"):
        getattr(Network(SIZES).native(), verb)(*batch(), torch.ones(3))


@pytest.mark.parametrize("width", [11, 13, 0])
def test_scores_of_another_width(width):
    with pytest.raises(ValueError, match="for a network of 12"):
        Network(SIZES).native().scores(torch.rand(4, width))


@pytest.mark.parametrize("short", [(16, 0), (0, 16)])
def test_a_pull_of_another_length(short):
    network = Network(SIZES)
    pull = tuple(torch.zeros(len(network.weights.flat) - missing) for missing in short)
    with pytest.raises(ValueError, match=f"for {len(network.weights.flat)} weights"):
        network.native().step(*batch(), None, pull)


@pytest.mark.parametrize("at", [[], [0], [15, 16], [40, 200], [-1]])
def test_a_pull_of_a_few_weights(at):
    native, single = Network(SIZES), Network(SIZES)
    x, y = batch()
    stiffness, target = torch.zeros(2, len(native.weights.flat))
    stiffness[at], target[at[:1]] = 0.5, 0.25
    native.native().step(x, y, None, (stiffness, target))
    single.torch().step(x, y, None, (stiffness, target))
    torch.testing.assert_close(native.weights.flat, single.weights.flat, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
def test_a_pull_that_changes_in_place(which):
    native, single = Network(SIZES), Network(SIZES)
    x, y = batch()
    pull = torch.zeros(len(native.weights.flat)), torch.zeros(len(native.weights.flat))
    for engine in (native.native(), single.torch()):
        pull[which].zero_()
        engine.step(x, y, None, pull)
        pull[which].add_(0.5)
        engine.step(x, y, None, pull)
    torch.testing.assert_close(native.weights.flat, single.weights.flat, rtol=1e-5, atol=1e-6)


def test_a_pull_that_lies_anywhere():
    """Neither contiguous, nor on a line's boundary, nor float32."""
    x, y = batch()
    stiffness, target = Network(SIZES, 1).weights.flat.square(), Network(SIZES, 2).weights.flat
    expected = Network(SIZES)
    expected.native().step(x, y, None, (stiffness, target))
    spread = torch.stack([stiffness, stiffness], 1)[:, 1]
    shifted = torch.cat([torch.zeros(1), target])[1:]
    for pull in ((spread, shifted), (stiffness.double(), target.double())):
        network = Network(SIZES)
        network.native().step(x, y, None, pull)
        assert torch.equal(network.weights.flat, expected.weights.flat)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.T.contiguous().T,
        lambda x: torch.stack([x, -x], 2)[:, :, 0],
        lambda x: torch.cat([x, x], 1)[:, :12],
        lambda x: x.double(),
        lambda x: x.clone().requires_grad_(),
        lambda x: x.flip(0).flip(0),
    ],
    ids=["transposed", "every second", "columns", "double", "with gradient", "flipped"],
)
def test_inputs_in_any_form(verb, form):
    x, y = batch()
    plain, other = Network(SIZES), Network(SIZES)
    expected = getattr(plain.native(), verb)(x, y)
    given = getattr(other.native(), verb)(form(x), y.to(torch.int32))
    assert torch.equal(plain.weights.flat, other.weights.flat)
    assert expected is given is None or torch.equal(expected, given)


def test_vectors_for_gram_in_any_form():
    network = Network(SIZES)
    vectors = torch.stack([Network(SIZES, seed).weights.flat for seed in range(3)])
    engine = network.native()
    expected = engine.gram(vectors)
    assert torch.equal(engine.gram(vectors.T.contiguous().T), expected)
    assert torch.equal(engine.gram(vectors.double()), expected)
    with pytest.raises(ValueError, match="vectors of shape"):
        engine.gram(vectors[:, 1:])


def test_instruction_sets_that_are_not_there():
    with pytest.raises(ValueError, match="no sse9 kernels"), instruction_set("sse9"):
        pass


def test_an_interpolation_rounds_as_pytorch_does():
    """To the bit: each operation rounds, whatever an instruction set could do in one."""
    network = Network(SIZES)
    flat = network.weights.flat
    generator = torch.Generator().manual_seed(1)
    before = torch.randn(len(flat), generator=generator) * flat.abs().max()
    before[:4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    expected = flat.clone().sub_(before).mul_(0.03).add_(before)
    shifted = torch.cat([torch.zeros(1), before])[1:]
    start = network.weights.snapshot()
    for given in (before, shifted):
        for renew in (False, True):
            flat.copy_(start)
            kept = given.clone()
            network.weights.interpolate(given, 0.03, renew)
            assert torch.equal(flat.view(torch.int32), expected.view(torch.int32))
            assert torch.equal(given.view(torch.int32), (flat if renew else kept).view(torch.int32))
    with pytest.raises(RuntimeError):
        network.weights.interpolate(torch.zeros(len(flat) + 16), 0.03)
