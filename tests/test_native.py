"""The native engine against the torch engine: the same verbs, the same results, the same errors."""

from __future__ import annotations

import pytest
import torch
from engines import Pair, batch, close, near_a_kink
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model.engine import unavailable

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@st.composite
def cases(draw) -> tuple[list[int], int, float, int]:
    """Sizes of an MLP, a batch size, the share of nonzero inputs, and a seed."""
    width = st.one_of(
        st.integers(1, 20), st.sampled_from([15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 200])
    )
    depth = draw(st.integers(0, 4))
    sizes = [draw(width)] + [draw(width) for _ in range(depth)] + [draw(st.integers(1, 40))]
    batch = draw(st.one_of(st.integers(1, 9), st.sampled_from([63, 64, 65, 130])))
    return sizes, batch, draw(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])), draw(st.integers(0, 10**6))


@settings(deadline=None, max_examples=60)
@given(cases(), st.booleans())
def test_gradients_and_scores_agree(case, weighted):
    sizes, n, density, seed = case
    pair = Pair(sizes, seed)
    x, y = batch(sizes, n, density, seed)
    assume(not near_a_kink(pair.nets[0], x))
    weight = torch.rand(n) if weighted else None
    close(pair.native.gradient(x, y, weight), pair.torch.gradient(x, y, weight))
    close(pair.native.scores(x), pair.torch.scores(x))


@settings(deadline=None, max_examples=60)
@given(cases())
def test_steps_agree(case):
    sizes, n, density, seed = case
    pair = Pair(sizes, seed)
    x, y = batch(sizes, n, density, seed)
    assume(not near_a_kink(pair.nets[0], x))
    weight = torch.rand(n)
    pair.native.step(x, y, weight)
    pair.torch.step(x, y, weight)
    pair.assert_equal_weights()
    assert not pair.padding().any()


@settings(deadline=None, max_examples=60)
@given(cases(), st.booleans())
def test_chains_of_single_steps_agree(case, scaled):
    sizes, n, density, seed = case
    pair = Pair(sizes, seed)
    x, y = batch(sizes, min(n, 9), density, seed)
    scale = torch.linspace(0.5, 2, len(x)) if scaled else None
    for row in range(len(x)):
        # Rounding errors grow from step to step.
        assume(not near_a_kink(pair.nets[0], x[row : row + 1], 1e-5))
        pair.torch.sgd(x[row : row + 1], y[row : row + 1], None if scale is None else scale[row : row + 1])
    pair.native.sgd(x, y, scale)
    pair.assert_equal_weights(atol=1e-5)
    assert not pair.padding().any()


@settings(deadline=None, max_examples=60)
@given(cases())
def test_a_pull_is_taken_at_the_old_weights(case):
    sizes, n, density, seed = case
    pair = Pair(sizes, seed)
    x, y = batch(sizes, n, density, seed)
    assume(not near_a_kink(pair.nets[0], x))
    stiffness = pair.weights[0].flat.square()
    target = stiffness * pair.weights[0].flat.roll(1)
    for engine in (pair.torch, pair.native):
        engine.step(x, y, pull=(stiffness, target))
    pair.assert_equal_weights()


def test_a_long_chain_of_mnist_like_steps_stays_together():
    pair = Pair([784, 100, 100, 10])
    x, y = batch([784, 10], 500, 0.19, 1)
    pair.torch.sgd(x.abs() / 4, y)
    pair.native.sgd(x.abs() / 4, y)
    expected, found = (weights.flat for weights in pair.weights)
    assert (found - expected).abs().max() < 1e-4


def test_the_padding_between_weights_stays_zero():
    pair = Pair([30, 7, 5, 3])
    x, y = batch([30, 3], 40, 0.5, 2)
    assert len(pair.padding()) > 0
    pair.native.sgd(x, y)
    pair.native.step(x, y)
    assert not pair.padding().any()


def test_gradients_of_batches_are_their_gradients():
    pair = Pair([50, 20, 20, 10], threads=2)
    batches = [batch([50, 10], n, 0.3, n) for n in (1, 5, 64, 100)]
    found = pair.native.gradients(batches)
    for row, (x, y) in zip(found, batches, strict=True):
        assert torch.equal(row, pair.native.gradient(x, y))


@pytest.mark.parametrize("sizes", [[784, 100, 100, 10], [40, 200, 7]])
def test_threads_change_no_bit(sizes):
    alone, together = Pair(sizes), Pair(sizes, threads=3)
    x, y = batch(sizes, 1000, 0.2, 0)
    batches = [(x[i : i + 70], y[i : i + 70]) for i in range(0, 1000, 70)]
    assert torch.equal(alone.native.scores(x), together.native.scores(x))
    assert torch.equal(alone.native.gradients(batches), together.native.gradients(batches))


class Images:
    """A task's test examples, as `data` has them."""

    def __init__(self, images: torch.Tensor, pixel_map: torch.Tensor | None) -> None:
        self.images, self.pixel_map = images, pixel_map

    def __len__(self) -> int:
        return len(self.images)

    def x(self, rows: slice) -> torch.Tensor:
        pixels = self.images[rows].float()
        if self.images.dtype == torch.uint8:
            pixels = pixels / 255
        if self.pixel_map is None:
            return pixels
        return pixels[:, self.pixel_map.clamp(min=0)] * (self.pixel_map >= 0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_test_sets_are_scored_through_their_maps(dtype, threads):
    pair = Pair([60, 20, 10], threads=threads)
    images = (torch.rand(300, 49) * 300 - 100).clamp(0, 255).to(dtype)
    # Some pixels seen twice, some never, some inputs blank.
    pixel_map = torch.randint(-1, 49, (60,))
    examples = Images(images, pixel_map)
    close(
        pair.native.scores(pair.native.test_set(examples)), pair.torch.scores(pair.torch.test_set(examples))
    )
    plain = Images(torch.rand(300, 60), None)
    close(pair.native.scores(pair.native.test_set(plain)), pair.torch.scores(pair.torch.test_set(plain)))


def test_one_test_set_serves_several_networks():
    pair, other = Pair([49, 20, 10]), Pair([49, 5, 10], seed=1)
    examples = Images(torch.rand(20, 49), torch.randperm(49))
    prepared = pair.native.test_set(examples)
    close(other.native.scores(prepared), other.torch.scores(examples))


def test_rows_come_back_as_they_were_put():
    pair = Pair([70_000, 3])
    x = torch.randn(5, 70_000) * (torch.rand(5, 70_000) < 0.1)
    rows = pair.native.rows(70_000)
    for slot, row in enumerate(x):
        rows.put(slot, row)
    rows.put(2, x[4])
    expected = x[[0, 1, 4, 3, 4]]
    assert len(rows) == 5
    assert torch.equal(rows.dense(), expected)
    slots = torch.tensor([4, 0, 0, 2])
    assert len(rows[slots]) == 4
    close(pair.native.scores(rows[slots]), pair.torch.scores(expected[slots]))


def test_a_row_of_zeros_a_full_row_and_a_shorter_one_share_a_slot():
    pair = Pair([65, 4])
    rows = pair.native.rows(65)
    for row in (torch.zeros(65), torch.ones(65), torch.eye(65)[64]):
        rows.put(0, row)
        assert torch.equal(rows.dense()[0], row)


def test_many_rows_fit_in_little_memory():
    resource = pytest.importorskip("resource")
    rows = Pair([784, 10]).native.rows(784)
    images = torch.zeros(100, 784)
    images[:, 300:450] = 0.5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for slot in range(40_000):
        rows.put(slot, images[slot % 100])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 40_000 * 1500


def test_inputs_of_any_strides_are_read():
    pair = Pair([40, 12, 10])
    x, y = batch([40, 10], 6, 0.4, 3)
    wide = torch.zeros(6, 80)
    wide[:, ::2] = x
    for strided in (wide[:, ::2], x.t().contiguous().t(), x.flip(0).flip(0), x[:1].expand(6, 40)):
        assert torch.equal(pair.native.scores(strided), pair.native.scores(strided.contiguous()))
    labels = torch.stack([y, y], 1)[:, 0]
    pair.native.sgd(wide[:, ::2], labels)
    pair.torch.sgd(x, y)
    pair.assert_equal_weights()


@pytest.mark.parametrize("sizes", [[30, 20, 10], [30, 10], [30, 1, 10], [30, 1, 1, 2], [1, 1, 1]])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_inputs_and_single_units(sizes, value):
    pair = Pair(sizes)
    x, y = torch.full((3, sizes[0]), value), torch.zeros(3, dtype=torch.int64)
    for engine in (pair.torch, pair.native):
        engine.sgd(x, y)
        engine.step(x, y)
    pair.assert_equal_weights()


@pytest.mark.parametrize("verb", ["sgd", "step", "gradient"])
@pytest.mark.parametrize("pixel", [float("nan"), float("inf")])
def test_a_pixel_that_is_no_number_stops_both_engines(verb, pixel):
    pair = Pair([20, 8, 4])
    x, y = batch([20, 4], 3, 1.0, 0)
    x[1, 5] = pixel
    for engine in (pair.torch, pair.native):
        with pytest.raises(FloatingPointError, match="the loss is (nan|inf)"):
            getattr(engine, verb)(x, y)
        scores = engine.scores(x)
        assert torch.isfinite(scores[[0, 2]]).all() or verb == "sgd"
        assert not torch.isfinite(scores[1]).any()


def test_a_loss_that_is_no_number_leaves_a_batch_step_undone():
    pair = Pair([20, 8, 4])
    x, y = batch([20, 4], 3, 1.0, 0)
    before = pair.weights[1].snapshot()
    x[0, 0] = float("nan")
    with pytest.raises(FloatingPointError):
        pair.native.step(x, y, pull=(before, before))
    assert torch.equal(pair.weights[1].flat, before)


def test_scores_far_apart_give_the_loss_of_a_sure_network():
    pair = Pair([2, 3])
    for weights in pair.weights:
        weights.flat.mul_(400)
    x, y = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.tensor([0, 2])
    close(pair.native.gradient(x, y), pair.torch.gradient(x, y))


def test_an_empty_batch():
    pair = Pair([20, 8, 4])
    x, y = torch.zeros(0, 20), torch.zeros(0, dtype=torch.int64)
    before = pair.weights[1].snapshot()
    pair.native.sgd(x, y)
    assert pair.native.scores(x).shape == (0, 4)
    assert not pair.native.gradient(x, y, torch.zeros(0)).any()
    assert torch.equal(pair.weights[1].flat, before)


@pytest.mark.parametrize("verb", ["sgd", "step", "gradient"])
@pytest.mark.parametrize("label", [-1, 4, -100, 2**40])
def test_labels_out_of_range_are_refused(verb, label):
    pair = Pair([20, 8, 4])
    before = pair.weights[1].snapshot()
    with pytest.raises(IndexError, match=str(label)):
        getattr(pair.native, verb)(torch.ones(2, 20), torch.tensor([0, label]))
    assert torch.equal(pair.weights[1].flat, before)


def test_shapes_that_do_not_fit_are_refused():
    native = Pair([20, 8, 4]).native
    y = torch.tensor([0, 1])
    for x in (torch.ones(2, 19), torch.ones(2, 21), torch.ones(20), torch.ones(2, 20, 1)):
        with pytest.raises(ValueError):
            native.sgd(x, y)
        with pytest.raises(ValueError):
            native.scores(x)
    for labels in (y[:1], y.repeat(2), y.reshape(2, 1)):
        with pytest.raises(ValueError):
            native.step(torch.ones(2, 20), labels)
    for weight in (torch.ones(1), torch.ones(3), torch.ones(2, 2)):
        with pytest.raises(ValueError):
            native.gradient(torch.ones(2, 20), y, weight)


def test_slots_that_are_not_there_are_refused():
    native = Pair([20, 8, 4]).native
    rows = native.rows(20)
    rows.put(0, torch.ones(20))
    with pytest.raises(IndexError):
        rows.put(2, torch.ones(20))
    with pytest.raises(IndexError):
        rows.put(-1, torch.ones(20))
    with pytest.raises(ValueError):
        rows.put(0, torch.ones(21))
    for slot in (1, -1, 2**40):
        with pytest.raises(IndexError):
            native.scores(rows[torch.tensor([slot])])
