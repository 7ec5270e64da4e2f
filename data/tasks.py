"""How tasks are made of MNIST: a task is a pixel map, task[q] = image[map[q]], or 0 where map[q] is -1."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from . import mnist
from .dataset import DataSet, Examples
from .mnist import Mnist


def rotation_map(angle: float, side: int = 28) -> torch.Tensor:
    """The map, (side * side,) int64, that turns a square image counter-clockwise by `angle` degrees.

    Applied to an image it gives what Pillow's `Image.rotate(angle)`, nearest neighbour, gives: it is found by
    turning an image whose pixels are their own numbers.
    """
    numbers = np.arange(1, side * side + 1, dtype=np.int32).reshape(side, side)
    turned = np.asarray(Image.fromarray(numbers).rotate(angle))
    return torch.from_numpy(turned.astype(np.int64).ravel() - 1)


def permutation_maps(n_tasks: int, n_inputs: int = 784) -> list[torch.Tensor]:
    """GEM's permutations: one torch.randperm(n_inputs) a task after seed 0, from a generator of their own."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randperm(n_inputs, generator=generator) for _ in range(n_tasks)]


def drawn_angles(n_tasks: int = 20, span: float = 180.0) -> list[float]:
    """One angle in degrees a task, uniform over the task's own share of `span`: [9t, 9t + 9) for 20 tasks."""
    generator = random.Random(0)
    share = span / n_tasks
    return [share * (t + generator.random()) for t in range(n_tasks)]


def rotations(source: Mnist, angles: Sequence[float]) -> DataSet:
    """One task an angle, in degrees, every image turned by it."""
    return _data_set(source, [(angle, rotation_map(angle)) for angle in angles])


def permutations(source: Mnist, n_tasks: int) -> DataSet:
    """`n_tasks` tasks, each a fixed random order of the pixels."""
    return _data_set(source, [("random permutation", pixel_map) for pixel_map in permutation_maps(n_tasks)])


def _data_set(source: Mnist, tasks: Sequence[tuple[object, torch.Tensor]]) -> DataSet:
    train = [Examples(source.train_images, source.train_labels, pixels, name) for name, pixels in tasks]
    test = [Examples(source.test_images, source.test_labels, pixels, name) for name, pixels in tasks]
    return DataSet(train, test)


def small() -> Mnist:
    """The first 300 training and 100 test images, for runs of seconds."""
    return mnist.read().first(300, 100)


# By the names of their files: the paper's three data sets, and two of five tasks on few images.
BUILDERS: dict[str, Callable[[], DataSet]] = {
    "mnist_rotations.pt": lambda: rotations(mnist.read(), drawn_angles()),
    "mnist_permutations.pt": lambda: permutations(mnist.read(), 20),
    "mnist_manypermutations.pt": lambda: permutations(mnist.read(), 100),
    "small_rotations.pt": lambda: rotations(small(), [36.0 * t for t in range(5)]),
    "small_permutations.pt": lambda: permutations(small(), 5),
}

PAPERS = [name for name in BUILDERS if name.startswith("mnist_")]
"""The data sets of the paper."""
