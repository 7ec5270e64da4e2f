"""Each learner's arithmetic: against the float64 reference, and on cases small enough to work out by hand."""

import importlib
import math
import random
from argparse import Namespace

import numpy as np
import pytest
import reference
import torch

from model.common import OptionError
from model.options import LEARNERS, parse

N_INPUTS, N_OUTPUTS, N_TASKS = 7, 4, 3
REPLAY = "--memories 6 --replay_batch_size 3 "
OPTIONS = {
    "online": [""],
    "taskinput": ["", "--n_layers 1", "--n_layers 4"],
    "independent": ["", "--finetune no"],
    "ewc": ["--n_memories 5 --memory_strength 30", "--n_memories 1 --memory_strength 3"],
    "gem": ["--n_memories 5", "--n_memories 4 --memory_strength 0.4"],
    "eralg4": [REPLAY, "--memories 1 --replay_batch_size 9"],
    "eralg5": [REPLAY],
    "meralg1": [REPLAY + "--batches_per_example 2 --beta 0.3 --gamma 0.8"],
    "meralg6": [REPLAY + "--batches_per_example 3 --gamma 0.4"],
    "meralg7": [REPLAY + "--gamma 0.6 --s 4"],
}


def arguments(model: str, options: str = "", engine: str = "torch") -> Namespace:
    return parse(f"--model {model} --n_hiddens 12 --lr 0.2 --engine {engine} --threads 1 {options}".split())


def build(args: Namespace, sizes: tuple[int, int, int] = (N_INPUTS, N_OUTPUTS, N_TASKS), seed: int = 0):
    torch.manual_seed(seed)
    return importlib.import_module(f"model.{args.model}").Net(*sizes, args)


def stream(batch_size: int, order=(0, 1, 2), batches: int = 4, seed: int = 1):
    """Batches of every task: sparse inputs, so that both engines' paths for zeros are taken."""
    generator = np.random.default_rng(seed)
    for t in order:
        for _ in range(batches):
            x = generator.uniform(-1, 1, (batch_size, N_INPUTS)) * (
                generator.random((batch_size, N_INPUTS)) < 0.6
            )
            yield x.astype(np.float32), t, generator.integers(0, N_OUTPUTS, batch_size)


def in_float64(net: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.double().numpy().copy() for name, value in net.state_dict().items()}


def follow(args: Namespace, batches) -> None:
    """Show a stream to a learner and to its reference; weights and random draws must stay the same."""
    net = build(args)
    theta = in_float64(net)
    second = reference.LEARNERS[args.model](theta, args)
    python = random.Random(5).getstate(), random.Random(5).getstate()
    moved = 0.0
    for x, t, y in batches:
        before = {name: value.copy() for name, value in theta.items()}
        random.setstate(python[0])
        net.observe(torch.from_numpy(x), t, torch.from_numpy(y))
        random_after_ours = random.getstate()
        random.setstate(python[1])
        second.observe(x.astype(np.float64), t, y)
        python = random_after_ours, random.getstate()
        assert python[0] == python[1]
        for name, value in net.state_dict().items():
            np.testing.assert_allclose(
                value.numpy(), theta[name], rtol=2e-4, atol=2e-5, err_msg=f"{name}, task {t}"
            )
        moved += sum(np.abs(theta[name] - before[name]).max() for name in theta)
    assert moved > 0.1


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("model, options", [(m, o) for m in LEARNERS for o in OPTIONS[m]])
def test_a_learner_follows_its_reference(model, options, batch_size, engine):
    follow(arguments(model, options, engine), stream(batch_size))


@pytest.mark.parametrize("model", ["independent", "ewc", "gem", "taskinput"])
def test_shuffled_tasks(model, engine):
    follow(arguments(model, OPTIONS[model][0], engine), stream(1, order=(2, 0, 1)))


def test_the_reference_gradient_is_the_slope_of_its_losses():
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in [(5, 3), (5,), (4, 5), (4,), (2, 4), (2,)]]
    x, y, share = generator.normal(size=(6, 3)), generator.integers(0, 2, 6), generator.random(6)
    for w, g in zip(weights, reference.gradient(weights, x, y, share), strict=True):
        for i in np.ndindex(w.shape):
            kept = w[i]
            w[i] = kept + 1e-6
            above = reference.losses(weights, x, y) @ share
            w[i] = kept - 1e-6
            below = reference.losses(weights, x, y) @ share
            w[i] = kept
            assert g[i] == pytest.approx((above - below) / 2e-6, abs=1e-7)


# One input of 1, two labels, no hidden layer, all weights zero, label 0 always: by symmetry the four numbers
# stay a, a, -a, -a, label 0's probability is 1 / (1 + exp(-4a)), and a step of rate r adds r * slope(a) to a.
def slope(a: float) -> float:
    return 1 / (1 + math.exp(4 * a))


LR = 0.2


def tiny(model: str, options: str, engine: str):
    args = arguments(model, options, engine)
    args.n_layers = 0
    net = build(args, (1, 2, 2))
    net.weights.flat.zero_()
    return net


def show(net, t: int = 0) -> float:
    """Show the one example; a."""
    net.observe(torch.ones(1, 1), t, torch.zeros(1, dtype=torch.int64))
    (w0, w1), (b0, b1) = net.net.net[0].weight.flatten().tolist(), net.net.net[0].bias.tolist()
    assert [w0, w1, b0, b1] == pytest.approx([w0, -w0, w0, -w0], abs=1e-6)
    return w0


def steps(a: float, n: int, rate: float = LR) -> float:
    for _ in range(n):
        a += rate * slope(a)
    return a


def test_online_by_hand(engine):
    net = tiny("online", "", engine)
    assert show(net) == pytest.approx(LR / 2)
    assert show(net) == pytest.approx(LR / 2 + LR * slope(LR / 2))


def test_eralg4_by_hand(engine):
    net = tiny("eralg4", "--replay_batch_size 10", engine)
    assert [show(net) for _ in range(3)] == pytest.approx([steps(0, n) for n in (1, 2, 3)])


def test_eralg5_by_hand_counts_each_task_once(engine):
    net = tiny("eralg5", "--replay_batch_size 10", engine)
    a = show(net)
    a += LR * slope(a)
    assert show(net) == pytest.approx(a)
    # Task 1 and the two replayed examples of task 0, drawn in whatever number, weigh the same.
    assert show(net, 1) == pytest.approx(a + 2 * LR * slope(a))


def test_meralg1_by_hand(engine):
    net = tiny("meralg1", "--replay_batch_size 2 --batches_per_example 2 --beta 0.5 --gamma 0.25", engine)
    a = 0.0
    for replayed in (0, 1, 2, 2):
        start = a
        for _ in range(2):
            a += 0.5 * (steps(a, 1 + replayed) - a)
        a = start + 0.25 * (a - start)
        assert show(net) == pytest.approx(a)


def test_meralg6_by_hand(engine):
    net = tiny("meralg6", "--replay_batch_size 2 --batches_per_example 2 --gamma 0.25", engine)
    a = 0.0
    for replayed in (0, 1, 2, 2):
        for _ in range(2):
            a += 0.25 * (steps(a, 1 + replayed) - a)
        assert show(net) == pytest.approx(a)


def test_meralg6_throws_one_draw_away(engine):
    net = tiny("meralg6", "--replay_batch_size 2 --batches_per_example 3", engine)
    for _ in range(5):
        show(net)
    random.seed(3)
    show(net)
    ours = random.getstate()
    random.seed(3)
    for _ in range(1 + 3):
        for _ in range(2):
            random.shuffle(list(range(5)))
    assert ours == random.getstate()


def test_meralg7_by_hand(engine):
    net = tiny("meralg7", "--replay_batch_size 1 --gamma 0.5 --s 3", engine)
    state = random.getstate()
    assert show(net) == 0
    assert random.getstate() == state
    assert len(net.memory) == net.memory.age == 1
    current_first = 0.5 * steps(steps(0, 1, 3 * LR), 1)
    current_last = 0.5 * steps(steps(0, 1), 1, 3 * LR)
    random.seed(0)
    random.shuffle(list(range(1)))
    order = [0, 1]
    random.shuffle(order)
    random.seed(0)
    assert abs(current_first - current_last) > 1e-3
    assert show(net) == pytest.approx(current_first if order == [0, 1] else current_last)


def test_ewc_by_hand(engine):
    net = tiny("ewc", "--n_memories 1 --memory_strength 2", engine)
    a = show(net)
    assert show(net) == pytest.approx(anchor := a + LR * slope(a))
    # Task 1's first batch is still free, the weights being the anchor.
    a = anchor + LR * slope(anchor)
    assert show(net, 1) == pytest.approx(a)
    fisher = slope(anchor) ** 2
    assert show(net, 1) == pytest.approx(a + LR * (slope(a) - 2 * 2 * fisher * (a - anchor)))


def test_ewc_keeps_a_first_batch_whole_and_cuts_later_ones():
    net = build(arguments("ewc", "--n_memories 5 --memory_strength 1"))
    y = torch.arange(4)
    for kept in (4, 5, 5):
        net.observe(torch.rand(4, N_INPUTS), 0, y)
        assert len(net.x) == kept
    assert net.y.tolist() == [0, 1, 2, 3, 0]
    net = build(arguments("ewc", "--n_memories 2 --memory_strength 1"))
    net.observe(torch.rand(4, N_INPUTS), 1, y)
    assert net.y.tolist() == [0, 1, 2, 3] and net.pull is None


def test_independent_starts_from_the_last_tasks_weights_but_never_task_0s():
    x, y = torch.rand(1, N_INPUTS), torch.zeros(1, dtype=torch.int64)
    net = build(arguments("independent"))
    untouched = [w.flat.clone() for w in net.weights]
    net.observe(x, 2, y)
    from_untrained_0 = build(arguments("online", "--n_hiddens 4"))
    from_untrained_0.weights.flat.copy_(untouched[0])
    from_untrained_0.observe(x, 0, y)
    assert torch.equal(net.weights[2].flat, from_untrained_0.weights.flat)
    net.observe(x, 0, y)
    from_untrained_0.weights.flat.copy_(untouched[0])
    from_untrained_0.observe(x, 0, y)
    assert torch.equal(net.weights[0].flat, from_untrained_0.weights.flat)
    assert torch.equal(net.weights[1].flat, untouched[1])


def test_independent_shares_the_hidden_units_and_refuses_too_many_tasks():
    assert build(arguments("independent", "--n_hiddens 11")).nets[0].net[0].out_features == 3
    with pytest.raises(OptionError, match="3 tasks"):
        build(arguments("independent", "--n_hiddens 2"))


def test_taskinput_zeroes_the_biases_that_the_published_code_zeroes():
    net = build(arguments("taskinput", "--n_layers 4"))
    zero = {name for name, value in net.state_dict().items() if name.endswith("bias") and not value.any()}
    assert zero == {
        "i_layer.0.bias",
        "i_layer.1.bias",
        "i_layer.2.bias",
        "h_layer.0.0.bias",
        "o_layer.0.bias",
    }
    assert {"h_layer.0.1.bias", "h_layer.0.2.bias"} <= set(net.state_dict())
    alone = build(arguments("taskinput", "--n_layers 1"))
    assert [list(value.shape) for value in alone.state_dict().values()] == 3 * [
        [N_OUTPUTS, N_INPUTS],
        [N_OUTPUTS],
    ]
    assert not any(layer.bias.any() for layer in alone.i_layer)
    assert alone(torch.rand(2, N_INPUTS), 1).exp().sum(1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("model", LEARNERS)
def test_initial_weights_are_drawn_in_the_published_order(model):
    """PyTorch's default initialisation of every layer, and then, but for taskinput, Glorot's over it."""
    args = arguments(model, OPTIONS[model][0])
    net = build(args, seed=4)
    generator = torch.get_rng_state()
    torch.manual_seed(4)
    expected = []
    if model == "taskinput":
        shapes = 3 * [(N_INPUTS, 12)] + [(12, 12), (12, N_OUTPUTS)]
        expected = [torch.nn.Linear(*shape).weight for shape in shapes]
    else:
        nets, hidden = (3, 4) if model == "independent" else (1, 12)
        for _ in range(nets):
            shapes = [(N_INPUTS, hidden), (hidden, hidden), (hidden, N_OUTPUTS)]
            layers = [torch.nn.Linear(*shape) for shape in shapes]
            for layer, shape in zip(layers, shapes, strict=True):
                bound = math.sqrt(6 / sum(shape))
                expected.append(layer.weight.data.uniform_(-bound, bound))
    ours = [value for name, value in net.state_dict().items() if name.endswith("weight")]
    assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))
    assert torch.equal(generator, torch.get_rng_state())
    if model != "taskinput":
        assert not any(value.any() for name, value in net.state_dict().items() if name.endswith("bias"))
