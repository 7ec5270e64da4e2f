"""The least time an SGD step can take: its weights, streamed through the second-level cache."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy
import torch

LANES = 16
FLOAT = 4


def bandwidths(floats: int = 2**16, repeats: int = 300) -> tuple[float, float]:
    """Bytes per second of reading, and of reading and writing back, 256 KiB in the second-level cache."""
    buffer = numpy.ones(floats, numpy.float32)

    def usual(work: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(20):
                work()
            times.append((time.perf_counter() - start) / 20)
        return statistics.median(times)

    read = usual(lambda: numpy.dot(buffer, buffer))
    update = usual(lambda: numpy.negative(buffer, out=buffer))
    return buffer.nbytes / read, buffer.nbytes / update


def step_seconds(x: torch.Tensor, sizes: list[int], read: float, update: float) -> float:
    """Seconds for the bytes of an average step on rows x (B, n): weights of active inputs, read and updated.

    Half of each hidden layer is taken to be active. A row is as wide as the layer's units, in whole lanes.
    """
    active = [(x != 0).sum(1).double().mean().item()] + [size / 2 for size in sizes[1:-1]]
    widths = [-(-size // LANES) * LANES * FLOAT for size in sizes[1:]]
    touched = sum(n * width for n, width in zip(active, widths, strict=True))
    return touched / read + touched / update
