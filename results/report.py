"""Tables, figures and a page of the runs in a results folder.

python results/report.py [folder] [--out DIR]
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # PyTorch takes a second to import, and Ctrl-C in it may even abort the process: it waits for `main`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

# The folder above, whose packages this file uses, is on the path only if Python was started for it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from metrics.files import appearing, remove
from model.options import OneLineParser, tell
from results import table
from results.rows import Row, by_data_set, make_rows
from results.runs import read_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PIXELS = 40_000
"""The longest side of a picture; image libraries end at 65,536."""
FILE = re.compile(r"(?:bars|curves|matrices)_[\w.-]+\.(?:png|pdf)")
"""How a figure's file is named."""


class ReportError(Exception):
    """There can be no report; the message is one line for the user."""


def main(argv: list[str]) -> int:
    """The report, from the command line to its files; the exit status."""
    parser = OneLineParser(prog="report.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", default="results/", help="where main.py left its results (%(default)s)"
    )
    parser.add_argument(
        "--out", default="results/report/", metavar="DIR", help="where the report goes (%(default)s)"
    )
    args = parser.parse_args(argv)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        tell(report(Path(args.folder), Path(args.out)).rstrip("\n"))
    except ReportError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("report.py: interrupted; what it has written is whole", file=sys.stderr)
        return 130
    return 0


def report(folder: Path, out: Path) -> str:
    """Write the report on a folder's runs and return its table, as Markdown.

    Raises:
        ReportError: the folder holds no runs or cannot be read, or nothing can be written to `out`.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ReportError("it needs matplotlib: pip install -r requirements-report.txt")
    # A run's log is small: more threads only wait for each other.
    torch.set_num_threads(1)
    try:
        runs, skipped = read_folder(folder)
    except OSError as error:
        raise ReportError(f"{folder}: cannot be read: {error.strerror or error}") from error
    rows, notes = make_rows(runs)
    notes = [f"{name}: {reason}; skipped" for name, reason in skipped] + notes
    for note in notes:
        print(f"report.py: {note}", file=sys.stderr)
    if not rows:
        raise ReportError(
            f"{folder}: there is no whole run in it; main.py writes one there with --save_path {folder}"
        )
    tables = {
        "table.md": table.as_markdown(rows),
        "table.csv": table.as_csv(rows),
        "table.tex": table.as_latex(rows),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        for name, text in tables.items():
            write(out / name, text)
        write(out / "report.html", draw(by_data_set(rows), notes, out))
    except OSError as error:
        raise ReportError(f"{out}: cannot write there: {error.strerror or error}") from error
    return tables["table.md"]


def draw(sections: Mapping[str, Sequence[Row]], notes: Iterable[str], out: Path) -> str:
    """Write the figures of each data set, in place of an earlier report's, and return the page with them."""
    # Matplotlib is asked for by a clear line, not missed by an import.
    from results import figures, page, style

    style.settle()
    styles = style.styles(row.model for rows in sections.values() for row in rows)
    shown, files = {}, set()
    for name, rows in sections.items():
        place = re.sub(r"[^\w.-]", "_", name.lower().removesuffix(".pt"))[:100]
        shown[name] = {"bars": figures.bars(rows, styles), "curves": figures.curves(rows, styles)}
        for kind, figure in shown[name].items():
            files |= save(figure, style.extent(figure), out / f"{kind}_{place}")
        for first in range(0, len(rows), figures.MATRICES):
            part = f"_{first // figures.MATRICES + 1}" if len(rows) > figures.MATRICES else ""
            figure = figures.matrices(rows[first : first + figures.MATRICES])
            files |= save(figure, style.extent(figure), out / f"matrices_{place}{part}")
    for name in named_in(out / "report.html") - files:
        remove(out / name)
    return page.as_page(sections, shown, styles, notes, files)


def named_in(page: Path) -> set[str]:
    """The figures' files that a report's page says are its own; none where there is no page."""
    text = page.read_text("utf-8", "replace") if page.exists() else ""
    named = re.search(r'<meta name="figures" content="([^"]*)">', text)
    return set(FILE.findall(named[1])) if named else set()


def save(figure: Figure, extent: Bbox, path: Path) -> set[str]:
    """A figure, or as much of it as `extent` says, as PNG and PDF, without the time of day; their names."""
    dpi = min(150, PIXELS / max(extent.size))
    for kind, metadata in (("png", None), ("pdf", {"CreationDate": None})):
        with appearing(f"{path}.{kind}") as part:
            figure.savefig(part, format=kind, dpi=dpi, bbox_inches=extent, metadata=metadata)
    return {f"{path.name}.png", f"{path.name}.pdf"}


def write(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with appearing(path) as part:
        part.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
