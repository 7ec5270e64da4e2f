"""What a run streams: a `DataSet` of tasks, each an `Examples` for training and one for testing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch


class DataError(Exception):
    """Data that cannot be used. The message is one line for the user: what is wrong and what to do."""


class Examples:
    """The training or the test examples of one task: images, shared between tasks, through a map.

    Attributes:
        images: (N, P) uint8 grey levels, or float32 pixels that are taken as they are.
        y: (N,) int64 labels.
        pixel_map: (n_inputs,) int64, input q being pixel pixel_map[q], or 0 where that is -1, or None.
        descriptor: what GEM's files say of a task: an angle in degrees, a few words.
    """

    def __init__(
        self,
        images: torch.Tensor,
        y: torch.Tensor,
        pixel_map: torch.Tensor | None = None,
        descriptor: object = None,
    ) -> None:
        self.images, self.y, self.pixel_map, self.descriptor = images, y, pixel_map, descriptor
        self.n_inputs = images.shape[1] if pixel_map is None else len(pixel_map)
        # NumPy fetches one row in half the time PyTorch takes, and a run asks for a million single rows.
        self._pixels = images.numpy()
        grey = images.dtype == torch.uint8
        self._as_they_are = pixel_map is None and not grey
        self._gather = None if pixel_map is None else pixel_map.clamp(min=0).numpy()
        self._divisor = np.full(self.n_inputs, 255 if grey else 1, np.float32)
        if pixel_map is not None:
            # Any pixel over infinity is 0: one division scales what the map shows and blanks the rest.
            self._divisor[pixel_map.numpy() < 0] = np.inf

    def __len__(self) -> int:
        return len(self.y)

    def x(self, rows: torch.Tensor | slice | Sequence[int]) -> torch.Tensor:
        """The inputs of some examples, (B, n_inputs) float32, a new tensor; grey levels are divided by 255.

        Raises:
            IndexError: a row that is not there.
        """
        pixels = self._pixels[rows.numpy() if isinstance(rows, torch.Tensor) else rows]
        if self._as_they_are:
            return torch.from_numpy(pixels.copy())
        if self._gather is not None:
            pixels = pixels.take(self._gather, axis=1)
        return torch.from_numpy(pixels / self._divisor)


class DataSet:
    """Tasks in index order.

    Attributes:
        train, test: one `Examples` a task.
        n_inputs: width of every task's inputs.
        n_outputs: largest label over all tasks, train and test, plus one.
        note: one line for the user on where the data came from, where that needs saying.
        file: the file it was loaded from; None when it was built in memory.
    """

    def __init__(
        self,
        train: Sequence[Examples],
        test: Sequence[Examples],
        note: str | None = None,
        file: Path | None = None,
    ) -> None:
        self.train, self.test = list(train), list(test)
        self.note, self.file = note, file
        self.n_inputs = self.train[0].n_inputs
        self.n_outputs = 1 + max(int(examples.y.max()) for examples in self.train + self.test)

    def __len__(self) -> int:
        return len(self.train)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the file's bytes, or of the images, labels and maps of a set built in memory.

        The same on every machine. Reads the whole file: ask only where it is needed.
        """
        if self.file is not None:
            return sha256_of_file(self.file)
        digests: dict[int, bytes] = {}

        def digest(tensor: torch.Tensor | None) -> bytes:
            if tensor is None:
                return b"none"
            # Tasks share their images and labels: each tensor is hashed once.
            if id(tensor) not in digests:
                array = tensor.contiguous().numpy()
                little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
                digests[id(tensor)] = hashlib.sha256(
                    repr(array.shape).encode() + little_endian.tobytes()
                ).digest()
            return digests[id(tensor)]

        whole = hashlib.sha256()
        for examples in self.train + self.test:
            for tensor in (examples.images, examples.y, examples.pixel_map):
                whole.update(digest(tensor))
        return whole.hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex, holding no more than 1 MiB of it at a time."""
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
