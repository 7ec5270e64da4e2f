"""The runs of a sweep, read from command lines and checked before any of them starts."""

from __future__ import annotations

import contextlib
import io
import itertools
import shlex
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import data
from metrics.identity import ROOT, identity
from model.options import parse

from . import SweepError


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        argv: what follows main.py on its command line.
        args: the same, parsed.
        identity: `metrics.identity` of its result.
    """

    argv: tuple[str, ...]
    args: Namespace
    identity: str

    def __str__(self) -> str:
        return f"python3 main.py {shlex.join(self.argv)}"

    @property
    def name(self) -> str:
        """A few words for a display."""
        return f"{self.args.model} {Path(self.args.data_file).stem} seed {self.args.seed}"

    @property
    def data_path(self) -> str:
        """Where its data are: seen from the checkout, wherever a worker has that, if they lie within."""
        path = Path(self.args.data_path).resolve()
        return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def read(lines: Iterable[str], grid: Sequence[str] = ()) -> list[Run]:
    """The runs that command lines ask for, each once, in their order.

    Args:
        lines: `[python3] main.py --model ...` or just `--model ...`; empty ones and `# comments` are skipped.
        grid: `name=value,value,...`: every line is run with every combination of these values.

    Raises:
        SweepError: a line or a grid that makes no sense, or data that cannot be used.
    """
    points = list(itertools.product(*_axes(grid)))
    fingerprints: dict[tuple[str, str], str] = {}
    runs: dict[tuple[str, str], Run] = {}
    for number, line in enumerate(lines, 1):
        for point in points if line.split("#")[0].strip() else ():
            try:
                argv = _options(line)
                for name, value in point:
                    argv = [*_without(argv, name), name, value]
                args = _parsed(argv)
                place = (args.data_path, args.data_file)
                if place not in fingerprints:
                    fingerprints[place] = data.load(*place).fingerprint
                run = Run(tuple(argv), args, identity(args, fingerprints[place]))
            except (ValueError, data.DataError, SyntaxError) as error:
                raise SweepError(f"line {number}: {error}") from error
            runs.setdefault((str(Path(args.save_path).resolve()), run.identity), run)
    return list(runs.values())


def given(argv: Sequence[str], name: str) -> bool:
    """Whether a command line sets the option of that name, dashes included."""
    return any(token.split("=")[0] == name for token in argv)


def _axes(grid: Sequence[str]) -> list[list[tuple[str, str]]]:
    axes: dict[str, list[tuple[str, str]]] = {}
    for setting in grid:
        name, _, values = setting.partition("=")
        if not name.isidentifier() or not all(values.split(",")):
            raise SweepError(f"--grid {setting}: give name=value,value,...")
        if name in axes:
            raise SweepError(f"--grid {setting}: {name} is there twice; give {name}=value,value,...")
        axes[name] = [(f"--{name}", value) for value in values.split(",")]
    return list(axes.values())


def _options(line: str) -> list[str]:
    """What a line gives main.py; ValueError if it is no command line of main.py's."""
    try:
        tokens = _words(line)
    except ValueError as error:
        raise ValueError(f"{error}: {line.strip()}") from error
    script = next((i for i, token in enumerate(tokens) if Path(token).name == "main.py"), None)
    if script is None and not tokens[0].startswith("--"):
        raise ValueError(f"not a command line of main.py: {line.strip()}")
    for token in tokens[: script or 0]:
        if "=" in token:
            raise ValueError(f"{token} would not reach the workers: set it where they are started")
    return tokens if script is None else tokens[script + 1 :]


def _words(line: str) -> list[str]:
    """The words before a comment; shlex's own comments would begin within a word too."""
    text = io.StringIO(line)
    reader = shlex.shlex(text, posix=True)
    reader.whitespace_split, reader.commenters = True, ""
    words: list[str] = []
    while not line[text.tell() :].lstrip(reader.whitespace).startswith("#"):
        word = reader.get_token()
        if word is None:
            break
        words.append(word)
    return words


def _without(argv: Sequence[str], name: str) -> list[str]:
    return list(_drop(iter(argv), name))


def _drop(tokens: Iterator[str], name: str) -> Iterator[str]:
    for token in tokens:
        if token == name:
            next(tokens, None)
        elif token.split("=")[0] != name:
            yield token


def _parsed(argv: Sequence[str]) -> Namespace:
    """The options; what main.py would say of them, as a ValueError."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parse(argv)
    except SystemExit as error:
        raise ValueError(
            (said.getvalue().strip().splitlines() or [f"exit status {error.code}"])[0]
        ) from error
