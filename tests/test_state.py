"""What a checkpoint keeps of a learner that is not ours: everything it set on itself."""

from __future__ import annotations

import random
from collections import deque

import numpy
import pytest
import torch
from resuming import through_a_file

from model.common import MLP
from model.state import Unsavable, capture


class Box:
    """An object of a class in the learner's own file."""

    def __init__(self) -> None:
        self.numbers = [1]


class Net(torch.nn.Module):
    """A learner in the manner of the time, with an attribute of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.net = MLP([4, 3, 2])
        self.loss = torch.nn.functional.cross_entropy
        self.optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)
        self.trained = list(self.parameters())
        self.named = dict(self.named_parameters())
        # Where the weights are, until a first batch says where they were.
        self.anchor = self.net.net[0].weight.data
        self.first_bias = None
        self.recent: deque = deque(maxlen=3)
        self.seen: dict[int, tuple] = {}
        self.labels: set[int] = set()
        self.box = self.same_box = Box()
        self.counts = numpy.zeros(2, int)
        self.random, self.generator = random.Random(1), torch.Generator().manual_seed(1)
        self.sums = torch.zeros(3)
        self.last_sum = self.sums[2:]

    def forward(self, x: torch.Tensor, t: int) -> torch.Tensor:
        return self.net(x)

    def observe(self, x: torch.Tensor, t: int, y: torch.Tensor) -> None:
        """Every attribute decides what is learned next."""
        drawn = torch.rand(1, generator=self.generator) + self.random.random()
        pull = (self.net.net[0].weight - self.anchor).square().sum() + self.last_sum.sum()
        bias = 0 if self.first_bias is None else self.first_bias.sum()
        self.optimizer.zero_grad()
        scale = drawn + bias + len(self.recent) + len(self.seen) + len(self.labels) + len(self.box.numbers)
        (scale.sum() * self.loss(self(x, t), y) + pull + self.counts.sum()).backward()
        self.anchor = self.net.net[0].weight.data.clone()
        self.optimizer.step()
        self.first_bias = self.net.net[0].bias.data
        self.recent.append(x)
        self.seen[t] = (x, y)
        self.labels |= set(y.tolist())
        self.same_box.numbers.append(len(x))
        self.counts += numpy.bincount(y.numpy(), minlength=2)
        self.sums += x.sum()


def stream(n: int) -> list[tuple[torch.Tensor, int, torch.Tensor]]:
    generator = torch.Generator().manual_seed(2)
    return [(torch.rand(2, 4, generator=generator), i // 3, torch.tensor([0, 1])) for i in range(n)]


def resumed(net: Net) -> Net:
    """Another learner, built alike, with its state by way of a file."""
    torch.manual_seed(3)
    return through_a_file(net, Net())


@pytest.mark.parametrize("seen", [0, 1, 4])
def test_a_learner_goes_on_as_if_nothing_had_happened(seen: int) -> None:
    torch.manual_seed(0)
    net = Net()
    batches = stream(8)
    for batch in batches[:seen]:
        net.observe(*batch)
    another = resumed(net)
    for batch in batches[seen:]:
        net.observe(*batch)
        another.observe(*batch)
    for key, value in net.state_dict().items():
        assert torch.equal(value, another.state_dict()[key]), key
    assert torch.equal(net.anchor, another.anchor)
    assert another.recent.maxlen == 3 and another.same_box is another.box


def test_what_lies_in_the_parameters_still_does_and_what_no_longer_does_not() -> None:
    net = Net()
    net.observe(*stream(1)[0])
    another = resumed(net)
    assert all(a is b for a, b in zip(another.trained, another.parameters(), strict=True))
    assert another.named["net.net.0.weight"] is another.net.net[0].weight
    with torch.no_grad():
        for parameter in another.parameters():
            parameter.fill_(7)
    assert (another.first_bias == 7).all()
    assert torch.equal(another.anchor, net.anchor)
    another.sums.fill_(5)
    assert another.last_sum.tolist() == [5]


def test_buffers_may_be_registered_as_a_learner_goes() -> None:
    net = Net()
    net.register_buffer("last_seen", torch.arange(3.0))
    net.net.register_buffer("importance", torch.full((2, 3), 4.0))
    another = resumed(net)
    assert another.last_seen.tolist() == [0, 1, 2]
    assert torch.equal(another.net.importance, net.net.importance)
    assert list(another.state_dict()) == list(net.state_dict())


def test_a_learner_of_nothing_but_buffers_goes_on() -> None:
    """Class means, say, registered as the classes come."""
    net, another = torch.nn.Module(), torch.nn.Module()
    net.register_buffer("mean_3", torch.arange(2.0))
    through_a_file(net, another)
    assert another.mean_3.tolist() == [0, 1]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "head",
    [
        torch.nn.Linear(4, 2, bias=False),
        torch.nn.BatchNorm1d(4),
        torch.nn.Sequential(
            torch.nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), torch.nn.Dropout(0.1)
        ),
        torch.nn.ParameterList([torch.ones(2), torch.zeros(1)]),
        torch.nn.MultiheadAttention(4, 2),
        MLP([4, 3, 2]),
    ],
    ids=lambda head: type(head).__name__,
)
def test_a_learner_may_grow(head: torch.nn.Module, frozen: bool) -> None:
    """A head for a new task, say, or a copy of itself to distil from."""
    net = Net()
    net.head = head.requires_grad_(not frozen).eval()
    if not frozen:
        net.optimizer.add_param_group({"params": list(head.parameters())})
    another = resumed(net)
    assert repr(another) == repr(net) and [*map(type, another.modules())] == [*map(type, net.modules())]
    assert list(another.state_dict()) == list(net.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(another.parameters(), net.parameters(), strict=True))
    assert not another.head.training
    assert all(parameter.requires_grad is not frozen for parameter in another.head.parameters())
    trained = [*map(id, another.parameters())]
    for group, of in zip(another.optimizer.param_groups, net.optimizer.param_groups, strict=True):
        index = [*map(id, net.parameters())]
        assert [trained.index(id(p)) for p in group["params"]] == [index.index(id(p)) for p in of["params"]]


def test_a_learner_may_lose_what_it_had() -> None:
    net, another = Net(), Net()
    for each in (net, another):
        each.extra = torch.nn.ModuleList([MLP([4, 3]), torch.nn.ReLU()])
        each.scale = torch.nn.Parameter(torch.ones(2))
    del net.extra[1], net.scale
    through_a_file(net, another)
    assert repr(another) == repr(net) and list(another.state_dict()) == list(net.state_dict())
    del net.extra
    through_a_file(net, another)
    assert repr(another) == repr(net) and not hasattr(another, "extra")


def test_a_module_of_elsewhere_does_not_come_back() -> None:
    class Hidden(torch.nn.Linear):
        pass

    net = Net()
    net.net.head = Hidden(2, 2)
    with pytest.raises(
        Unsavable, match="the learner's net.head, made as it went, cannot be made again: a .*Hidden"
    ):
        resumed(net)


def test_what_cannot_be_kept_is_named() -> None:
    net = Net()
    net.seen[0] = (bytearray(),)
    with pytest.raises(Unsavable, match="the learner's seen.*bytearray"):
        capture(net)
    itself: list = []
    itself.append(itself)
    net.seen[0] = (itself,)
    with pytest.raises(Unsavable, match="holds itself"):
        capture(net)
