"""Result files as main.py writes them, of runs that nobody ran."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import torch

from metrics.matrix import statistics
from metrics.results import as_text

# Accuracy when a task was just learned, and what is lost of it in the long run.
CHARACTERS = {
    "online": (0.83, 0.35),
    "independent": (0.62, 0.0),
    "taskinput": (0.75, 0.15),
    "ewc": (0.82, 0.3),
    "gem": (0.86, 0.08),
    "eralg4": (0.85, 0.12),
    "eralg5": (0.86, 0.06),
    "meralg1": (0.88, 0.03),
    "meralg6": (0.875, 0.035),
    "meralg7": (0.87, 0.04),
}


def logged(samples: int, n_tasks: int, args: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples seen and the task seen before each row that main.py logs."""
    per_task = -(-samples * args["n_epochs"] // args["batch_size"])
    rows, tasks, current = [], [], 0
    for i in range(per_task * n_tasks):
        if i % args["log_every"] == 0 or i // per_task != current:
            rows.append(i)
            tasks.append(current)
            current = i // per_task
    ends = [min(i % per_task * args["batch_size"], samples * args["n_epochs"]) for i in rows]
    seen = [i // per_task * samples * args["n_epochs"] + end for i, end in zip(rows, ends, strict=True)]
    total = samples * args["n_epochs"] * n_tasks
    return torch.tensor([*seen, total]), torch.tensor([*tasks, current])


def log(model: str, samples: int, n_tasks: int, args: dict, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """result_t (R,) and result_a (R, T) of a learner with a model's character."""
    learned, lost = CHARACTERS.get(model, (0.8, 0.2))
    if args["memories"] < 5000 and model[:2] in ("er", "me"):
        lost += 40 / args["memories"] ** 0.9
    noise = torch.Generator().manual_seed(seed + 100 * sum(map(ord, model)) + n_tasks + args["memories"])
    learned, lost = (torch.tensor([learned, lost]) + 0.01 * torch.randn(2, generator=noise)).tolist()
    seen, tasks = logged(samples, n_tasks, args)
    progress = seen[:, None] / (samples * args["n_epochs"]) - torch.arange(n_tasks)
    rise = 0.1 + (learned - 0.1) * (1 - torch.exp(-6 * progress.clamp(0, 1)))
    fall = lost * (1 - torch.exp(-(progress - 1).clamp(min=0) / 6))
    accuracy = rise - fall + 0.01 * torch.randn(rise.shape, generator=noise)
    return tasks, accuracy.clamp(0, 1)


def options(model: str, data_file: str, **changes: object) -> dict:
    """The options that main.py saves, in its order."""
    return {
        "model": model,
        "n_hiddens": 100,
        "n_layers": 2,
        "finetune": True,
        "n_epochs": 1,
        "batch_size": 1,
        "lr": 0.03,
        "n_memories": 0,
        "memory_strength": 0,
        "memories": 5120,
        "gamma": 1.0,
        "batches_per_example": 1,
        "s": 1,
        "replay_batch_size": 20.0,
        "beta": 1.0,
        "cuda": False,
        "seed": 0,
        "log_every": 100,
        "save_path": "results/",
        "data_path": "data/",
        "data_file": data_file,
        "samples_per_task": 1000,
        "shuffle_tasks": "no",
        "engine": "auto",
        "replay_draws": "shuffle",
        "threads": 0,
    } | changes


def write_run(
    folder: Path,
    model: str,
    data_file: str = "mnist_rotations.pt",
    n_tasks: int = 20,
    stamp: str = "2024_01_02_03_04_05",
    **changes: object,
) -> Path:
    """One run's two files, some of its options changed; the path of its .pt."""
    args = options(model, data_file, **changes)
    result_t, result_a = log(model, args["samples_per_task"], n_tasks, args, args["seed"])
    stats = statistics(result_t, result_a)
    stem = folder / f"{model}_{data_file}_{stamp}_{uuid.uuid4().hex}"
    stem.with_name(stem.name + ".txt").write_text(as_text(stats))
    path = stem.with_name(stem.name + ".pt")
    weights = {"net.net.0.weight": torch.zeros(10, 784)}
    torch.save((result_t.float(), result_a.float(), weights, list(stats.means()), f"{args} # ", args), path)
    return path


def write_paper(folder: Path, seeds: int) -> None:
    """The runs of the paper's three tables, 60 for each seed."""
    for data_file, n_tasks, samples in (
        ("mnist_rotations.pt", 20, 1000),
        ("mnist_permutations.pt", 20, 1000),
        ("mnist_manypermutations.pt", 100, 200),
    ):
        sizes = (5120, 500) if n_tasks == 100 else (5120, 500, 200)
        changes: list[tuple[str, dict[str, Any]]]
        changes = [("gem", {"n_memories": size // n_tasks}) for size in sizes]
        changes += [(model, {"memories": size}) for model in list(CHARACTERS)[5:] for size in sizes]
        changes += [(model, {}) for model in list(CHARACTERS)[:4]]
        for model, change in changes:
            for seed in range(seeds):
                write_run(folder, model, data_file, n_tasks, seed=seed, samples_per_task=samples, **change)
