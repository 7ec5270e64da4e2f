"""GEM's figures on matrices made by hand, the evaluation, and the two result files."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from data import Examples
from metrics import Evaluation, ResultError, ResultFiles, statistics
from metrics.results import as_text

# Before training, then after 1, 2, 3 tasks, with a row logged within each; columns are tasks 0, 1, 2.
BASELINE = [0.10, 0.11, 0.12]
AFTER = [[0.90, 0.20, 0.30], [0.70, 0.80, 0.35], [0.60, 0.75, 0.95]]
DURING = [0.5, 0.5, 0.5]
RESULT_T = [0, 0, 0, 1, 1, 2, 2]
RESULT_A = [BASELINE, DURING, AFTER[0], DURING, AFTER[1], DURING, AFTER[2]]


def stats_of(result_t, result_a):
    return statistics(torch.tensor(result_t), torch.tensor(result_a))


def test_figures_of_three_tasks():
    stats = stats_of(RESULT_T, RESULT_A)
    assert stats.order.tolist() == [0, 1, 2]
    assert torch.equal(stats.baseline, torch.tensor(BASELINE))
    assert torch.equal(stats.matrix, torch.tensor(AFTER))
    assert stats.final.tolist() == pytest.approx([0.60, 0.75, 0.95])
    assert stats.learning.tolist() == pytest.approx([0.90, 0.80, 0.95])
    assert stats.backward.tolist() == pytest.approx([-0.30, -0.05, 0])
    assert stats.forward.tolist() == pytest.approx([0, 0.20 - 0.11, 0.35 - 0.12])
    assert stats.means() == pytest.approx((2.30 / 3, -0.35 / 3, 0.32 / 3))
    assert all(type(figure) is float for figure in stats.means())


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shuffled_tasks_are_read_in_the_order_presented(order):
    """The same story told of tasks with other indices has the same figures."""

    def columns(row):
        moved = [0.0] * 3
        for place, task in enumerate(order):
            moved[task] = row[place]
        return moved

    # The first tag is 0 whatever the first task, and a row belongs to the task seen before it.
    tags = [0] + [order[place] for place in RESULT_T[1:]]
    stats, plain = stats_of(tags, [columns(row) for row in RESULT_A]), stats_of(RESULT_T, RESULT_A)
    assert stats.order.tolist() == list(order)
    assert torch.equal(stats.matrix, plain.matrix)
    assert torch.equal(stats.baseline, plain.baseline)
    assert stats.means() == plain.means()


def test_one_task():
    stats = stats_of([0, 0, 0], [[0.1], [0.4], [0.7]])
    assert stats.matrix.tolist() == [[pytest.approx(0.7)]]
    assert stats.means() == pytest.approx((0.7, 0, 0))


@pytest.mark.parametrize(
    "result_t",
    [
        [0, 0, 0, 1, 1],  # Task 2 never came.
        [0],  # Nothing was trained.
        [0, 0, 1, 2, 1],  # Task 1 came twice.
        [0, 0, 1, 3],  # There is no task 3.
    ],
)
def test_the_log_of_no_whole_run_is_refused(result_t):
    with pytest.raises(ValueError, match="not each of 3 once"):
        stats_of(result_t, [BASELINE] * len(result_t))


TEXT = """\
0.1000 0.1100 0.1200
|
0.9000 0.2000 0.3000
0.7000 0.8000 0.3500
0.6000 0.7500 0.9500

Final Accuracy: 0.7667
Backward: -0.1167
Forward:  0.1067
"""


def test_the_text_file_byte_for_byte():
    assert as_text(stats_of(RESULT_T, RESULT_A)) == TEXT


class Guesser(torch.nn.Module):
    """Scores that name the label an input holds, one too high for task 1."""

    def forward(self, x, t):
        return torch.nn.functional.one_hot(x[:, 0].long() + (t == 1), 5).float()


def examples(labels, shown=None):
    x = torch.tensor(shown or labels, dtype=torch.float32)[:, None]
    return Examples(x, torch.tensor(labels))


def test_evaluation_counts_every_test_example(monkeypatch):
    monkeypatch.setattr("metrics.evaluation.CHUNK", 2)
    tests = [examples([0, 1, 2]), examples([0, 1, 2]), examples([3, 3, 3, 0, 1], [3, 3, 3, 1, 0])]
    net = Guesser()
    net.train()
    assert Evaluation(net, tests, "cpu").accuracies() == pytest.approx([1, 0, 3 / 5])
    assert not net.training


def test_evaluation_refuses_scores_that_are_not_finite():
    class Broken(torch.nn.Module):
        def forward(self, x, t):
            return torch.full((len(x), 2), float("nan") if t == 1 else 0.0)

    with pytest.raises(FloatingPointError, match="task 1"):
        Evaluation(Broken(), [examples([0]), examples([0])], "cpu").accuracies()


def saved(folder: Path) -> tuple[ResultFiles, str]:
    files = ResultFiles(str(folder), "gem", "some/where/tasks.pt")
    weights = {"w": torch.arange(6.0).view(2, 3).T}
    log = torch.tensor(RESULT_T), torch.tensor(RESULT_A)
    return files, files.save(*log, weights, statistics(*log), {"model": "gem", "lr": 0.1, "cuda": False})


def test_the_two_files_of_a_run(tmp_path):
    files, one_liner = saved(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        Path(files.stem + ending).name for ending in (".pt", ".txt")
    ]
    name = r"gem_tasks\.pt_\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_[0-9a-f]{32}"
    assert re.fullmatch(name, Path(files.stem).name)
    assert Path(files.stem + ".txt").read_bytes() == TEXT.encode()
    result_t, result_a, weights, stats, summary, args = torch.load(files.stem + ".pt")
    assert result_t.tolist() == RESULT_T and result_a.tolist() == torch.tensor(RESULT_A).tolist()
    assert result_t.dtype == result_a.dtype == torch.float32
    assert weights["w"].tolist() == [[0, 3], [1, 4], [2, 5]] and weights["w"].is_contiguous()
    assert stats == pytest.approx([2.30 / 3, -0.35 / 3, 0.32 / 3])
    assert type(stats) is list and all(type(figure) is float for figure in stats)
    assert args == {"model": "gem", "lr": 0.1, "cuda": False}
    assert summary == one_liner == "{'model': 'gem', 'lr': 0.1, 'cuda': False} # 0.767 -0.117 0.107"


def test_two_runs_at_once_have_two_names(tmp_path):
    assert saved(tmp_path)[0].stem != saved(tmp_path)[0].stem
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_end_while_writing_leaves_neither_file(tmp_path, monkeypatch, error):
    def half(path, data):
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise error

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(ResultError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        saved(tmp_path)
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        # What hours of training came to is not lost with the file.
        assert re.search(r"No space left on device; .* # 0\.767 -0\.117 0\.107$", str(caught.value))
