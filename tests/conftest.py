"""What many tests share: the engines, the two small data sets as files, a run of main.py in this process."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import main
from data.tasks import BUILDERS
from data.write import GemFile
from model.engine import native

# Where the tests run behind a shell's &, Ctrl-C is ignored, and by whatever they start too: some send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["torch", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """What --engine is given: each engine in turn, where it is there."""
    if request.param == "native" and native.unavailable():
        pytest.skip(str(native.unavailable()))
    return request.param


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small_permutations.pt and small_rotations.pt in GEM's format."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("small_permutations.pt", "small_rotations.pt"):
        GemFile(BUILDERS[name]()).write(folder / name)
    return folder


@pytest.fixture
def run_main(small_data: Path, tmp_path: Path) -> Callable[..., tuple]:
    """Run main.py's main on the small data with some more options; the six entries of its .pt file."""

    def run(*options: str) -> tuple:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        main.main(["--data_path", str(small_data), "--save_path", str(folder), *options])
        (path,) = folder.glob("*.pt")
        return torch.load(path)

    return run
