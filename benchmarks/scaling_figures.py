"""The figures of scaling.csv; run alone, this draws them again without measuring."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from results.style import INK, OTHERS, STYLES, settle

CSV = Path(__file__).with_name("scaling.csv")
COLOURS = {
    **{model: style.light for model, style in STYLES.items()},
    "native": INK.light,
    "torch": OTHERS[0].light,
    "random.shuffle": OTHERS[0].light,
    "its bytes through L2": "#8f9499",
}
DASHED, DOTTED = (4, 1.6), (1, 1.4)
DASHES = {
    "torch": DASHED,
    "random.shuffle": DASHED,
    "uniform": DOTTED,
    "its bytes through L2": DOTTED,
}
"""By the end of a line's name; others are solid."""
SMALL = 7.5
LINE_HEIGHT = 0.05
"""Of a line of text, in parts of a panel's height."""


class Point(NamedTuple):
    """One measured time; `x` is what the figure is named for."""

    figure: str
    panel: str
    line: str
    x: int
    microseconds: float


def read(path: Path) -> list[Point]:
    """The points of a table that scaling.py wrote."""
    with open(path, newline="") as file:
        return [
            Point(row["figure"], row["panel"], row["line"], int(row["x"]), float(row["microseconds"]))
            for row in csv.DictReader(file)
        ]


def draw(points: Sequence[Point], folder: Path) -> None:
    """scaling_<figure>.png in a folder for each figure."""
    settle()
    for name, figure in FIGURES.items():
        some = [point for point in points if point.figure == name]
        figure(some).savefig(folder / f"scaling_{name}.png", dpi=200)


def memories(points: Sequence[Point]) -> Figure:
    """An example of each learner, and what one entry of a draw costs."""
    figure, (left, right) = two_panels(1.75)
    plot(left, lines(points, "an example"), 1e-3)
    label_axes(left, "one example, memory full", "memories", "milliseconds")
    plot(right, lines(points, "a draw", lambda y, x: 1e3 * y / x), 1)
    label_axes(right, "one draw, for each entry shuffled", "memories", "nanoseconds an entry")
    return figure


def tasks(points: Sequence[Point]) -> Figure:
    """An example in the n-th task, and evaluation."""
    figure, (left, right) = two_panels(1.75)
    ticks = {point.x for point in points}
    plot(left, lines(points, "an example"), 1)
    label_axes(left, "one example in the last task; gem (memories a task)", "tasks", "microseconds", ticks)
    # A flat line's noise would look like a trend if it filled the panel.
    right.margins(y=0.4)
    plot(right, lines(points, "evaluation of a task"), 1e-3)
    label_axes(right, "evaluation, 10,000 images a task", "tasks", "milliseconds a task", ticks)
    return figure


def width(points: Sequence[Point]) -> Figure:
    """A step on both engines, and how many times faster the native one is."""
    figure, (left, right) = two_panels(1.5)
    step = lines(points, "a step")
    ticks = {point.x for point in points}
    plot(left, step, 1)
    label_axes(left, "one SGD step, 784-n-n-10", "n, units of a hidden layer", "microseconds", ticks)
    torch = dict(step["torch"])
    plot(right, {"native": [(x, torch[x] / y) for x, y in step["native"]]}, 1, labels=False)
    label_axes(right, "torch's time as a multiple of native's", "n", "", ticks)
    return figure


def depth(points: Sequence[Point]) -> Figure:
    """A step on each engine, from zero."""
    figure, panels = two_panels(1)
    step = lines(points, "a step")
    for panel, engine in zip(panels, ("native", "torch"), strict=True):
        panel.plot(*zip(*step[engine], strict=True), marker="o", markersize=3, color=COLOURS[engine])
        panel.set(xlim=(0, None), ylim=(0, 1.1 * max(y for _, y in step[engine])))
        label_axes(panel, f"one SGD step, {engine}", "hidden layers of 100", "microseconds")
    return figure


FIGURES: dict[str, Callable[[Sequence[Point]], Figure]] = {
    "memories": memories,
    "tasks": tasks,
    "width": width,
    "depth": depth,
}


def lines(
    points: Iterable[Point], panel: str, value: Callable[[float, int], float] = lambda y, x: y
) -> dict[str, list[tuple[int, float]]]:
    """A panel's lines by name, each as (x, value of microseconds and x)."""
    found: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        if point.panel == panel:
            found.setdefault(point.line, []).append((point.x, value(point.microseconds, point.x)))
    return found


def two_panels(ratio: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure as wide as a README shows, its left panel `ratio` times as wide as its right one."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    return figure, figure.subplots(1, 2, gridspec_kw={"width_ratios": (ratio, 1)})


def plot(axes: Axes, some: dict[str, list[tuple[int, float]]], unit: float, labels: bool = True) -> None:
    """Lines on logarithmic axes, each with its name at its end, or at its start if it ends before others."""
    axes.set(xscale="log", yscale="log")
    ends, last = [], max(x for line in some.values() for x, _ in line)
    for name, line in some.items():
        x, y = [at for at, _ in line], [unit * value for _, value in line]
        colour = next(c for key, c in COLOURS.items() if name.startswith(key))
        dashes = next((d for key, d in DASHES.items() if name.endswith(key)), ())
        style = (0, dashes) if dashes else "-"
        axes.plot(x, y, marker="o", markersize=3, color=colour, linestyle=style)
        if labels and x[-1] == last:
            ends.append((y[-1], name, colour))
        elif labels:
            below = (0, -5)
            axes.annotate(
                name,
                (x[0], y[0]),
                below,
                textcoords="offset points",
                va="top",
                fontsize=SMALL,
                color=colour,
            )
    label_ends(axes, sorted(ends, reverse=True), last)


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], x: float) -> None:
    """Names of lines that end at the same x, top first, moved apart where they would meet."""
    low, high = (log10(limit) for limit in axes.get_ylim())
    least = (high - low) * LINE_HEIGHT
    at = [log10(y) for y, _, _ in ends]
    for _ in range(200):
        for i, (above, below) in enumerate(pairwise(at)):
            if (lacking := least - (above - below)) > 1e-9:
                at[i], at[i + 1] = above + lacking / 2, below - lacking / 2
    for y, (_, name, colour) in zip(at, ends, strict=True):
        axes.annotate(
            name,
            (x, 10**y),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=colour,
            annotation_clip=False,
        )


def label_axes(axes: Axes, title: str, x: str, y: str, ticks: Iterable[int] | None = None) -> None:
    """A title, axes' names, and plain numbers at the ticks, which on the x axis may be given."""
    axes.set_title(title, loc="left")
    axes.set(xlabel=x, ylabel=y)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
            axis.set_minor_locator(NullLocator())
    if ticks is not None:
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(ticks))))


def plain(value: float) -> str:
    """A tick's number, thousands and millions by letter."""
    for least, unit, letter in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


if __name__ == "__main__":
    draw(read(CSV), CSV.parent)
