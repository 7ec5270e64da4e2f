"""Runs of the code published with the paper (its evaluation counting every test example), reproduced."""

import json
from pathlib import Path

import pytest
import torch

from metrics import statistics

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
ONE_IMAGE = 0.01
ROUNDING = 1e-6
NORM = 1e-4


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_run(golden, engine, run_main):
    options = [*golden["args"].split(), "--engine", engine, "--threads", "1"]
    result_t, result_a, weights, stats, _, args = run_main(*options)
    assert result_t.tolist() == golden["result_t"]
    assert (result_a - torch.tensor(golden["result_a"])).abs().max() <= ONE_IMAGE + ROUNDING
    assert list(weights) == list(golden["weights"])
    for key, expected in golden["weights"].items():
        assert list(weights[key].shape) == expected["shape"]
        assert weights[key].double().norm().item() == pytest.approx(expected["l2"], rel=NORM, abs=1e-9), key
    if args["shuffle_tasks"] == "no":
        # Transfer is a difference of two accuracies, each of which may be one image off.
        allowed = torch.tensor([ONE_IMAGE, 2 * ONE_IMAGE, 2 * ONE_IMAGE]) + ROUNDING
        assert ((torch.tensor(stats) - torch.tensor(golden["stats"])).abs() <= allowed).all()


def test_statistics_of_the_golden_logs():
    unshuffled = [golden for golden in GOLDEN if "--shuffle_tasks yes" not in golden["args"]]
    assert len(unshuffled) == 23
    for golden in unshuffled:
        stats = statistics(torch.tensor(golden["result_t"]), torch.tensor(golden["result_a"]))
        assert stats.means() == pytest.approx(golden["stats"], abs=1e-6)
