"""Kinds of things that a learner may have set on itself, each through a checkpoint file and back."""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from resuming import through_a_file

from model.state import Unsavable, capture, restore


class Slot:
    """An object of which there are many."""

    def __init__(self, number: int | None) -> None:
        self.number = number

    def read(self) -> int | None:
        return self.number


EMPTY = Slot(None)


class Phase(enum.Enum):
    """Members are compared by identity."""

    WARM = 1
    MAIN = 2


class Pair(NamedTuple):
    """A remembered example."""

    x: torch.Tensor
    y: int


@dataclass(frozen=True)
class Settings:
    """A learner may put another one in its place."""

    rate: float


@dataclass
class Slotted:
    """Without a dictionary."""

    __slots__ = ("count",)
    count: int


class Items(list):
    """More than its attributes."""


class Memory(torch.nn.Module):
    """A module with a state of its own, and some of it on modules of PyTorch's."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[int] = []
        self.dropout = torch.nn.Dropout(0.5)
        self.register_buffer("sums", torch.zeros(2), persistent=False)
        self.last_sum = self.sums[1:]


class Net(torch.nn.Module):
    """A learner without attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(2, 2)


def with_value(value: object) -> Any:
    net = Net()
    net.value = value
    return net


def test_modules_keep_what_was_set_on_them() -> None:
    def built() -> Any:
        net = Net()
        net.memory = Memory()
        net.listed = [net.memory]
        return net

    net = built()
    net.memory.items.append(3)
    net.memory.dropout.p = 0.1
    net.memory.sums += 2
    net.net.eval()
    another = through_a_file(net, built())
    assert another.memory.items == [3] and another.listed == [another.memory]
    assert another.memory.dropout.p == 0.1
    assert another.training and not another.net.training
    assert another.memory.sums.tolist() == [2, 2]
    another.memory.sums.fill_(5)
    assert another.memory.last_sum.tolist() == [5]


def test_buffers_may_grow() -> None:
    net, another = Net(), Net()
    for each in (net, another):
        each.register_buffer("means", torch.zeros(0))
    net.means = torch.arange(3.0)
    assert through_a_file(net, another).means.tolist() == [0, 1, 2]


def test_gradients_go_on_being_added_up() -> None:
    net = Net()
    net.net(torch.ones(1, 2)).sum().backward()
    another = through_a_file(net, Net())
    assert torch.equal(another.net.weight.grad, net.net.weight.grad)


def test_what_is_frozen_stays_frozen() -> None:
    net = Net()
    net.net.bias.requires_grad_(False)
    another = through_a_file(net, Net())
    assert [p.requires_grad for p in another.parameters()] == [True, False]


def in_turn(now: int, first: bool) -> Any:
    """An optimiser for each of two heads, and an attribute, the first one or the last, for the one in use."""
    net = Net()
    if first:
        net.optimiser = None
    net.heads = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(2))
    net.optimisers = [torch.optim.SGD(head.parameters(), 0.1, momentum=0.9) for head in net.heads]
    net.optimiser = net.optimisers[now]
    return net


def test_an_attribute_for_each_in_turn_is_not_mixed_up() -> None:
    for now in (0, 1):
        another = through_a_file(in_turn(now, False), in_turn(0, False))
        assert another.optimiser is another.optimisers[now]
    another = through_a_file(in_turn(0, True), in_turn(0, True))
    assert another.optimiser is another.optimisers[0]
    with pytest.raises(Unsavable, match="was another one by then"):
        through_a_file(in_turn(1, True), in_turn(0, True))


class OwnSGD(torch.optim.SGD):
    """An optimiser of the learner's own file."""


def with_optimiser(cls: Any) -> Any:
    net = Net()
    more = [] if cls is torch.optim.LBFGS else [{"params": [net.net.bias]}]  # That one takes no groups.
    net.optimiser = cls([{"params": [net.net.weight], "lr": 0.2}, *more], 0.1)
    return net


@pytest.mark.parametrize(
    "cls", [getattr(torch.optim, name) for name in ("SGD", "Adam", "RMSprop", "Adafactor", "LBFGS")]
)
@pytest.mark.parametrize("there", [lambda *_: None, torch.optim.Adagrad, OwnSGD])
def test_an_optimiser_may_be_made_as_a_learner_goes(cls: Any, there: Any) -> None:
    net = with_optimiser(cls)

    def loss(one: Any) -> torch.Tensor:
        one.optimiser.zero_grad()
        loss = one.net(torch.ones(1, 2)).square().sum()
        loss.backward()
        return loss

    def learn(one: Any) -> None:
        one.optimiser.step(lambda: loss(one))

    learn(net)
    another = through_a_file(net, with_optimiser(there))
    assert type(another.optimiser) is cls and repr(another.optimiser) == repr(net.optimiser)
    for one in (net, another):
        learn(one)
    assert torch.equal(another.net.weight, net.net.weight) and torch.equal(another.net.bias, net.net.bias)


def test_an_optimiser_of_another_class_is_not_mixed_up() -> None:
    with pytest.raises(Unsavable, match="the learner's optimiser was another one by then"):
        through_a_file(with_optimiser(OwnSGD), with_optimiser(torch.optim.SGD))
    with pytest.raises(Unsavable, match="the learner's optimiser, made as it went, cannot be made again"):
        through_a_file(with_optimiser(OwnSGD), with_optimiser(lambda *_: None))


def test_modules_of_pytorch_with_odd_attributes_are_kept() -> None:
    class Recurrent(torch.nn.LSTM):
        """Not PyTorch's own, though its attributes are."""

    def built() -> Any:
        net = Net()
        net.recurrent = Recurrent(2, 2)
        torch.nn.utils.parametrizations.orthogonal(net.net)
        return net

    net = built()
    another = through_a_file(net, built())
    x = torch.rand(3, 2)
    for part in ("recurrent", "net"):
        a, b = getattr(net, part)(x), getattr(another, part)(x)
        assert torch.equal(a[0], b[0]), part


def test_tensors_that_are_learned_stay_those_of_the_optimiser() -> None:
    def built() -> Any:
        net = Net()
        net.scale = torch.ones(2, requires_grad=True)
        net.values = net.scale.data
        net.optimiser = torch.optim.SGD([net.scale, *net.parameters()], 0.1)
        return net

    def learn(net: Any) -> None:
        net.optimiser.zero_grad()
        (net.scale * net.net(torch.ones(1, 2))).sum().backward()
        net.optimiser.step()

    torch.manual_seed(0)
    net = built()
    learn(net)
    another = through_a_file(net, built())
    learn(net)
    learn(another)
    assert torch.equal(net.scale, another.scale) and torch.equal(net.net.weight, another.net.weight)
    assert torch.equal(another.values, another.scale)


def test_learned_tensors_may_be_made_as_a_learner_goes() -> None:
    made = [torch.ones(2, requires_grad=True), torch.nn.Parameter(torch.zeros(1))]
    another = through_a_file(with_value(made), with_value([]))
    assert [type(tensor) for tensor in another.value] == [torch.Tensor, torch.nn.Parameter]
    assert all(tensor.requires_grad and tensor.is_leaf for tensor in another.value)


def test_a_file_s_own_object_stays_that_and_is_not_written_over() -> None:
    net = with_value([EMPTY] * 4)
    net.value[:3] = [Slot(i) for i in range(3)]
    another = through_a_file(net, with_value([EMPTY] * 4))
    assert [slot.number for slot in another.value] == [0, 1, 2, None]
    assert another.value[3] is EMPTY


def test_what_was_one_object_may_become_two() -> None:
    def built() -> Any:
        net = Net()
        net.best = net.current = Slot(0)
        return net

    net = built()
    net.best, net.current = Slot(5), Slot(9)
    another = through_a_file(net, built())
    assert (another.best.number, another.current.number) == (5, 9)


def test_what_refers_to_an_object_still_does() -> None:
    def built() -> Any:
        net = Net()
        net.slot = Slot(0)
        net.read = net.slot.read
        return net

    net = built()
    net.slot.number = 7
    another = through_a_file(net, built())
    another.slot.number += 1
    assert another.read() == 8


@pytest.mark.parametrize("fresh", [Phase.WARM, None])
def test_members_of_enumerations(fresh: object) -> None:
    assert through_a_file(with_value(Phase.MAIN), with_value(fresh)).value is Phase.MAIN
    assert [phase.value for phase in Phase] == [1, 2]


@pytest.mark.parametrize("value", [Settings(0.5), Slotted(3), Pair(torch.ones(2), 4)])
@pytest.mark.parametrize("there", [True, False])
def test_objects_of_every_make(value: Any, there: bool) -> None:
    fresh = {Settings: Settings(0.1), Slotted: Slotted(0), Pair: Pair(torch.zeros(2), 0)}[type(value)]
    back = through_a_file(with_value(value), with_value(fresh if there else None)).value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value", [numpy.float64(0.5), numpy.complex128(1j), numpy.bool_(True), numpy.ones(2)]
)
def test_numbers_of_numpy(value: Any) -> None:
    back = through_a_file(with_value(value), with_value(None)).value
    assert type(back) is type(value)
    assert numpy.array_equal(back, value)


def test_dictionaries_of_every_make() -> None:
    of_each = defaultdict(list, {2: [torch.ones(1)]})
    value = [of_each, OrderedDict(b=1, a=2), Counter("aab"), {1: 2}]
    back = through_a_file(with_value(value), with_value(None)).value
    assert repr(back) == repr(value)
    assert back[0][3] == []


def local() -> object:
    class Hidden:
        pass

    return Hidden()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Items([1]), "Items"),
        (local(), "Hidden"),
        (numpy.array(["a"]), "ndarray"),
        (numpy.str_("a"), "str_"),
        (numpy.array([None]), "ndarray"),
        (numpy.array([1.0], ">f4"), "ndarray"),
        (numpy.longdouble(1), "longdouble"),
        (numpy.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
    ],
)
def test_what_a_file_would_lose_is_named(value: object, kind: str) -> None:
    with pytest.raises(Unsavable, match=f"the learner's value.* is a {kind}.*, which"):
        capture(with_value([value]))


def test_modules_may_be_made_as_a_learner_goes_that_are_no_part_of_it() -> None:
    """An ensemble in a list, say, as nn.Module does not see it."""
    layer = torch.nn.Linear(2, 2)
    net = with_value([layer, {"old": torch.nn.Sequential(torch.nn.Linear(3, 1)).eval()}, layer])
    another = through_a_file(net, with_value([]))
    assert repr(another.value) == repr(net.value) and another.value[2] is another.value[0]
    assert torch.equal(another.value[0].weight, layer.weight)
    assert torch.equal(another.value[1]["old"][0].bias, net.value[1]["old"][0].bias)


@pytest.mark.parametrize("value", [[torch.relu], {"old": torch.optim.SGD([torch.zeros(1)], 0.1)}])
def test_what_cannot_be_made_again_is_named(value: object) -> None:
    with pytest.raises(Unsavable, match="the learner's value.*, made as it went, cannot be made again"):
        through_a_file(with_value(value), with_value(None))


@pytest.mark.parametrize("kind", ["enum", "named tuple", "object"])
@pytest.mark.parametrize("name", ["os.system", "torch.os.system", "Net", "pytest.Item"])
def test_a_file_cannot_name_what_is_not_the_learner_s(kind: str, name: str, tmp_path: Any) -> None:
    """A program that a hostile checkpoint would run."""
    state = capture(with_value(None))
    hostile = {"value": f"touch {tmp_path}/ran", "items": [f"touch {tmp_path}/ran"], "fields": {}}
    named = {"__kind__": kind, "class": f"{__name__}:{name}", **hostile}
    state["attributes"][""]["value"] = named
    if (kind, name) != ("object", "Net"):
        with pytest.raises(Unsavable, match="have no class"):
            restore(with_value(None), state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.modules.linear:torch.os.system",
        "model.common:torch.os.system",
        "os:system",
        "torch.nn:Linear",
    ],
)
def test_a_file_cannot_name_a_module_that_is_none(name: str) -> None:
    state = capture(with_value(None))
    state["parts"][""]["_modules"]["more"], state["parts"]["more"] = False, {"class": name}
    with pytest.raises(Unsavable, match="the learner's more, made as it went, cannot be made again: a "):
        restore(with_value(None), state)
