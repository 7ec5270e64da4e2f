"""The process that takes the fuzz tests' cases: what kills it or hangs it fails a case, not the tests."""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from tqdm import tqdm

import main
from data import mnist, tasks
from results import report
from results.rows import make_rows
from results.runs import read_folder
from results.table import as_csv, as_latex, as_markdown

MEMORY = 8 << 30
"""Bytes of address space: what asks for more meets the end of memory, on any machine."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended: its exit status, what it printed, and the traceback of what nobody caught."""

    status: int
    out: str
    err: str
    escaped: str


def run_main(argv: list[str]) -> int:
    """main.py with these arguments."""
    return main.run(argv)


def run_interrupted(argv: list[str], batches: int) -> int:
    """main.py with these arguments, told to stop after some batches."""
    stop = threading.Event()

    class Bar(tqdm):
        def update(self, n: float = 1) -> None:
            self.shown = getattr(self, "shown", 0) + 1
            if self.shown == batches:
                stop.set()

    return main.run(argv, main.Place(bar=Bar, stop=stop))


def run_report(argv: list[str]) -> int:
    """results/report.py with these arguments."""
    return report.main(argv)


def read_results(folder: str) -> int:
    """What results/report.py does before it draws; 0 where it would have something to draw."""
    rows, _ = make_rows(read_folder(Path(folder))[0])
    if not rows:
        return 2
    for as_text in (as_markdown, as_csv, as_latex):
        print(as_text(rows))
    return 0


def serve(cases: Connection, said: str) -> None:
    """Take cases, each a working folder, a function's name and its arguments; send back their outcomes.

    Args:
        said: a folder for files `out` and `err` that take what the process prints, the C libraries' too.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(os.path.join(said, name), os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    faulthandler.enable()
    # Every time, not once: a case must end the same way whenever it is tried.
    warnings.simplefilter("always")
    torch.set_warn_always(True)
    # The data sets that need no file, with so few images that a case takes milliseconds.
    tasks.small = lambda: mnist.read().first(6, 5)
    functions = {f.__name__: f for f in (run_main, run_interrupted, run_report, read_results)}
    while True:
        try:
            folder, function, *arguments = cases.recv()
        except EOFError:
            return
        for stream in (1, 2):
            os.ftruncate(stream, 0)
        os.chdir(folder)
        status, escaped = -1, ""
        try:
            status = functions[function](*arguments)
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else -1
        except BaseException:
            escaped = traceback.format_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        printed = [Path(said, name).read_text(errors="replace") for name in ("out", "err")]
        os.chdir("/")
        cases.send(Outcome(status, *printed, escaped))
