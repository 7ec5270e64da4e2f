"""Inputs as the native engine reads them: rows kept as their nonzero values, and batches of such rows."""

from __future__ import annotations

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from .compiled import _native


class SparseRows:
    """Input rows kept for replay, each as its nonzero values."""

    def __init__(self, n_inputs: int) -> None:
        self._rows = _native.Rows(n_inputs)

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, slot: int, x: torch.Tensor) -> None:
        """Write one row (n_inputs,) at a slot in use, or at the next one, `len(rows)`."""
        x = plain(x, torch.float32)
        if x.shape != (self._rows.n_inputs,):
            raise ValueError(f"a row of shape {tuple(x.shape)} does not fit {self._rows.n_inputs} inputs")
        self._rows.put(slot, x.data_ptr())

    def extend(self, x: torch.Tensor) -> None:
        """Write rows (B, n_inputs) at the next slots."""
        x = plain(x, torch.float32)
        if x.dim() != 2 or x.shape[1] != self._rows.n_inputs:
            raise ValueError(f"rows of shape {tuple(x.shape)} do not fit {self._rows.n_inputs} inputs")
        self._rows.extend(x.data_ptr(), len(x))

    def dense(self) -> torch.Tensor:
        """All rows, float32 (len, n_inputs)."""
        rows = torch.empty(len(self), self._rows.n_inputs)
        for slot, row in enumerate(rows):
            self._rows.write_dense(slot, row.data_ptr())
        return rows

    def all(self) -> Batch:
        """All rows, in order, as inputs for this engine."""
        return Batch(self._rows)

    def __getitem__(self, slots: torch.Tensor) -> Batch:
        """The rows at `slots`, int64 (B,), in that order, as inputs for this engine."""
        return Batch(self._rows, slots)


class Batch:
    """Rows of a store, in the order of their slots, int64 (B,), or all of them; nothing is copied.

    Attributes:
        address: of the slots; 0 for all rows.
    """

    __slots__ = ("_asked", "_length", "_listed", "_slots", "address", "rows")

    def __init__(self, rows: _native.Rows, slots: torch.Tensor | None = None) -> None:
        self.rows = rows
        self._slots = None if slots is None else plain(slots, torch.int64)
        self._length = len(rows if slots is None else slots)
        self.address = pointer(self._slots)
        self._asked: int | None = None
        self._listed: _native.Listed | None = None

    def __len__(self) -> int:
        return self._length

    def listed(self) -> _native.Listed | None:
        """The rows in the form that is read fastest and takes longest to make: from the second time that
        they are asked for, none of their store having been written over in between.
        """
        if self._asked != self.rows.overwritten:
            self._asked, self._listed = self.rows.overwritten, None
        elif self._listed is None:
            self._listed = _native.Listed(self.rows, self.address, len(self))
        return self._listed


class TestSet:
    """A task's test examples: sparse images, which tasks share, and the task's pixel map."""

    def __init__(self, images: Batch, pixel_map: torch.Tensor | None) -> None:
        self.images, self.pixel_map = images, pixel_map


_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def sparse_images(images: torch.Tensor) -> Batch:
    """Images (N, P), grey levels divided by 255, as sparse rows: one copy serves all tasks and engines."""
    if images not in _kept:
        rows = SparseRows(images.shape[1])
        for some in images.split(1000):
            rows.extend(some / 255 if images.dtype == torch.uint8 else some)
        _kept[images] = rows.all()
    return _kept[images]


def plain(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A tensor as the kernels read it: of this type, contiguous, on the CPU."""
    # Asking first costs a tenth of conversions that convert nothing, and most calls are for one example.
    if tensor.dtype is dtype and tensor.is_cpu and tensor.is_contiguous():
        return tensor
    return tensor.detach().to("cpu", dtype).contiguous()


def pointer(tensor: torch.Tensor | None) -> int:
    """Where a tensor's values begin; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()
