"""MNIST itself, from mnist.npz beside this file, checked. make_mnist.py makes that file."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .dataset import DataError

FILE = Path(__file__).with_name("mnist.npz")


class Idx(NamedTuple):
    """One of MNIST's four files: its name, MD5 sum, and the shape and header its bytes have."""

    name: str
    md5: str
    shape: tuple[int, ...]

    @property
    def header(self) -> bytes:
        """IDX: two zero bytes, 8 for unsigned bytes, the number of dimensions, then each, big-endian."""
        return bytes([0, 0, 8, len(self.shape)]) + np.array(self.shape, dtype=">u4").tobytes()


# Keyed by the names numpy.load shows, which are those of the mnist.npz that Keras users know.
FILES = {
    "x_train": Idx("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", (60000, 28, 28)),
    "y_train": Idx("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", (60000,)),
    "x_test": Idx("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", (10000, 28, 28)),
    "y_test": Idx("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", (10000,)),
}


class Mnist(NamedTuple):
    """Images (N, 784) uint8, rows of 28 pixels laid end to end, and labels (N,) int64."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    def first(self, train: int, test: int) -> Mnist:
        """The first `train` training and `test` test examples alone."""
        return Mnist(
            self.train_images[:train],
            self.train_labels[:train],
            self.test_images[:test],
            self.test_labels[:test],
        )


@cache
def read() -> Mnist:
    """MNIST, checked against the published MD5 sums: 60,000 training and 10,000 test examples.

    Raises:
        DataError: the repository's file is missing or damaged.
    """
    try:
        with open(FILE, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in FILES}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{FILE} cannot be read ({error}): restore it with git checkout") from error
    for key, idx in FILES.items():
        if arrays[key].dtype != np.uint8 or md5(idx.header + arrays[key].tobytes()) != idx.md5:
            raise DataError(
                f"{FILE} does not hold MNIST ({key} fails its MD5 check): restore it with git checkout"
            )
    images = {key: torch.from_numpy(arrays[key].reshape(-1, 784)) for key in ("x_train", "x_test")}
    labels = {key: torch.from_numpy(arrays[key].astype(np.int64)) for key in ("y_train", "y_test")}
    return Mnist(images["x_train"], labels["y_train"], images["x_test"], labels["y_test"])


def md5(content: bytes) -> str:
    """MD5 sum in hex."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
