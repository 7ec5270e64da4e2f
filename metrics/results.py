"""The two files of a run, in GEM's format: a matrix to read (.txt) and everything to reload (.pt)."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from .files import write_together
from .matrix import Statistics


class ResultError(OSError):
    """Results cannot be written; the message is one line for the user."""


class ResultFiles:
    """A run's two files in a results folder: `<model>_<data file>_<time>_<uuid>`, ending in .txt and .pt."""

    def __init__(self, folder: str, model: str, data_file: str) -> None:
        """Choose the name and see to it that files can be written there, before hours are spent on a run.

        Raises:
            ResultError: the folder cannot be made or written to.
        """
        stamp = datetime.now().strftime("%Y_%m_%d_%H_%M_%S")
        name = f"{model}_{Path(data_file).name}_{stamp}_{uuid.uuid4().hex}"
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            # The name tried is as long as any that `write_together` will need.
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.pt.", suffix=".part"):
                pass
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            if getattr(error, "errno", None) == errno.ENAMETOOLONG:
                reason = f"{reason}: {name}"
            raise ResultError(f"--save_path {folder}: cannot write there: {reason}") from error
        self.stem = os.path.join(folder, name)

    def save(
        self,
        result_t: torch.Tensor,
        result_a: torch.Tensor,
        state_dict: Mapping[str, torch.Tensor],
        stats: Statistics,
        args: Mapping[str, Any],
    ) -> str:
        """Write both files, whole or not at all, and return the run's one-line summary.

        Args:
            result_t: (R,) and result_a: (R, T), the log, saved as float32.
            state_dict: the learner's; saved on the CPU and contiguous, whatever the engine's layout.
            stats: what `statistics` made of the log.
            args: the command line's options, plain values, in the parser's order.

        Raises:
            ResultError: the files cannot be written, the disk being full, say; the message holds the summary.
        """
        figures = stats.means()
        one_liner = f"{dict(args)} # {' '.join(f'{figure:.3f}' for figure in figures)}"
        weights = {key: _on_cpu(value) for key, value in state_dict.items()}
        entries = (result_t.float(), result_a.float(), weights, list(figures), one_liner, dict(args))
        # torch.save to a path reports a full disk as a RuntimeError that says nothing of it.
        whole = io.BytesIO()
        torch.save(entries, whole)
        # The .pt comes last: where it is, the run is complete.
        files = {".txt": as_text(stats).encode(), ".pt": whole.getvalue()}
        try:
            write_together({Path(self.stem + kind): content for kind, content in files.items()})
        except OSError as error:
            raise ResultError(f"{self.stem}: cannot write there: {error.strerror}; {one_liner}") from error
        return one_liner


def as_text(stats: Statistics) -> str:
    """The .txt file: baseline, a bar, the accuracy matrix, and the three figures."""
    final, backward, forward = stats.means()
    rows = [_row(stats.baseline), "|", *map(_row, stats.matrix), ""]
    rows += [f"Final Accuracy: {final:.4f}", f"Backward: {backward:.4f}", f"Forward:  {forward:.4f}"]
    return "\n".join(rows) + "\n"


def _row(values: torch.Tensor) -> str:
    return " ".join(f"{value:.4f}" for value in values.tolist())


def _on_cpu(value: Any) -> Any:
    """A tensor as it is saved; what else a module may have in its state stays as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)
