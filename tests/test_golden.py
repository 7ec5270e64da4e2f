"""Runs of the code published with the paper (its evaluation counting every test example), reproduced."""

import json
from pathlib import Path

import pytest
import torch

from metrics import statistics
from model.engine import native

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
ONE_IMAGE = 0.01
NORM = 1e-4

engines = [
    "torch",
    pytest.param(
        "native", marks=pytest.mark.skipif(bool(native.unavailable()), reason=str(native.unavailable()))
    ),
]


@pytest.mark.parametrize("engine", engines)
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_run(golden, engine, run_main):
    options = [*golden["args"].split(), "--engine", engine, "--threads", "1"]
    result_t, result_a, weights, stats, _, args = run_main(*options)
    assert result_t.tolist() == golden["result_t"]
    # Both are hundredths in float32: half of one on top of the bound tells one image from two.
    assert (result_a - torch.tensor(golden["result_a"])).abs().max() < ONE_IMAGE + 0.005
    assert set(weights) == set(golden["weights"])
    for key, expected in golden["weights"].items():
        assert list(weights[key].shape) == expected["shape"]
        assert weights[key].double().norm().item() == pytest.approx(expected["l2"], rel=NORM, abs=1e-9), key
    if args["shuffle_tasks"] == "no":
        # Means over tasks of figures that may each be one image off.
        assert stats == pytest.approx(golden["stats"], abs=2 * ONE_IMAGE)


def test_statistics_of_the_golden_logs():
    for golden in GOLDEN:
        if "--shuffle_tasks yes" not in golden["args"]:
            stats = statistics(torch.tensor(golden["result_t"]), torch.tensor(golden["result_a"]))
            assert stats.means() == pytest.approx(golden["stats"], abs=1e-6)
