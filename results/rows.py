"""Runs that differ in nothing but their seed, as one row of the table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

import numpy as np
import torch

from model.options import build_parser

from .runs import DATA_SETS, Run

MODELS = (
    "online",
    "independent",
    "taskinput",
    "ewc",
    "gem",
    "eralg4",
    "eralg5",
    "meralg1",
    "meralg6",
    "meralg7",
)
"""In the order of the paper's experiments."""


@dataclass(frozen=True)
class Score:
    """A figure in per cent over seeds; `std` is the sample standard deviation, None for a single seed."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Row:
    """The runs of one experiment, one for each seed, ordered by it.

    Attributes:
        options: what sets it apart from other rows of its data set, model and memory, such as `lr 0.1`.
    """

    data_set: str
    model: str
    memory: int | None
    options: str
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """Model and memory size."""
        return self.model if self.memory is None else f"{self.model} {self.memory}"

    @property
    def label(self) -> str:
        """The title, and the options that set the row apart."""
        return f"{self.title}, {self.options}" if self.options else self.title

    @cached_property
    def scores(self) -> dict[str, Score]:
        """The paper's RA, LA and BTI, and FT, GEM's forward transfer."""
        stats = [run.statistics for run in self.runs]
        return {
            "RA": score([s.final for s in stats]),
            "LA": score([s.learning for s in stats]),
            "BTI": score([s.backward for s in stats]),
            "FT": score([s.forward for s in stats]),
        }

    @cached_property
    def matrix(self) -> np.ndarray:
        """(T, T): the mean accuracy matrix."""
        return np.mean([run.statistics.matrix.numpy() for run in self.runs], axis=0)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Examples seen, mean and standard deviation in per cent, each (P,), of curve `first` or `seen`."""
        x = self.runs[0].examples
        # Runs may have been logged at different intervals.
        y = np.array([100 * np.interp(x, run.examples, getattr(run, name)) for run in self.runs])
        return x, y.mean(axis=0), y.std(axis=0, ddof=1) if len(y) > 1 else np.zeros_like(x, dtype=float)


def score(per_run: Iterable[torch.Tensor]) -> Score:
    """Over runs, of the mean over tasks; of each run, accuracies (T,)."""
    means = [100 * values.double().mean().item() for values in per_run]
    return Score(fmean(means), stdev(means) if len(means) > 1 else None)


def make_rows(runs: Iterable[Run]) -> tuple[list[Row], list[str]]:
    """All runs as rows in the table's order, and a note for each seed that was run more than once and each
    row whose runs are not all of the same code and data.
    """
    experiments: dict[tuple, dict[tuple, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in sized(list(runs)):
        experiments[run.data_set, run.model, run.memory][tuple(sorted(run.options.items()))].append(run)
    rows, notes = [], []
    for (data_set, model, memory), variants in experiments.items():
        differing = set.union(*map(set, variants)) - set.intersection(*map(set, variants))
        names = sorted({name for name, _ in differing})
        for variant in sorted(variants, key=lambda v: [natural(dict(v).get(name, "")) for name in names]):
            options = ", ".join(f"{name} {dict(variant).get(name, 'unknown')}" for name in names)
            by_seed = defaultdict(list)
            for run in variants[variant]:
                by_seed[run.seed].append(run)
            latest = tuple(
                max(by_seed[seed], key=lambda run: run.stamp) for seed in sorted(by_seed, key=natural)
            )
            row = Row(data_set, model, memory, options, latest)
            rows.append(row)
            for what in ("code", "data"):
                versions = len({getattr(run, what) for run in latest})
                if versions > 1:
                    which = f"{versions} versions of the {what}"
                    notes.append(f"{data_set}, {row.label}: its {len(latest)} runs are of {which}")
            notes += [
                f"{data_set}, {row.label}: seed {seed} was run {len(same)} times; the latest is counted"
                for seed, same in by_seed.items()
                if len(same) > 1
            ]
    return sorted(rows, key=place), notes


def sized(runs: Sequence[Run]) -> list[Run]:
    """The runs, `memories` being the memory of a learner of the user's own that was ever given another number
    than the default: of what it reads its files say nothing.
    """
    usual = str(build_parser().get_default("memories"))
    given = {run.model for run in runs if run.options.get("memories", usual) != usual} - set(MODELS)
    return [replace(run, memory=size(run)) if run.model in given else run for run in runs]


def size(run: Run) -> int | None:
    """The number of `memories` that a run was given, if it is one."""
    try:
        return int(run.options["memories"])
    except (KeyError, ValueError):
        return None


def place(row: Row) -> tuple:
    """Sorts rows as in the paper, what it does not have behind that."""
    known = [*DATA_SETS.values()]
    rank = known.index(row.data_set) if row.data_set in known else len(known)
    return rank, row.data_set, *place_of_model(row.model, row.memory)


def place_of_model(model: str, memory: int | None) -> tuple:
    """Sorts the rows of one data set: models as in the paper, then others by name, larger memories first."""
    return MODELS.index(model) if model in MODELS else len(MODELS), model, -(memory or 0)


def by_data_set(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows under their data set's name, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.data_set, []).append(row)
    return groups


def best(rows: Iterable[Row]) -> list[Row]:
    """Of rows that differ only in their options, as in a grid, the one that retains most."""
    choice: dict[tuple, Row] = {}
    for row in rows:
        key = (row.data_set, row.model, row.memory)
        if key not in choice or row.scores["RA"].mean > choice[key].scores["RA"].mean:
            choice[key] = row
    return list(choice.values())


def natural(text: str) -> tuple[bool, float, str]:
    """Sorts numbers by value, and before other text."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return (True, 0.0, text) if math.isnan(value) else (False, value, text)
