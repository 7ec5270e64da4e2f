"""What many tests share: the engines, the two small data sets as files, a run of main.py in this process."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import main
from data.tasks import BUILDERS
from data.write import GemFile
from model.engine import compiled

# Where the tests run behind a shell's &, Ctrl-C is ignored, and by whatever they start too: some send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["torch", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """What --engine is given: each engine in turn, where it is there."""
    if request.param == "native" and compiled.unavailable():
        pytest.skip(str(compiled.unavailable()))
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


@pytest.fixture
def plugin() -> Iterator[Callable[[str], str]]:
    """Put a learner's file into model/ for as long as a test lasts; its name."""
    put = []

    def place(source: str) -> str:
        # Suites that run at the same time in one checkout do not meet.
        path = Path(main.__file__).parent / "model" / f"zz_test_plugin_{os.getpid()}.py"
        assert not path.exists()
        put.append(path)
        path.write_text(source)
        return path.stem

    yield place
    for path in put:
        path.unlink()
        sys.modules.pop(f"model.{path.stem}", None)
