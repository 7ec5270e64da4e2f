"""What a checkpoint would not bring back as it is gets found before there is one."""

from __future__ import annotations

import copy
import functools
import importlib
import random
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from model.common import Learner
from model.memory import Reservoir
from model.options import LEARNERS, parse
from model.state import Proof, Unsavable

ARGS = parse(["--model", "eralg4", "--memories", "3", "--replay_batch_size", "2", "--n_hiddens", "4"])


STEPS = {"n": 0}


class Plain(Reservoir):
    """A memory that does something else, and holds nothing more."""

    def tasks(self, *slots: torch.Tensor) -> torch.Tensor:
        return super().tasks(*slots) + 1


class Counting(Reservoir):
    """One that holds what the reservoir's own state does not."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.added = 0

    def add(self, *example: Any) -> None:
        self.added += 1
        super().add(*example)


class Averaging(torch.optim.SGD):
    """An optimiser that holds what PyTorch's own state does not."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, 0.1)
        self.average = torch.zeros(2)


class Explained(Averaging):
    """One that says so."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average = state.pop("average")
        super().load_state_dict(state)


class Tagged(torch.Tensor):
    """Of a class that a safe file does not know."""


class Box:
    """An object."""


class Net(Learner):
    """What is set on it when it is built, and as it learns, is all that differs from case to case."""

    buffer: list[int] = []  # noqa: RUF012

    def __init__(self, made: Callable[[Any], object]) -> None:
        super().__init__(3, 2, ARGS)
        made(self)

    def once(self) -> float:
        return 1.0

    def twice(self) -> float:
        return 2.0


def set_on(net: Any, **values: object) -> None:
    for name, value in values.items():
        setattr(net, name, value)


def proven(cases: str, case: str) -> None:
    """Build a learner, have it learn, and prove its state."""
    torch.manual_seed(0)
    made, learn = globals()[cases][case][:2]
    net = Net(made)
    proof = Proof(net, __name__, lambda again: again.Net(getattr(again, cases)[case][0]))
    learn(net)
    proof.capture()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What a case did to the class and to this file."""
    yield
    Net.buffer.clear()
    STEPS["n"] = 0


def reservoir(cls: type[Reservoir]) -> Callable[[Any], None]:
    return lambda net: set_on(net, memory=cls(3, ARGS, net.engine))


def add(net: Any) -> None:
    net.memory.add(torch.rand(3), torch.tensor(1), 0)


def optimiser(cls: type[torch.optim.Optimizer]) -> Callable[[Any], None]:
    return lambda net: set_on(net, optimiser=cls(net.parameters()))


def step(net: Any) -> None:
    net.net(torch.rand(2, 3)).sum().backward()
    net.optimiser.step()


def scheduled(net: Any) -> None:
    net.optimiser = torch.optim.Adam(net.parameters(), 0.1)
    net.schedule = torch.optim.lr_scheduler.LambdaLR(net.optimiser, lambda n: 0.9**n)


def counted(net: Any) -> None:
    """Closures over a list, one to write and one to read."""
    seen: list[int] = []
    net.seen, net.count, net.read = seen, lambda x: seen.append(x), lambda: len(seen)


def hidden(net: Any) -> None:
    """A closure over a list that nothing else knows."""
    seen: list[int] = []
    net.count = seen.append


def add_three(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output + 3


def hooked(net: Any) -> None:
    net.net.net[0].register_forward_hook(add_three)


def nothing(net: Any) -> None:
    pass


def nested(net: Any) -> None:
    net.deep = []
    for _ in range(5000):
        net.deep = [net.deep]


def aliased(net: Any) -> None:
    net.sums = torch.zeros(3)
    net.view = net.sums.numpy()


BACK: dict[str, tuple[Callable[[Any], object], Callable[[Any], object]]] = {
    "nothing": (nothing, nothing),
    "memory": (reservoir(Reservoir), add),
    "memory of a class of its own": (reservoir(Plain), add),
    "optimiser": (functools.partial(set_on), nothing),
    "Adam and schedule": (scheduled, lambda net: (step(net), net.schedule.step())),
    "optimiser that says all": (
        optimiser(Explained),
        lambda net: (step(net), set_on(net.optimiser, average=torch.ones(2))),
    ),
    "learning rate": (nothing, lambda net: set_on(net.engine, lr=0.01)),
    "closures": (counted, lambda net: net.count(3)),
    "method of a list": (
        lambda net: set_on(net, seen=[], push=None) or set_on(net, push=net.seen.append),
        lambda net: net.push(1),
    ),
    "method of a generator": (
        lambda net: set_on(net, random=random.Random(1)) or set_on(net, draw=net.random.random),
        lambda net: net.draw(),
    ),
    "method of NumPy's generator": (
        lambda net: set_on(net, random=numpy.random.default_rng(1)) or set_on(net, draw=net.random.normal),
        lambda net: net.draw(),
    ),
    "partial over a dictionary": (
        lambda net: set_on(net, seen={}) or set_on(net, put=functools.partial(dict.__setitem__, net.seen)),
        lambda net: net.put("a", 1),
    ),
    "own method": (lambda net: set_on(net, scale=net.once), nothing),
    "hooks from the start": (hooked, nothing),
    "deque and set": (
        lambda net: set_on(net, recent=deque(maxlen=2), labels=set()),
        lambda net: (net.recent.extend([1, 2, 3]), net.labels.update([4, "five", 6])),
    ),
    "set that grew": (
        lambda net: set_on(net, seen=set()),
        lambda net: [net.seen.__ior__(set(labels)) for labels in ([2, 4], [8, 3], [4])],
    ),
    "parameters in a set": (lambda net: set_on(net, trained=set(net.parameters())), nothing),
    "what is set on a parameter": (
        nothing,
        lambda net: set_on(net.net.net[0].weight, omega=torch.ones(2)),
    ),
    "hooks that can be removed": (
        lambda net: set_on(net, handle=net.net.register_forward_hook(add_three)),
        nothing,
    ),
    "a group of parameters more": (
        lambda net: set_on(net, optimiser=torch.optim.SGD([net.net.net[0].weight], 0.1, momentum=0.5)),
        lambda net: (net.optimiser.add_param_group({"params": [net.net.net[0].bias], "lr": 1.0}), step(net)),
    ),
    "box": (
        lambda net: set_on(net, box=Box()),
        lambda net: set_on(net.box, x=[1.5, float("nan"), torch.full((2,), float("nan"))]),
    ),
    "default made by a function": (
        lambda net: set_on(net, sums=defaultdict(lambda: torch.zeros(2))),
        lambda net: net.sums[3].add_(1),
    ),
    "attribute gone": (lambda net: set_on(net, warm=True), lambda net: delattr(net, "warm")),
    "weak reference": (lambda net: set_on(net, first=weakref.ref(net.net)), nothing),
    "modules that are no part of it as keys": (
        lambda net: set_on(net, of={p: 1 for p in nn.Linear(2, 2).parameters()}),
        nothing,
    ),
    "half precision and no dimension": (
        nothing,
        lambda net: set_on(net, a=torch.ones(3, dtype=torch.bfloat16), b=torch.tensor(True), c=torch.ones(0)),
    ),
    "another activation": (nothing, lambda net: net.net.net.__setitem__(1, nn.Tanh())),
    "module more": (nothing, lambda net: set_on(net, old=nn.Linear(2, 2, bias=False))),
    "module with much in it more": (nothing, lambda net: set_on(net, old=nn.MultiheadAttention(4, 2))),
    "parameters more": (
        lambda net: set_on(net, masks=nn.ParameterList(), gates=nn.ParameterDict()),
        lambda net: (
            net.masks.append(torch.ones(2)),
            net.gates.update({"b": torch.ones(1), "a": torch.ones(1)}),
        ),
    ),
    "a schedule for another optimiser, made late": (
        lambda net: set_on(net, schedule=None),
        lambda net: (
            scheduled(net),
            set_on(net, schedule=StepLR(net.optimiser, 2)),
            step(net),
            net.schedule.step(),
        ),
    ),
    "what was its network is a copy": (
        lambda net: set_on(net, teacher=net.net),
        lambda net: set_on(net, teacher=copy.deepcopy(net.net)),
    ),
    "module without parameters more": (nothing, lambda net: set_on(net, old=nn.ReLU())),
    "modules in a list": (
        lambda net: set_on(net, old=[]),
        lambda net: net.old.append(nn.Linear(2, 2)),
    ),
    "a copy of its network": (
        lambda net: set_on(net, old=None),
        lambda net: set_on(net, old=copy.deepcopy(net.net).requires_grad_(False).eval()),
    ),
    "another optimiser": (
        optimiser(torch.optim.Adam),
        lambda net: (optimiser(torch.optim.SGD)(net), step(net)),
    ),
    "optimiser that keeps more": (nothing, optimiser(torch.optim.LBFGS)),
    "sparse and conjugate": (
        nothing,
        lambda net: set_on(net, a=torch.eye(2).to_sparse(), c=torch.ones(2, dtype=torch.complex64).conj()),
    ),
}


@pytest.mark.parametrize("case", BACK)
def test_what_comes_back_is_kept(case: str) -> None:
    proven("BACK", case)


def test_networks_come_and_go() -> None:
    """One twin, brought to one state after another."""

    def made(net: Any) -> None:
        set_on(net, old=None, heads=nn.ModuleDict(), columns=nn.ModuleList(), spare=[])

    net = Net(made)
    proof = Proof(net, __name__, lambda again: again.Net(made))
    for task in range(4):
        net.old = copy.deepcopy(net.net) if task % 3 else None
        net.heads[f"task {task}"] = nn.Linear(2, 1 + task)
        if task > 1:
            del net.heads[f"task {task - 2}"]
        net.columns.append(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
        net.spare = [nn.Linear(1, 1), *net.spare[:1]]
        proof.capture()


FOUND: dict[str, tuple[Callable[[Any], object], Callable[[Any], object], str]] = {
    "memory": (reservoir(Counting), add, "the learner's memory.added would not come back as it is"),
    "optimiser": (
        optimiser(Averaging),
        lambda net: set_on(net.optimiser, average=torch.ones(2)),
        "the learner's optimiser.average would",
    ),
    "another engine": (
        nothing,
        lambda net: set_on(net, engine=[net.engine]),
        "the learner's engine.* was another|the learner's engine",
    ),
    "closure over what nothing else knows": (hidden, lambda net: net.count(1), "the learner's count"),
    "another method": (
        lambda net: set_on(net, scale=net.once),
        lambda net: set_on(net, scale=net.twice),
        r"the learner's scale\(\)",
    ),
    "another function": (
        lambda net: set_on(net, loss=torch.relu),
        lambda net: set_on(net, loss=torch.sigmoid),
        "the learner's loss",
    ),
    "hook": (nothing, hooked, "the learner's net.net.0._forward_hooks would"),
    "tensor's hook": (
        nothing,
        lambda net: net.net.net[0].weight.register_hook(lambda gradient: 2 * gradient),
        r"the learner's .*weight\.hooks\[0\] would",
    ),
    "id of an object": (
        nothing,
        lambda net: set_on(net, names={id(net.net): "net"}),
        "the learner's names",
    ),
    "graph": (
        lambda net: set_on(net, loss=None),
        lambda net: set_on(net, loss=net.net(torch.ones(1, 3)).sum()),
        "the learner's loss has a graph, which a checkpoint cannot hold: detach it",
    ),
    "wider": (
        nothing,
        lambda net: set_on(net.net.net[0], weight=nn.Parameter(torch.zeros(9, 3))),
        "the learner's engine.weights",
    ),
    "optimiser of its own in place of another": (
        optimiser(torch.optim.Adam),
        optimiser(Explained),
        "the learner's optimiser was another one by then",
    ),
    "nested": (nothing, nested, "something in the learner is nested too deep"),
    "lazy module": (lambda net: set_on(net, head=nn.LazyLinear(2)), nothing, "head.weight has no shape yet"),
    "a tensor of another class": (
        nothing,
        lambda net: set_on(net, x=torch.zeros(2).as_subclass(Tagged)),
        "the learner's x is a Tagged, which",
    ),
    "attribute of the class": (
        nothing,
        lambda net: net.buffer.append(1),
        r"Net\.buffer.* changed, which is not",
    ),
    "global name": (
        nothing,
        lambda net: STEPS.__setitem__("n", STEPS["n"] + 1),
        r"STEPS\['n'\] changed, which is not the learner's own",
    ),
    "memory shared with an array": (aliased, nothing, "the learner's view"),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_would_not_come_back_is_found(case: str) -> None:
    with pytest.raises(Unsavable, match=FOUND[case][2]) as caught:
        proven("FOUND", case)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("model", LEARNERS)
def test_ours_come_back(model: str, engine: str) -> None:
    words = (
        f"--model {model} --engine {engine} --n_hiddens 4 --lr 0.1 --memories 3 --replay_batch_size 2 --s 2"
    )
    args = parse(f"{words} --n_memories 3 --memory_strength 0.5".split())

    def build(module: Any) -> Any:
        return module.Net(6, 4, 3, args)

    net = build(importlib.import_module(f"model.{model}"))
    proof = Proof(net, f"model.{model}", build)
    proof.capture()
    for i in range(12):
        net.observe(torch.rand(1, 6), i // 4, torch.tensor([i % 4]))
        proof.capture()
