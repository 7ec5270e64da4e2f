"""Figures read off hand-made logs, and the two files of a run."""

import os
import re
import resource
from pathlib import Path

import pytest
import torch

from metrics import ResultError, ResultFiles, statistics

# Three tasks in the order 0, 1, 2, two evaluations while each is trained; in hundredths.
TAGS = [0, 0, 0, 1, 1, 2, 2]
LOG = [
    [10, 20, 30],  # the baseline, before the first example
    [50, 21, 31],
    [60, 25, 32],  # leaving task 0
    [55, 70, 33],
    [52, 80, 40],  # leaving task 1
    [40, 75, 85],
    [44, 72, 90],  # leaving task 2, the end
]


def log(tags=TAGS, hundredths=LOG):
    return torch.tensor(tags), torch.tensor(hundredths) / 100


def hundredths(tensor):
    return [round(100 * value, 4) for value in tensor.flatten().tolist()]


def test_the_figures_of_a_hand_made_log():
    stats = statistics(*log())
    assert stats.order.tolist() == [0, 1, 2]
    assert hundredths(stats.baseline) == [10, 20, 30]
    assert hundredths(stats.matrix) == [60, 25, 32, 52, 80, 40, 44, 72, 90]
    assert hundredths(stats.final) == [44, 72, 90]
    assert hundredths(stats.learning) == [60, 80, 90]
    assert hundredths(stats.backward) == [44 - 60, 72 - 80, 0]
    assert hundredths(stats.forward) == [0, 25 - 20, 40 - 30]
    # The first task's forward transfer, 0, counts: the mean is over all three.
    assert stats.means() == pytest.approx((206 / 300, -24 / 300, 15 / 300), abs=1e-6)
    assert stats.learning.mean().item() == pytest.approx(230 / 300, abs=1e-6)


def test_shuffled_tasks_are_read_in_the_order_of_presentation():
    # Tasks 2, 0, 1 come; the first row's tag is 0 all the same, and it is no row of the matrix.
    new_index = {0: 2, 1: 0, 2: 1}
    tags = [0] + [new_index[t] for t in TAGS[1:]]
    columns = [[row[1], row[2], row[0]] for row in LOG]
    shuffled, plain = statistics(*log(tags, columns)), statistics(*log())
    assert shuffled.order.tolist() == [2, 0, 1]
    assert torch.equal(shuffled.matrix, plain.matrix)
    assert torch.equal(shuffled.baseline, plain.baseline)
    assert shuffled.means() == plain.means()


def test_one_task():
    stats = statistics(*log([0, 0, 0], [[10], [30], [70]]))
    assert hundredths(stats.matrix) == [70]
    assert stats.means() == pytest.approx((0.7, 0, 0))


@pytest.mark.parametrize(
    "tags",
    [[0] * 7, [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0, 2], [0, 1, 1, 2, 2, 0, 1], [0, 0, 0, 1, 1, 3, 3]],
    ids=["one", "two", "twice", "back", "another"],
)
def test_a_log_that_is_not_of_a_whole_run(tags):
    with pytest.raises(ValueError, match="not each of 3 once"):
        statistics(*log(tags))


def test_an_empty_log():
    with pytest.raises(ValueError, match="not each of 3 once"):
        statistics(*log([0], LOG[:1]))


def saved(folder, args):
    """Both files of the hand-made run, and what `save` returns."""
    files = ResultFiles(str(folder), "online", "three.pt")
    result_t, result_a = log()
    # An engine's weights are views that are not contiguous.
    weights = {"net.weight": torch.arange(6.0).reshape(2, 3).T, "net.bias": torch.zeros(3)}
    return files, files.save(result_t, result_a, weights, statistics(result_t, result_a), args)


def test_the_text_file_byte_for_byte(tmp_path):
    files, _ = saved(tmp_path, {"model": "online"})
    with open(files.stem + ".txt", "rb") as file:
        assert file.read() == (
            b"0.1000 0.2000 0.3000\n"
            b"|\n"
            b"0.6000 0.2500 0.3200\n"
            b"0.5200 0.8000 0.4000\n"
            b"0.4400 0.7200 0.9000\n"
            b"\n"
            b"Final Accuracy: 0.6867\n"
            b"Backward: -0.0800\n"
            b"Forward:  0.0500\n"
        )


def test_the_other_file_opens_safely_and_holds_six_entries(tmp_path):
    args = {"model": "online", "lr": 0.1, "cuda": False}
    files, one_liner = saved(tmp_path, args)
    result_t, result_a, weights, stats, line, kept = torch.load(files.stem + ".pt")
    assert result_t.dtype == result_a.dtype == torch.float32
    assert result_t.tolist() == TAGS
    assert torch.equal(result_a, log()[1])
    assert weights["net.weight"].is_contiguous() and weights["net.weight"].tolist() == [
        [0, 3],
        [1, 4],
        [2, 5],
    ]
    assert type(stats) is list and [type(figure) for figure in stats] == [float] * 3
    assert stats == pytest.approx([206 / 300, -24 / 300, 15 / 300], abs=1e-6)
    assert line == one_liner == "{'model': 'online', 'lr': 0.1, 'cuda': False} # 0.687 -0.080 0.050"
    assert type(kept) is dict and list(kept.items()) == list(args.items())


def test_names_are_gems_and_never_the_same(tmp_path):
    names = [ResultFiles(str(tmp_path / "new" / "folder"), "gem", "a.pt").stem for _ in range(2)]
    assert names[0] != names[1]
    pattern = re.escape(str(tmp_path / "new" / "folder") + "/") + r"gem_a\.pt_\d{4}(_\d\d){5}_[0-9a-f]{32}"
    assert all(re.fullmatch(pattern, name) for name in names)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ResultError, match="--save_path .*taken"):
        ResultFiles(str(tmp_path / "taken"), "online", "a.pt")


@pytest.mark.parametrize("nth", range(8))
def test_files_appear_both_or_neither(tmp_path, monkeypatch, nth):
    # The disk may fill as either file is written, as the system is told to keep it, or as it gets its name.
    full = OSError(28, "No space left on device")
    calls = []

    def failing(inner):
        def call(*args, **kwargs):
            calls.append(inner)
            if len(calls) == nth + 1:
                raise full
            return inner(*args, **kwargs)

        return call

    monkeypatch.setattr(Path, "write_bytes", failing(Path.write_bytes))
    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    monkeypatch.setattr(os, "replace", failing(os.replace))
    with pytest.raises(ResultError, match="No space left on device.*0.687 -0.080 0.050"):
        saved(tmp_path, {"model": "online"})
    assert not list(tmp_path.iterdir())


def test_a_file_that_the_system_will_not_let_grow(tmp_path):
    """A real failure: writing past the limit on a file's size ends as on a full disk, or over a quota."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, kept[1]))
    try:
        with pytest.raises(ResultError, match="cannot write there: File too large; .*0.687 -0.080 0.050"):
            saved(tmp_path, {"model": "online"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_writing_leaves_neither_file(tmp_path, monkeypatch):
    def interrupted(path, content):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, {"model": "online"})
    assert not list(tmp_path.iterdir())
