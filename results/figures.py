"""The report's figures, drawn for a white page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .rows import Row, best, natural
from .style import INK, Style, short

PANELS = {"RA": "final accuracy (RA), %", "BTI": "backward transfer (BTI), %", "FT": "forward transfer, %"}
CURVES = {"first": "accuracy on the first task, %", "seen": "mean accuracy on tasks seen, %"}
TILE = 0.85
"""Inches from one accuracy matrix to the next."""
MATRICES = 50
"""Rows that a figure of accuracy matrices can hold."""


def framed(
    width: float, height: float, left: float, right: float, bottom: float, top: float
) -> tuple[Figure, dict]:
    """A figure and the place of its axes, everything in inches."""
    figure = Figure(figsize=(width, height))
    place = {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": bottom / height,
        "top": 1 - top / height,
    }
    return figure, place


def bars(rows: Sequence[Row], styles: Mapping[str, Style]) -> Figure:
    """Final accuracy, backward and forward transfer, with standard deviations, of one data set's rows."""
    rows = best(rows)
    # A gap where the model changes.
    steps = [0.0] + [1.0 if a.model == b.model else 1.4 for a, b in zip(rows, rows[1:], strict=False)]
    y = np.cumsum(steps)
    titles = [short(row.title) for row in rows]
    longest = max(map(len, titles))
    height = 0.22 * (y[-1] + 1)
    figure, place = framed(10, height + 0.75, 0.3 + 0.075 * longest, 0.15, 0.45, 0.3)
    panels = figure.subplots(1, len(PANELS), sharey=True, gridspec_kw={**place, "wspace": 0.07})
    for axes, (measure, title) in zip(panels, PANELS.items(), strict=True):
        scores = [row.scores[measure] for row in rows]
        means = np.array([s.mean for s in scores])
        spread = np.array([s.std or 0 for s in scores])
        axes.barh(y, means, 0.78, color=[styles[row.model].light for row in rows])
        whiskers = np.where(spread > 0, spread, np.nan)
        axes.errorbar(means, y, xerr=whiskers, fmt="none", ecolor=INK.light, elinewidth=0.9, capsize=1.8)
        for at, mean, std in zip(y, means, spread, strict=True):
            side = -1 if mean < 0 else 1
            axes.annotate(
                f"{round(mean, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}"),
                (mean + side * std, at),
                (4 * side, 0),
                textcoords="offset points",
                va="center",
                ha="right" if side < 0 else "left",
                fontsize=7.5,
            )
        room_for_text(axes, means, spread)
        axes.axvline(0, color=INK.light, linewidth=0.8)
        axes.set_title(title, loc="left")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(y, titles)
    panels[0].set_ylim(y[-1] + 0.6, -0.6)
    return figure


def room_for_text(axes: Axes, means: np.ndarray, spread: np.ndarray) -> None:
    """Widen the x axis so that the numbers at the bars' ends fit."""
    low, high = min(0.0, (means - spread).min()), max(0.0, (means + spread).max())
    low, high = min(low, high - 2), max(high, low + 2)
    room = 0.17 * (high - low)
    axes.set_xlim(low - room * (means.min() < 0), high + room * (means.max() >= 0))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def curves(rows: Sequence[Row], styles: Mapping[str, Style]) -> Figure:
    """What becomes of the first task, and of all tasks seen; a column of panels for each memory size.

    Learners without a memory are drawn in each column. Bands are one standard deviation over seeds.
    """
    rows = best(rows)
    longest = max(row.runs[0].examples[-1] for row in rows)
    unit = 1000 if longest > 5000 else 1
    known = {row.memory for row in rows if row.memory is not None}
    sizes = sorted(known, reverse=True) if known else [None]
    figure, place = framed(3.2 * len(sizes) + 2.1, 5.8, 0.6, 1.5, 0.5, 0.3)
    panels = figure.subplots(
        len(CURVES),
        len(sizes),
        sharex=True,
        sharey=True,
        squeeze=False,
        gridspec_kw={**place, "wspace": 0.08, "hspace": 0.1},
    )
    for (name, title), line in zip(CURVES.items(), panels, strict=True):
        line[0].set_ylabel(title)
        for size, axes in zip(sizes, line, strict=True):
            for row in rows:
                if row.memory in (None, size):
                    draw_curve(axes, row, name, styles[row.model])
    for size, top, bottom in zip(sizes, panels[0], panels[-1], strict=True):
        if size is not None:
            top.set_title(f"{size} memories", loc="left")
        bottom.set_xlabel("examples seen" if unit == 1 else "examples seen, thousands")
    corner = panels[0, 0]
    corner.set_ylim(0, 100)
    corner.set_xlim(0, longest)
    corner.xaxis.set_major_locator(MaxNLocator(5))
    corner.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
    models = dict.fromkeys(row.model for row in rows)
    handles = [Line2D([], [], label=short(model), **line_style(styles[model])) for model in models]
    corner_of_legend = (place["right"] + 0.1 / figure.get_figwidth(), place["top"])
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner_of_legend, handlelength=2.6)
    return figure


def draw_curve(axes: Axes, row: Row, name: str, style: Style) -> None:
    """A row's mean curve and its band."""
    x, mean, std = row.curve(name)
    axes.plot(x, mean, **line_style(style))
    if len(row.runs) > 1:
        axes.fill_between(x, mean - std, mean + std, color=style.light, alpha=0.15, linewidth=0)


def line_style(style: Style) -> dict:
    """A model's line, as plot takes it."""
    return {"color": style.light, "linestyle": (0, style.dashes) if style.dashes else "-"}


def matrices(rows: Sequence[Row]) -> Figure:
    """Every run's accuracy matrix, a line for each row and a column for each seed."""
    seeds = sorted({run.seed for row in rows for run in row.runs}, key=natural)
    column = {seed: i for i, seed in enumerate(seeds)}
    titles = [short(row.title) + (f"\n{short(row.options, 200)}" if row.options else "") for row in rows]
    longest = max(len(text) for title in titles for text in title.split("\n"))
    left, bar = 0.2 + 0.07 * longest, 0.9
    size = (left + TILE * len(seeds) + bar, TILE * len(rows) + 0.9)
    figure, place = framed(*size, left, bar, 0.5, 0.4)
    axes = figure.add_axes(
        (place["left"], place["bottom"], place["right"] - place["left"], place["top"] - place["bottom"])
    )
    for i, row in enumerate(rows):
        for run in row.runs:
            x = column[run.seed]
            image = axes.imshow(
                100 * run.statistics.matrix.numpy(),
                vmin=0,
                vmax=100,
                extent=(x + 0.04, x + 0.96, i + 0.96, i + 0.04),
                interpolation="none",
            )
    axes.set(xlim=(0, len(seeds)), ylim=(len(rows), 0), aspect="auto")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(seeds)) + 0.5, [f"seed {seed}" if len(seed) < 9 else "" for seed in seeds])
    axes.xaxis.tick_top()
    axes.set_yticks(np.arange(len(rows)) + 0.5, titles)
    axes.set_xlabel("each matrix: task tested, across; after task learned, down")
    scale = figure.add_axes(
        (
            place["right"] + 0.15 / size[0],
            place["top"] - TILE * 0.96 / size[1],
            0.12 / size[0],
            TILE * 0.92 / size[1],
        )
    )
    figure.colorbar(image, cax=scale, label="accuracy, %")
    return figure
