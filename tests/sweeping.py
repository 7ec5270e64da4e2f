"""A data set of a few numbers and the command lines that use it, for the tests of sweep.py."""

from __future__ import annotations

from pathlib import Path

import torch

DATA_FILE = "tiny.pt"


def write_data(folder: Path, seed: int = 0) -> None:
    """Three tasks in GEM's format: 200 training and 20 test examples of 12 pixels, 3 classes."""
    generator = torch.Generator().manual_seed(seed)

    def tasks(n: int) -> list[list[object]]:
        return [
            [t, torch.rand(n, 12, generator=generator), torch.randint(3, (n,), generator=generator)]
            for t in range(3)
        ]

    torch.save([tasks(200), tasks(20)], folder / DATA_FILE)


def command(folder: Path, options: str = "") -> str:
    """A run on that data with results in folder/results; later options win, and n_hiddens keeps it quick."""
    places = f"--data_path {folder} --data_file {DATA_FILE} --save_path {folder / 'results'}"
    return f"python3 main.py --model online --n_hiddens 8 {places} {options}"


def lasting(options: str = "", examples: int = 20) -> str:
    """Options of a run that takes seconds with any engine: it evaluates after every example."""
    return f"--engine torch --log_every 1 --n_epochs 2 --checkpoint_every {examples} {options}"


def results(folder: Path) -> list[dict[str, object]]:
    """The arguments saved in each result; every one must be whole, with its .txt beside it."""
    found = []
    for file in sorted((folder / "results").glob("*.pt")):
        assert "Final Accuracy" in file.with_suffix(".txt").read_text()
        found.append(torch.load(file, weights_only=True)[5])
    assert len(list((folder / "results").glob("*.txt"))) == len(found)
    return found


def seeds(folder: Path) -> list[object]:
    """The seeds of the results there, sorted: each run done once has its seed there once."""
    return sorted(args["seed"] for args in results(folder))
