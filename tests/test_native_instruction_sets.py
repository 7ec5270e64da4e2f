"""Every instruction set that this processor has computes the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engines import Pair, batch, close, near_a_kink

from model.engine import NativeEngine, native, unavailable
from model.engine.draws import shuffle_draw

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

ROOT = Path(__file__).parent.parent
SETS = ("baseline", "avx2", "avx512")


def use(name: str | None) -> None:
    """Switch the kernels, or skip the test where the processor has none of that name."""
    try:
        native._native.select(name)
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def back_to_the_best() -> Iterator[None]:
    yield
    use(None)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "sizes", [[784, 100, 100, 10], [90, 17, 33, 129, 5], [5, 300, 20], [64, 1, 2], [33, 12]]
)
def test_each_set_agrees_with_pytorch(name, sizes):
    use(name)
    for n in (1, 3, 70):
        pair = Pair(sizes, seed=n)
        x, y = batch(sizes, n, 0.3, n)
        if near_a_kink(pair.nets[0], x):
            continue
        close(pair.native.scores(x), pair.torch.scores(x))
        close(pair.native.gradient(x, y), pair.torch.gradient(x, y))
        pull = pair.weights[0].flat.abs(), pair.weights[0].flat.square()
        for engine in (pair.torch, pair.native):
            engine.step(x, y, pull=pull)
            engine.sgd(x[:3], y[:3])
        pair.assert_equal_weights(atol=1e-5)


def outcome(name: str) -> list[torch.Tensor]:
    """What a set makes of some networks, to the bit."""
    use(name)
    seen = []
    for sizes in ([784, 100, 100, 10], [70, 200, 33, 40, 20], [7, 1, 3]):
        pair = Pair(sizes)
        x, y = batch(sizes, 80, 0.3, 0)
        seen += [pair.native.scores(x), pair.native.gradient(x, y)]
        pair.native.sgd(x, y)
        pair.native.step(x, y, pull=(pair.weights[0].flat.abs(), pair.weights[0].flat.square()))
        seen.append(pair.weights[1].flat)
    return seen


def test_avx2_and_avx512_agree_to_the_bit():
    for narrow, wide in zip(outcome("avx2"), outcome("avx512"), strict=True):
        assert torch.equal(narrow, wide)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("n", [2, 31, 64, 65, 1000, 5120, 66_000])
def test_each_set_draws_what_python_draws(name, n):
    use(name)
    random.seed(n)
    expected, state = shuffle_draw(n, 2).tolist(), random.getstate()
    random.seed(n)
    assert NativeEngine.draw(n, 2).tolist() == expected
    assert random.getstate() == state


def test_nan_and_blank_inputs_on_each_set():
    for name in SETS:
        use(name)
        pair = Pair([40, 20, 6])
        x, y = batch([40, 6], 3, 1.0, 0)
        x[0] = 0
        close(pair.native.scores(x), pair.torch.scores(x))
        x[2, 39] = float("nan")
        with pytest.raises(FloatingPointError, match="nan"):
            pair.native.gradient(x, y)


@pytest.mark.parametrize("wanted", ["baseline", "abacus"])
def test_the_environment_chooses_a_set(wanted):
    code = "from model.engine import native; print(native._native.select(None))"
    environment = {**os.environ, "MER_NATIVE_ISA": wanted}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode == 0) == (wanted == "baseline")
    assert wanted == "baseline" or "no abacus kernels" in run.stderr
