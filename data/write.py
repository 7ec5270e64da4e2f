"""Writes a data set as a file in GEM's format, one tensor at a time, for any program that has torch.load."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch

from .dataset import DataSet, Examples

_ALIGNMENT = 64
# A record's header without its name: 30 bytes, 20 more for 64-bit lengths, 4 for the padding's own header.
_HEADER = 30 + 20 + 4
_PADDING_ID = 0x4246  # PyTorch's own mark for padding.


class _Storage:
    """Stands, in the pickle, for a tensor's bytes: a record of its own in the archive, named by `key`."""

    def __init__(self, key: int, dtype: torch.dtype, numel: int) -> None:
        self.key, self.numel, self.n_bytes = key, numel, numel * dtype.itemsize
        self.type = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}[dtype]


class _Tensor:
    """Stands, in the pickle, for a contiguous tensor."""

    def __init__(self, storage: _Storage, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape

    def __reduce__(self) -> tuple[object, ...]:
        stride = (*self.shape[1:], 1)
        return torch._utils._rebuild_tensor_v2, (self.storage, 0, self.shape, stride, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> tuple[object, ...] | None:
        """What torch.save writes for a tensor's bytes."""
        if isinstance(value, _Storage):
            return ("storage", value.type, str(value.key), "cpu", value.numel)
        return None


class GemFile:
    """A data set laid out as what torch.save writes since PyTorch 1.6.

    torch.save would need every task's x at once: 22 GB for Many Permutations. Here no more
    than one task's x exists at a time.

    Attributes:
        n_bytes: the length of the tensors' bytes together; the file is a few hundred bytes a tensor longer.
    """

    def __init__(self, data_set: DataSet) -> None:
        self._records: list[tuple[_Storage, Callable[[], torch.Tensor]]] = []
        self._labels: dict[int, _Storage] = {}
        content = [[self._task(examples) for examples in part] for part in (data_set.train, data_set.test)]
        pickled = io.BytesIO()
        _Pickler(pickled, protocol=2).dump(content)
        self._pickle = pickled.getvalue()
        self.n_bytes = sum(storage.n_bytes for storage, _ in self._records)

    def _task(self, examples: Examples) -> list[object]:
        # Labels that tasks share are written once, as torch.save does.
        if id(examples.y) not in self._labels:
            self._labels[id(examples.y)] = self._storage(torch.int64, len(examples), lambda: examples.y)
        y = _Tensor(self._labels[id(examples.y)], (len(examples),))
        numel = len(examples) * examples.n_inputs
        storage = self._storage(torch.float32, numel, lambda: examples.x(slice(None)))
        return [examples.descriptor, _Tensor(storage, (len(examples), examples.n_inputs)), y]

    def _storage(self, dtype: torch.dtype, numel: int, tensor: Callable[[], torch.Tensor]) -> _Storage:
        storage = _Storage(len(self._records), dtype, numel)
        self._records.append((storage, tensor))
        return storage

    def write(self, path: Path, written: Callable[[int], object] = lambda n_bytes: None) -> None:
        """Write the file, calling `written` with the length of each tensor in bytes as it is done.

        Raises:
            OSError: the disk is full, or the path cannot be written to. A part of the file may be left there.
        """
        # zipfile, not PyTorch's own archive writer: that one aborts the process when the disk is full.
        # ZipInfo leaves the time out: the same data set gives the same file.
        with open(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("archive/data.pkl"), self._pickle)
            archive.writestr(zipfile.ZipInfo("archive/version"), "3\n")
            archive.writestr(zipfile.ZipInfo("archive/byteorder"), sys.byteorder)
            for storage, tensor in self._records:
                info = _aligned(f"archive/data/{storage.key}", file.tell())
                with archive.open(info, "w", force_zip64=True) as record:
                    record.write(tensor().contiguous().numpy().data)
                written(storage.n_bytes)


def _aligned(name: str, position: int) -> zipfile.ZipInfo:
    """A record at `position` whose content begins at a multiple of 64 bytes, fit to be mapped into memory."""
    info = zipfile.ZipInfo(name)
    padding = -(position + _HEADER + len(name)) % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    return info
