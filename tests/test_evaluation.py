"""Accuracy on test sets: every example counts, and scores must be finite."""

import pytest
import torch

from data import Examples
from metrics import Evaluation


class Guesser(torch.nn.Module):
    """Scores that name the label an input holds, one too high for task 1."""

    def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(x[:, 0].long() + (t == 1), 5).float()


def examples(labels: list[int], shown: list[int] | None = None) -> Examples:
    """A test set whose inputs hold what `Guesser` will say."""
    x = torch.tensor(shown or labels, dtype=torch.float32)[:, None]
    return Examples(x, torch.tensor(labels))


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_every_test_example_counts(chunk, monkeypatch):
    monkeypatch.setattr("metrics.evaluation.CHUNK", chunk)
    # The last example decides: only counting it gives three of five.
    tests = [examples([0, 1, 2]), examples([0, 1, 2]), examples([3, 3, 0, 1, 3], shown=[3, 3, 1, 0, 3])]
    assert Evaluation(Guesser(), tests, "cpu").accuracies() == pytest.approx([1, 0, 3 / 5])


def test_a_learner_with_a_test_set_gets_it_in_place_of_the_inputs():
    class Prepared(Guesser):
        def test_set(self, examples: Examples) -> torch.Tensor:
            prepared.append(len(examples))
            return examples.x(slice(None)) + 1

    prepared: list[int] = []
    evaluation = Evaluation(Prepared(), [examples([1, 2], shown=[0, 1]), examples([1], shown=[0])], "cpu")
    assert [evaluation.accuracies() for _ in range(2)] == [[1, 0], [1, 0]]
    assert prepared == [2, 1]


def test_nothing_is_learned_meanwhile():
    class Learner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 2)

        def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
            scores = self.layer(x)
            assert not scores.requires_grad and not self.training
            return scores

    assert len(Evaluation(Learner().train(), [examples([0, 1])], "cpu").accuracies()) == 1


def test_classes_of_other_tasks_may_be_ruled_out():
    class Masked(Guesser):
        def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
            return torch.where(torch.arange(5) < 3, super().forward(x, t), -torch.inf)

    assert Evaluation(Masked(), [examples([0, 1, 2, 4])], "cpu").accuracies() == [3 / 4]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_an_error(bad):
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
            scores = torch.zeros(len(x), 2)
            scores[:, : 2 if bad < 0 else 1] = bad if t == 1 else 0.0
            return scores

    with pytest.raises(FloatingPointError, match="task 1"):
        Evaluation(Broken(), [examples([0]), examples([0])], "cpu").accuracies()
