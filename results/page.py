"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .rows import Row, best
from .style import FAINT, INK, Style, extent
from .table import cells, header

TITLE = "Meta-Experience Replay: results"
MEANING = (
    "RA, retained accuracy, is the mean accuracy on all tasks after the last one; LA, learning accuracy, the "
    "mean of each task's accuracy when training left it; BTI, backward transfer and interference, their "
    "difference: what later tasks changed. All in per cent, mean ± sample standard deviation over n seeds."
)
TITLES = {
    "bars": "Final accuracy, backward and forward transfer",
    "curves": "Accuracy along the stream, mean and standard deviation over seeds",
}
MATRICES = "A matrix's rows are the tasks learned, its columns the tasks tested, both in the order presented."
COLOURS = matplotlib.colormaps["viridis"]


def as_page(
    sections: Mapping[str, Sequence[Row]],
    figures: Mapping[str, Mapping[str, Figure]],
    styles: Mapping[str, Style],
    notes: Iterable[str],
    files: Iterable[str],
) -> str:
    """The page.

    Args:
        sections: the rows of each data set.
        figures: of each data set, `bars` and `curves`.
        styles: of all models in them.
        notes: what the reader must know of files left out.
        files: the names of the figures' files, which the next report may have to remove.
    """
    n_runs = sum(len(row.runs) for rows in sections.values() for row in rows)
    links = "".join(f'<a href="#{i}">{escape(name)}</a>' for i, name in enumerate(sections))
    body = [
        f"<h1>{TITLE}</h1>",
        f"<p>{n_runs} run{'s' * (n_runs != 1)}. {MEANING}</p>",
        f"<nav>{links}</nav>",
    ]
    for i, (name, rows) in enumerate(sections.items()):
        body += [f'<h2 id="{i}">{escape(name)}</h2>', as_table(rows, styles)]
        if len(best(rows)) < len(rows):
            body.append(
                "<p>The figures show, of rows that differ in their options, the one with the highest RA.</p>"
            )
        for kind, figure in figures[name].items():
            title = TITLES[kind]
            body += [f"<h3>{title}</h3>", f'<div class="wide">{as_svg(figure, title, styles)}</div>']
        body += ["<h3>Accuracy matrices</h3>", f"<p>{MATRICES} Means over seeds.</p>", scale()]
        body.append(tiles((row.matrix, row.label, f"RA {row.scores['RA'].mean:.1f}") for row in rows))
        each = [
            (run.statistics.matrix.numpy(), row.label, f"seed {run.seed}") for row in rows for run in row.runs
        ]
        body.append(f"<details><summary>Each of the {len(each)} runs</summary>{tiles(each)}</details>")
    if notes := [f"<li>{escape(note)}</li>" for note in notes]:
        body.append(f"<h2>Left out</h2><ul>{''.join(notes)}</ul>")
    css = Path(__file__).with_name("page.css").read_text("utf-8") + variables(styles)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="figures" content="{" ".join(sorted(files))}">\n'
        f"<title>{TITLE}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def as_table(rows: Sequence[Row], styles: Mapping[str, Style]) -> str:
    """The table of one data set."""
    titles = header(rows)
    text = [' class="text"' if title in ("model", "options") else "" for title in titles]
    lines = ["".join(f"<th{c}>{title}</th>" for c, title in zip(text, titles, strict=True))]
    previous = None
    for row in rows:
        first, *others = cells(row, titles)
        dot = f'<span class="dot" style="background:var({variable(styles[row.model])})"></span>'
        data = [f'<td class="text">{dot}{escape(first)}</td>']
        data += [f"<td{c}>{escape(cell)}</td>" for c, cell in zip(text[1:], others, strict=True)]
        lines.append((' class="first">' if row.model != previous else ">") + "".join(data))
        previous = row.model
    head, *rest = lines
    body = "\n".join(f"<tr{line}</tr>" for line in rest)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def as_svg(figure: Figure, title: str, styles: Mapping[str, Style]) -> str:
    """A figure as an SVG element whose colours follow the page's."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, bbox_inches=extent(figure), metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The groups' names would be there once for each figure, and nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for style in {INK, FAINT, *styles.values()}:
        svg = svg.replace(style.light, f"var({variable(style)})")
    # Shrunk to a narrow window as far as it can be read, never stretched.
    width = svg.split('width="', 1)[1].split('"', 1)[0]
    attributes = f'role="img" aria-label="{escape(title)}" style="min-width: min({width}, 44rem)"'
    return svg.replace("<svg", f"<svg {attributes}", 1).strip()


def variable(style: Style) -> str:
    """The CSS variable that holds a style's colour, light or dark."""
    return {INK: "--ink", FAINT: "--faint"}.get(style, f"--on-{style.light[1:]}")


def variables(styles: Mapping[str, Style]) -> str:
    """The colours of both schemes."""
    used = sorted({INK, FAINT, *styles.values()}, key=variable)
    light = " ".join(f"{variable(style)}: {style.light};" for style in used)
    dark = " ".join(f"{variable(style)}: {style.dark};" for style in used)
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def tiles(matrices: Iterable[tuple[np.ndarray, str, str]]) -> str:
    """Accuracy matrices (T, T) with two lines of caption each."""
    figures = (
        f'<figure><img alt="" src="data:image/png;base64,{heat_map(matrix)}">'
        f"<figcaption>{escape(title)}<small>{escape(detail)}</small></figcaption></figure>"
        for matrix, title, detail in matrices
    )
    return f'<div class="tiles">{"".join(figures)}</div>'


def heat_map(matrix: np.ndarray) -> str:
    """Accuracies (T, T) between 0 and 1 as a PNG of T × T pixels, in base64."""
    image = Image.fromarray((255 * matrix).round().astype(np.uint8), "P")
    image.putpalette((255 * COLOURS(np.arange(256))[:, :3]).round().astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def scale() -> str:
    """The heat maps' colour bar."""
    stops = ", ".join(matplotlib.colors.to_hex(COLOURS(x)) for x in np.linspace(0, 1, 9))
    return f'<div class="scale">0 %<i style="background:linear-gradient(90deg, {stops})"></i>100 %</div>'
