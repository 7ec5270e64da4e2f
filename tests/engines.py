"""The two engines side by side, for the tests that hold them together."""

from __future__ import annotations

import torch
from torch import nn

from model.common import MLP
from model.engine import NativeEngine, TorchEngine, Weights

LR = 0.05


class Pair:
    """The two engines on networks of their own with equal weights."""

    def __init__(self, sizes: list[int], seed: int = 0, threads: int = 1) -> None:
        torch.manual_seed(seed)
        net = MLP(sizes)
        for parameter in net.parameters():
            # Biases too: a network whose biases are all zero hides a bias in the wrong place.
            nn.init.uniform_(parameter, -0.5, 0.5)
        twin = MLP(sizes)
        twin.load_state_dict(net.state_dict())
        self.nets = net, twin
        self.weights = Weights(net), Weights(twin)
        self.torch = TorchEngine(net.net, self.weights[0], LR)
        layers = [module for module in twin.net if isinstance(module, nn.Linear)]
        self.native = NativeEngine(layers, self.weights[1], LR, threads)

    def assert_equal_weights(self, atol: float = 1e-6) -> None:
        expected, found = (weights.flat for weights in self.weights)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=atol)

    def padding(self) -> torch.Tensor:
        """What lies between the native engine's parameters: zeros, for ever."""
        marked = torch.ones_like(self.weights[1].flat)
        for view in self.weights[1].views(marked).values():
            view.zero_()
        return self.weights[1].flat[marked.bool()]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """1e-5 relative, where a sum that cancels is measured by the vector's largest entry."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * scale + 1e-9)


def batch(sizes: list[int], n: int, density: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, sizes[0], generator=generator)
    x = x * (torch.rand(n, sizes[0], generator=generator) < density)
    return x, torch.randint(0, sizes[-1], (n,), generator=generator)


def near_a_kink(net: nn.Module, x: torch.Tensor, margin: float = 1e-6) -> bool:
    """Whether a ReLU is so close to its kink that rounding decides whether it is on."""
    sums = x.double()
    for module in net.net:
        if isinstance(module, nn.Linear):
            sums = sums @ module.weight.detach().double().T + module.bias.detach().double()
            if (sums.abs() < margin).any():
                return True
        else:
            sums = sums.relu()
    return False
