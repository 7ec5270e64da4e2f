"""The native engine's rows and test sets, threads and instruction sets, and many engines on one vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_cases import (
    EPS,
    SETTINGS,
    SETTINGS_OF_LONG_TESTS,
    Case,
    Network,
    cases,
    instruction_set,
    instruction_sets,
    needs_native,
    one_thread,
)

from data.dataset import Examples
from model.common import relu_between
from model.engine.native import NativeEngine
from model.engine.sparse import SparseRows
from model.engine.torch_engine import TorchEngine
from model.engine.weights import Weights

__all__ = ["one_thread"]
pytestmark = needs_native


def sparse(generator: np.random.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    values = generator.standard_normal(shape) * (generator.random(shape) < 0.3)
    return torch.from_numpy(values.astype(np.float32))


@given(st.integers(1, 300), st.integers(0, 2**20), st.lists(st.integers(0, 30), max_size=200))
@SETTINGS
def test_rows_hold_what_is_put(width, seed, slots):
    """Writes to slots in use and to the next one, and reads in any order, as a list of rows has them."""
    generator = np.random.default_rng(seed)
    rows, kept = SparseRows(width), []
    for slot in slots:
        x = sparse(generator, (width,))
        slot = min(slot, len(kept))
        rows.put(slot, x)
        kept[slot : slot + 1] = [x]
    assert len(rows) == len(kept)
    assert torch.equal(rows.dense(), torch.stack(kept) if kept else torch.empty(0, width))


def test_rows_grow():
    rows, x = SparseRows(3), torch.arange(3 * 1000.0).view(1000, 3)
    rows.extend(x[:100].double())
    for slot in range(100, 1000):
        rows.put(slot, x[slot])
    rows.put(70, -x[70])
    x[70] *= -1
    assert torch.equal(rows.dense(), x)


def test_a_row_is_a_copy():
    rows, x = SparseRows(3), torch.ones(3)
    rows.put(0, x)
    x.zero_()
    assert rows.dense().tolist() == [[1, 1, 1]]


def test_numbers_that_are_hardly_any():
    """Denormals and NaN are kept; both zeros are none."""
    rows, x = SparseRows(4), torch.tensor([1e-45, float("nan"), -0.0, float("inf")])
    rows.put(0, x)
    assert torch.equal(rows.dense()[0].isnan(), x.isnan())
    assert rows.dense()[0, [0, 2, 3]].tolist() == [x[0].item(), 0, float("inf")]


def test_wide_rows():
    """More columns than sixteen bits tell apart."""
    case = Case([70_001, 3, 2], rows=4, seed=1, gain=1.0, dead=0.0, density=0.01)
    x, y = case.batch()
    x[:, -1] = 1
    native, single = case.network(), case.network()
    store = native.native().rows(70_001)
    store.extend(x)
    native.native().step(store[torch.arange(4)], y)
    single.torch().step(x, y)
    assert torch.equal(store.dense(), x)
    assert torch.allclose(native.weights.flat, single.weights.flat, rtol=1e-5, atol=1e-7)


@given(cases(), st.lists(st.integers(0, 8), min_size=1, max_size=20))
@SETTINGS
def test_batches_of_a_store(case, chosen):
    """Rows by slot, repeated and in any order, count as the same rows given densely."""
    x, y = case.batch()
    slots = torch.tensor(chosen) % len(x)
    for verb in ("scores", "gradient", "step", "sgd"):
        dense, kept = case.network(), case.network()
        store = kept.native().rows(x.shape[1])
        for slot, row in enumerate(x):
            store.put(slot, row)
        labels = () if verb == "scores" else (y[slots],)
        given, expected = (
            getattr(network.native(), verb)(inputs, *labels)
            for network, inputs in ((kept, store[slots]), (dense, x[slots]))
        )
        assert given is expected is None or torch.equal(given, expected)
        assert torch.equal(kept.weights.flat, dense.weights.flat)


@pytest.mark.parametrize("slot", [-1, 3, 2**40, -(2**40)])
def test_slots_that_are_not_there(slot):
    engine = Network([4, 2]).native()
    rows = engine.rows(4)
    rows.extend(torch.rand(3, 4))
    batch, y = rows[torch.tensor([0, slot])], torch.zeros(2, dtype=torch.int64)
    for read in (lambda: engine.scores(batch), lambda: engine.step(batch, y), lambda: engine.sgd(batch, y)):
        with pytest.raises(IndexError, match=f"slot {slot} of 3"):
            read()
    if slot != 3:
        with pytest.raises(IndexError, match=f"slot {slot} of 3"):
            rows.put(slot, torch.zeros(4))


@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), ()])
def test_a_row_that_does_not_fit(shape):
    rows = SparseRows(4)
    with pytest.raises(ValueError, match="4 inputs"):
        rows.put(0, torch.zeros(shape))
    with pytest.raises(ValueError, match="4 inputs"):
        rows.extend(torch.zeros(2, 5))
    assert len(rows) == 0


def test_a_store_of_another_width():
    engine = Network([4, 2]).native()
    rows = engine.rows(5)
    rows.put(0, torch.ones(5))
    with pytest.raises(ValueError, match="width 5 for a network of 4"):
        engine.scores(rows[torch.tensor([0])])


def pixel_maps(n_pixels: int, seed: int) -> dict[str, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    some = torch.randint(-1, n_pixels, (n_pixels + 5,), generator=generator)
    return {
        "none": None,
        "permutation": torch.randperm(n_pixels, generator=generator),
        "some twice, some blank": some,
        "all blank": torch.full((3,), -1),
        "fewer": some[:7],
    }


@pytest.mark.parametrize("grey", [True, False], ids=["uint8", "float32"])
@pytest.mark.parametrize("kind", list(pixel_maps(10, 0)))
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_scores_of_a_test_set(grey, kind, threads):
    n_pixels, n_images = 40, 200
    images = sparse(np.random.default_rng(3), (n_images, n_pixels)).abs()
    if grey:
        images = (images * 100).clamp(max=255).to(torch.uint8)
    examples = Examples(images, torch.zeros(n_images), pixel_maps(n_pixels, 2)[kind])
    network = Network([examples.n_inputs, 20, 17, 6], seed=4)
    engine = network.native(threads=threads)
    expected = network.torch().scores(examples)
    scores, *read_again = [engine.scores(engine.test_set(examples)) for _ in range(3)]
    assert (scores - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert all(torch.equal(listed, scores) for listed in read_again)
    assert (engine.scores(examples.x(slice(None))) - expected).abs().max() <= 1e-5 * expected.abs().max()
    network.weights.flat.mul_(2)
    assert (engine.scores(engine.test_set(examples)) - network.torch().scores(examples)).abs().max() <= 1e-4


def test_test_sets_share_their_images():
    images = torch.rand(5, 8)
    engine = Network([8, 3]).native()
    sets = [engine.test_set(Examples(images, torch.zeros(5), torch.randperm(8))) for _ in range(3)]
    assert all(one.images is sets[0].images for one in sets)


def test_a_test_set_that_does_not_fit():
    engine = Network([8, 3]).native()
    with pytest.raises(ValueError, match="width 9 for a network of 8"):
        engine.scores(engine.test_set(Examples(torch.rand(5, 9), torch.zeros(5))))
    with pytest.raises((ValueError, IndexError)):
        engine.scores(engine.test_set(Examples(torch.rand(5, 8), torch.zeros(5), torch.arange(7))))


def everything(case: Case, threads: int = 1) -> list[torch.Tensor]:
    """What every verb makes of a case, one after the other on the same weights."""
    x, y = case.batch()
    network = case.network()
    engine = network.native(0.05, threads)
    made = [engine.scores(x), engine.gradient(x, y), engine.gradient(x, y, case.weight())]
    gradients = engine.gradients([(x, y), (x[:1], y[:1]), (x.flip(0), y.flip(0))])
    made += [gradients, engine.gram(gradients), engine.combination([0.5, 0.3, 1.0], gradients)]
    engine.sgd(x, y, case.weight())
    engine.step(x, y)
    engine.step(x[:1], y[:1], pull=case.pull())
    engine.step(x, y, case.weight(), case.pull())
    return [*made, engine.scores(x), network.weights.snapshot()]


@given(cases())
@SETTINGS_OF_LONG_TESTS
def test_any_number_of_threads_gives_the_same(case):
    one = everything(case, 1)
    for threads in (2, 3):
        assert all(torch.equal(a, b) for a, b in zip(one, everything(case, threads), strict=True))


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(instruction_sets()), reason="needs AVX2 and AVX-512")
@given(cases())
@SETTINGS_OF_LONG_TESTS
def test_avx2_and_avx512_agree_to_the_bit(case):
    with instruction_set("avx512"):
        wide = everything(case)
    with instruction_set("avx2"):
        narrow = everything(case)
    assert all(torch.equal(a, b) for a, b in zip(wide, narrow, strict=True))


def test_engines_that_share_a_vector():
    """taskinput: an input layer for each task, the layers above shared; the other tasks' layers stay."""

    def network():
        torch.manual_seed(0)
        first = [torch.nn.Linear(30, 17) for _ in range(3)]
        shared = [torch.nn.Linear(17, 17), torch.nn.Linear(17, 4)]
        module = torch.nn.ModuleList([*first, *shared])
        return first, shared, Weights(module)

    generator = torch.Generator().manual_seed(1)
    (first, shared, weights), (first_t, shared_t, weights_t) = network(), network()
    native = [NativeEngine([one, *shared], weights, 0.1) for one in first]
    single = [TorchEngine(relu_between([one, *shared_t]), weights_t, 0.1) for one in first_t]
    for i in range(12):
        t, rows = i % 3, (1, 2, 70, 4)[i % 4]
        x = torch.rand(rows, 30, generator=generator)
        y = torch.randint(4, (rows,), generator=generator)
        others = [layer.weight.clone() for layer in first]
        # What is freed here is likely to be what the next vector of this size is made of.
        torch.full_like(weights.flat, float("nan"))
        verb = ("sgd", "step")[i // 3 % 2]
        getattr(native[t], verb)(x, y)
        getattr(single[t], verb)(x, y)
        assert all(torch.equal(first[o].weight, others[o]) == (o != t) for o in range(3))
        assert (weights.flat - weights_t.flat).abs().max() <= 20 * EPS
        torch.full_like(weights.flat, float("nan"))
        assert (native[t].gradient(x, y) - single[t].gradient(x, y)).abs().max() <= 1e-5


def test_an_engine_outlives_everything_it_was_made_of():
    """The kernels hold addresses: what they point into must stay."""
    engine = Network([30, 20, 5], seed=3).native()
    x = torch.rand(4, 30, generator=torch.Generator().manual_seed(0))
    expected = engine.scores(x)
    store = engine.rows(30)
    store.extend(x)
    batch, test_set = store[torch.arange(4)], engine.test_set(Examples(x.clone(), torch.zeros(4)))
    del store
    litter = [torch.rand(1000) for _ in range(1000)]
    assert torch.equal(engine.scores(batch), expected)
    assert torch.equal(engine.scores(test_set), expected)
    assert litter
