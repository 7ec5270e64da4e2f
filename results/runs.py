"""The runs of a results folder, read from their .pt files."""

from __future__ import annotations

import argparse
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metrics import Statistics, statistics
from metrics.files import opened
from model.options import OURS, printable

from .curves import examples_seen, tasks_seen, thinned

DATA_SETS = {
    "mnist_rotations.pt": "Rotations",
    "mnist_permutations.pt": "Permutations",
    "mnist_manypermutations.pt": "Many Permutations",
}
"""The paper's data sets under the paper's names, in the paper's order."""
PAPER_SIZES = (5120, 500, 200)
# These say where, how and by whom a run was computed and how often looked at; the learner is the same.
NOT_OPTIONS = frozenset(
    ("model", "data_file", "seed", "save_path", "data_path", "log_every", "cuda", "engine", "threads")
    + ("checkpoint_every", "resume", *OURS)
)
# What an option was before it existed.
IMPLIED = {"replay_draws": "shuffle"}
FILE_NAME = re.compile(r"(.+)_(\d{4}(?:_\d\d){5}_[0-9a-f]{32})")


@dataclass(frozen=True)
class Run:
    """One run; accuracies are between 0 and 1.

    Attributes:
        stamp: when it was saved, and its uuid, as in its file name: the later run's is the greater.
        model, data_set: names.
        memory: examples that the learner may keep; None where it has no memory, or none that we know of.
        seed, options: what determined the result, as text.
        code, data: the versions of the learner's code and of the data; None where the file does not say.
        statistics: its accuracy matrix.
        examples, first, seen: (P,), its curves: examples seen, the accuracy on the first task presented, and
            the mean accuracy on the tasks seen so far.
    """

    stamp: str
    model: str
    data_set: str
    memory: int | None
    seed: str
    options: Mapping[str, str]
    code: str | None
    data: str | None
    statistics: Statistics
    examples: np.ndarray
    first: np.ndarray
    seen: np.ndarray


class NotAResult(ValueError):
    """A file is no run's result; the message says why."""


def read_folder(folder: Path) -> tuple[list[Run], list[tuple[str, str]]]:
    """A folder's runs, and what was skipped as (file name, reason); both in the order of the file names.

    Raises:
        OSError: the folder cannot be listed.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".pt", ".txt") and not p.name.startswith("."))
    complete = {path.stem for path in paths if path.suffix == ".pt"}
    runs, skipped = [], []
    for path in paths:
        try:
            named = FILE_NAME.fullmatch(path.stem)
            if named is None:
                raise NotAResult("not named as main.py names results")
            if path.suffix == ".pt":
                runs.append(read(path, *named.groups()))
            elif path.stem not in complete:
                raise NotAResult("incomplete: there is no .pt beside it")
        except NotAResult as error:
            skipped.append((printable(path.name), str(error)))
    return runs, skipped


def read(path: Path, head: str, stamp: str) -> Run:
    """One run from its .pt file, whose name is `<head>_<stamp>.pt`; the learner's weights are not read.

    Raises:
        NotAResult: the file is truncated, corrupt or foreign.
    """
    entries = load(path)
    try:
        result_t, result_a, *_, args = entries
        for log in (result_t, result_a):
            # An expanded tensor may show terabytes.
            if log.is_complex() or log.nbytes > log.untyped_storage().nbytes():
                raise ValueError("not a run's log")
        args = vars(args) if isinstance(args, argparse.Namespace) else dict(args)
        # Copies: the tensors are views of the file, and would hold it open.
        return as_run(head, stamp, result_t.clone(), result_a.float().clone(), args)
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
        raise NotAResult("not the entries of a whole run") from error


def load(path: Path) -> Any:
    """What a .pt file holds, tensors mapped rather than read where the format allows it."""
    try:
        # The published code saves its options as a Namespace.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return opened(path, mmap=zipfile.is_zipfile(path))
    except PermissionError as error:
        raise NotAResult("no permission to read it") from error
    except Exception as error:
        # Bytes that are no pickle can make an unpickler raise anything, and it is always the file's fault.
        raise NotAResult("truncated, corrupt or not saved by PyTorch") from error


def as_run(
    head: str, stamp: str, result_t: torch.Tensor, result_a: torch.Tensor, args: Mapping[str, Any]
) -> Run:
    """A run from its log, result_t (R,) and result_a (R, T), and its options, of which any may be missing."""
    if result_a.dim() != 2 or not ((result_a >= 0) & (result_a <= 1)).all():
        raise ValueError("accuracies must be between 0 and 1")
    stats = statistics(result_t, result_a)
    model = as_text(args.get("model", head.partition("_")[0]))
    data_file = Path(as_text(args.get("data_file", head.removeprefix(model + "_")))).name
    n_tasks = len(stats.order)
    options = {
        printable(name): as_text(value)
        for name, value in {**IMPLIED, **args}.items()
        if name not in NOT_OPTIONS
    }
    rows_per_task = torch.unique_consecutive(result_t[1:], return_counts=True)[1].numpy()
    order, log = stats.order.numpy(), result_a.numpy()
    points = thinned(len(log))
    return Run(
        stamp=stamp,
        model=model,
        data_set=DATA_SETS.get(data_file, data_file),
        memory=memory(model, args, n_tasks),
        seed=as_text(args.get("seed", stamp)),
        options={**options, "tasks": str(n_tasks)},
        code=as_text(args["code"]) if "code" in args else None,
        data=as_text(args["data"]) if "data" in args else None,
        statistics=stats,
        examples=examples_seen(rows_per_task, args)[points],
        first=log[points, order[0]],
        seen=tasks_seen(log, order, rows_per_task)[points],
    )


def memory(model: str, args: Mapping[str, Any], n_tasks: int) -> int | None:
    """Examples that a learner may keep: the reservoir's, or what GEM keeps of each task times the tasks.

    GEM's is called by the paper's size that it is near to: 51 of each of 100 tasks are 5120.
    """
    if model.startswith(("er", "mer")) and "memories" in args:
        return int(args["memories"])
    if model == "gem" and "n_memories" in args:
        size = int(args["n_memories"]) * n_tasks
        return next((paper for paper in PAPER_SIZES if abs(size - paper) <= 0.02 * paper), size)
    return None


def as_text(value: Any) -> str:
    """An option's value on one line, the same for 1 and 1.0.

    Raises:
        TypeError: no value of a command line; a small file can hold one whose text would fill the memory.
    """
    if not isinstance(value, bool | int | float | str | None):
        raise TypeError(f"an option that is a {type(value).__name__}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return printable(str(value))
