"""The paper's table (RA, LA and BTI over seeds, in per cent) as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from .rows import Row, Score, by_data_set, place_of_model

MEASURES = ("RA", "LA", "BTI")


def cell(score: Score, plus_minus: str = " ± ") -> str:
    """`mean ± standard deviation`, the mean alone of a single seed."""
    return rounded(score.mean) + ("" if score.std is None else plus_minus + rounded(score.std))


def rounded(value: float) -> str:
    """Two decimals, no minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def memory(row: Row) -> str:
    """The memory size, a dash where there is none."""
    return "-" if row.memory is None else str(row.memory)


def header(rows: Sequence[Row]) -> list[str]:
    """Column titles; the options' column is there where rows differ in them."""
    options = ["options"] if any(row.options for row in rows) else []
    return ["model", "memory", *options, *MEASURES, "n"]


def cells(row: Row, titles: Sequence[str]) -> list[str]:
    """A row's text under the given titles."""
    fixed = {"model": row.model, "memory": memory(row), "options": row.options, "n": str(len(row.runs))}
    return [fixed[title] if title in fixed else cell(row.scores[title]) for title in titles]


def as_markdown(rows: Sequence[Row]) -> str:
    """One table for each data set, its columns aligned so that it reads well in a terminal too."""
    return "\n".join(f"**{name}**\n\n{aligned(its_rows)}" for name, its_rows in by_data_set(rows).items())


def aligned(rows: Sequence[Row]) -> str:
    """The Markdown table of one data set."""
    titles = header(rows)
    lines = [titles, *([text.replace("|", r"\|") for text in cells(row, titles)] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [title not in ("model", "options") for title in titles]
    rule = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, numeric, strict=True)
    ]
    lines.insert(1, rule)
    pad = [str.rjust if right else str.ljust for right in numeric]
    return "".join(
        "| " + " | ".join(p(text, width) for p, text, width in zip(pad, line, widths, strict=True)) + " |\n"
        for line in lines
    )


def as_csv(rows: Sequence[Row]) -> str:
    """One line for each row, means and standard deviations in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = [f"{measure}{suffix}" for measure in MEASURES for suffix in ("", "_std")]
    writer.writerow(["data_set", "model", "memory", "options", *figures, "n"])
    for row in rows:
        scores = [row.scores[measure] for measure in MEASURES]
        values = [text for s in scores for text in (rounded(s.mean), "" if s.std is None else rounded(s.std))]
        writer.writerow([row.data_set, row.model, memory(row), row.options, *values, len(row.runs)])
    return out.getvalue()


def as_latex(rows: Sequence[Row]) -> str:
    """A booktabs tabular as in the paper: a line for each model and memory size, data sets side by side."""
    groups = by_data_set(rows)
    table = {(row.data_set, row.model, row.memory, row.options): row for row in rows}
    experiments = sorted(dict.fromkeys(key[1:] for key in table), key=lambda key: place_of_model(*key[:2]))
    titles = header(rows)
    n_labels, width = titles.index(MEASURES[0]), len(MEASURES) + 1
    spans = [n_labels + 1 + i * width for i in range(len(groups))]
    lines = [
        "% needs \\usepackage{booktabs}",
        rf"\begin{{tabular}}{{lr{'l' * (n_labels - 2)}{'r' * width * len(groups)}}}",
        r"\toprule",
        line([""] * n_labels + [rf"\multicolumn{{{width}}}{{c}}{{{escaped(name)}}}" for name in groups]),
        " ".join(rf"\cmidrule(lr){{{first}-{first + width - 1}}}" for first in spans),
        line([title.capitalize() for title in titles[:n_labels]] + [*MEASURES, "$n$"] * len(groups)),
    ]
    # A space before each model that comes in several sizes.
    for i, (_, same_model) in enumerate(groupby(experiments, key=lambda key: key[1] is not None and key[0])):
        lines.append(r"\addlinespace" if i else r"\midrule")
        for model, size, options in same_model:
            labels = [escaped(model), "--" if size is None else str(size), escaped(options)][:n_labels]
            its_rows = [table.get((name, model, size, options)) for name in groups]
            lines.append(line(labels + [text for row in its_rows for text in latex_cells(row)]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def latex_cells(row: Row | None) -> list[str]:
    """A row's figures and number of seeds; dashes where the data set has no such row."""
    if row is None:
        return ["--"] * (len(MEASURES) + 1)
    figures = [cell(row.scores[measure], plus_minus=r" \pm ") for measure in MEASURES]
    return [*(f"${figure}$" for figure in figures), str(len(row.runs))]


def line(texts: Iterable[str]) -> str:
    """One line of a tabular."""
    return " & ".join(texts) + r" \\"


def escaped(text: str) -> str:
    """Text with LaTeX's special characters as themselves."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda match: special.get(match[0], "\\" + match[0]), text)
