"""The learners on a GPU; skipped where PyTorch sees none."""

import pytest
import torch
from test_checkpoint import interrupted, options
from test_golden import GOLDEN, ROUNDING

import main
from model.options import LEARNERS

THREE_IMAGES = 0.03

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_run(golden, run_main):
    """As in test_golden.py; a GPU adds up in other orders, and a run carries the difference on."""
    result_t, result_a, weights, *_ = run_main(*golden["args"].split(), "--cuda", "yes")
    assert result_t.tolist() == golden["result_t"]
    assert (result_a - torch.tensor(golden["result_a"])).abs().max() <= THREE_IMAGES + ROUNDING
    assert list(weights) == list(golden["weights"])
    assert all(tensor.is_cpu for tensor in weights.values())


@pytest.mark.parametrize("model", LEARNERS)
def test_a_run_goes_on_from_its_checkpoint(model, small_data, tmp_path, monkeypatch):
    argv = [*options(model, "torch", small_data, tmp_path / "whole"), "--cuda", "yes"]
    main.main(argv)
    argv = [*options(model, "torch", small_data, tmp_path / "cut"), "--cuda", "yes"]
    interrupted(argv, tmp_path / "cut", monkeypatch)
    main.main([*argv, "--resume", "yes"])
    whole, cut = (torch.load(next((tmp_path / folder).glob("*.pt"))) for folder in ("whole", "cut"))
    assert cut[0].tolist() == whole[0].tolist()
    assert (cut[1] - whole[1]).abs().max() <= THREE_IMAGES + ROUNDING
