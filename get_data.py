"""Puts the paper's data sets into data/: its own files from the web, or the same tasks made of MNIST.

main.py needs neither: it builds these data sets in memory where their files are not there. The files are for
running on the very images of the paper, and for other programs that read GEM's format.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # PyTorch takes a second to import, and Ctrl-C in it may even abort the process: it waits for `main`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data import DataError
from data.archive import fetch
from data.place import appearing, check_room, only_one, size_text
from data.tasks import BUILDERS, PAPERS
from data.write import GemFile
from model.options import OneLineParser

PAPER = "https://nlp.stanford.edu/data/mer"
NAMES = {name.removeprefix("mnist_").removesuffix(".pt"): name for name in PAPERS}


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = OneLineParser(
        prog="get_data.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_set", choices=[*NAMES, "all"], help="which data set")
    parser.add_argument(
        "--source",
        choices=["paper", "build"],
        help="paper: fetch the paper's archive; build: make the data set of MNIST; "
        "left out: fetch it, and build it where it cannot be had",
    )
    parser.add_argument(
        "--url", default=PAPER, help="folder on the web that holds the archives (default: %(default)s)"
    )
    parser.add_argument(
        "--data_path", default="data/", type=Path, help="where the files go (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    args = parser.parse_args(argv)
    if not args.url.startswith(("http://", "https://")):
        parser.error(f"--url {args.url}: must begin with http:// or https://")
    return args


def provide(path: Path, source: str | None, url: str, force: bool) -> None:
    """Make sure that the data set named by `path` is there, whole.

    Raises:
        DataError, OSError: it could not be had from the source; what was at `path` before still is.
    """
    with only_one(path):
        if path.exists() and not force:
            print(f"{path} is there already (--force replaces it)")
            return
        if source != "build":
            archive = f"{url.rstrip('/')}/{path.stem}.tar.gz"
            try:
                fetch(archive, path)
                print(f"{path}: the paper's, from {archive}")
                return
            except DataError as error:
                reason = f"{archive} cannot be had: {error}"
                if source == "paper":
                    raise DataError(reason) from error
                print(f"{reason}\nbuilding {path.name} from MNIST instead", file=sys.stderr)
        build(path)
        print(f"{path}: built from MNIST, {size_text(path.stat().st_size)}")


def build(path: Path) -> None:
    """Write the data set of that name in GEM's format, holding one task at a time in memory.

    Raises:
        DataError: there is not enough room.
        OSError: the disk is full or cannot be written to.
    """
    file = GemFile(BUILDERS[path.name]())
    check_room(path.parent, file.n_bytes, path.name)
    with appearing(path) as part, tqdm(total=file.n_bytes, unit="B", unit_scale=True, disable=None) as bar:
        file.write(part, bar.update)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    args = arguments(argv)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        args.data_path.mkdir(parents=True, exist_ok=True)
        for name in NAMES.values() if args.data_set == "all" else [NAMES[args.data_set]]:
            provide(args.data_path / name, args.source, args.url, args.force)
    except DataError as error:
        print(f"get_data.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"get_data.py: {error.filename or args.data_path}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "get_data.py: interrupted; an unfinished download goes on from there next time", file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
