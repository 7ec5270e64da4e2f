"""A file from which an interrupted run goes on, bit for bit."""

from __future__ import annotations

import hashlib
import io
import random
import time
from pathlib import Path
from typing import Any

import numpy
import torch

from .files import appearing, opened, remove

SECONDS = 300.0
"""Wall time between two checkpoints where no number of examples is given."""
NOT_WHOLE = "not a whole checkpoint; delete it to start again"


class CheckpointError(Exception):
    """A checkpoint cannot be used or written; the message is one line for the user."""


class Checkpoint:
    """The one checkpoint file of a run, `<model>_<data file>_<run>.checkpoint` in its results folder.

    Attributes:
        path: the file, which is there only while its run is unfinished.
        every: a number of examples between two checkpoints, 0 for none, None for one every 5 minutes.
    """

    def __init__(self, folder: str, model: str, data_file: str, run: str, every: int | None) -> None:
        """`run` identifies what determines the result."""
        self.path = Path(folder) / f"{model}_{Path(data_file).name}_{run}.checkpoint"
        self.every, self._run = every, run
        self._last_time, self._last_seen = time.monotonic(), 0

    def load(self) -> dict[str, Any] | None:
        """What the last `save` was given, the generators set back to then; None where there is no file.

        Raises:
            CheckpointError: the file is damaged, foreign, or of a run with other arguments, data or code.
        """
        if not self.path.exists():
            return None
        try:
            saved = dict(opened(self.path))
            run, content = saved["run"], saved["content"].numpy().tobytes()
            ours = type(run) is str and run == self._run
            if ours:
                if hashlib.sha256(content).hexdigest() != saved["sha256"]:
                    raise ValueError(NOT_WHOLE)
                state, drawing, seen = torch.load(io.BytesIO(content), weights_only=True)
        except Exception as error:  # A damaged or hostile file makes the unpickler raise nearly anything.
            reason = f"cannot be read: {error.strerror}" if isinstance(error, PermissionError) else NOT_WHOLE
            raise CheckpointError(f"{self.path}: {reason}") from error
        if not ours:
            raise CheckpointError(f"{self.path}: of a run with other arguments, data or code; move it away")
        set_generators(drawing)
        self._last_seen = seen
        return state

    def due(self, seen: int, stopping: bool = False) -> bool:
        """Whether a checkpoint is due after `seen` examples; one is, if any, where it is `stopping`."""
        if self.every == 0 or stopping:
            return self.every != 0
        if self.every is None:
            return time.monotonic() - self._last_time >= SECONDS
        return seen - self._last_seen >= self.every

    def save(self, state: dict[str, Any], seen: int) -> None:
        """Replace the file by one with this state after `seen` examples, and the generators as they are.

        Raises:
            CheckpointError: it cannot be written.
        """
        content = io.BytesIO()
        torch.save((state, generators(), seen), content)
        # PyTorch compares no checksums: one wrong bit would be a wrong result.
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        packed = torch.frombuffer(content.getbuffer(), dtype=torch.uint8)
        saved = {"run": self._run, "sha256": digest, "content": packed}
        try:
            with appearing(self.path) as path:
                torch.save(saved, path)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot write it: {error.strerror or error}") from error
        except RuntimeError as error:  # So PyTorch reports a full disk, without a word of it.
            raise CheckpointError(f"{self.path}: cannot write it, the disk may be full: {error}") from error
        self._last_time, self._last_seen = time.monotonic(), seen

    def remove(self) -> None:
        """Remove the file of a finished run."""
        remove(self.path)


def generators() -> dict[str, Any]:
    """The states of the generators that a run draws from."""
    name, keys, *rest = numpy.random.get_state(legacy=True)
    state = {
        "torch": torch.get_rng_state(),
        "numpy": (name, torch.from_numpy(numpy.asarray(keys, numpy.int64)), *rest),
        "python": random.getstate(),
    }
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_generators(state: dict[str, Any]) -> None:
    """Set them back to where `generators` found them."""
    torch.set_rng_state(state["torch"])
    name, keys, *rest = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype(numpy.uint32), *rest))
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
