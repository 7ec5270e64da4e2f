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
from matplotlib.ticker import FuncFormatter, NullLocator

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
    plot(left, lines(points, "an example"), 1)
    label_axes(left, "one example in the n-th task", "n", "microseconds")
    plot(right, lines(points, "evaluation of a task"), 1e-3)
    label_axes(right, "evaluation: 10,000 images of each of n tasks", "n", "milliseconds a task")
    return figure


def width(points: Sequence[Point]) -> Figure:
    """A step on both engines, and how many times faster the native one is."""
    figure, (left, right) = two_panels(1.5)
    step = lines(points, "a step")
    plot(left, step, 1)
    label_axes(left, "one SGD step, 784-n-n-10", "n", "microseconds")
    torch = dict(step["torch"])
    plot(right, {"native": [(x, torch[x] / y) for x, y in step["native"]]}, 1, labels=False)
    label_axes(right, "the native engine's lead", "n", "torch's time / native's")
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
    """Lines on logarithmic axes, each with its name at its end."""
    axes.set(xscale="log", yscale="log")
    ends = []
    for name, line in some.items():
        x, y = [at for at, _ in line], [unit * value for _, value in line]
        colour = next(c for key, c in COLOURS.items() if name.startswith(key))
        dashes = next((d for key, d in DASHES.items() if name.endswith(key)), ())
        style = (0, dashes) if dashes else "-"
        axes.plot(x, y, marker="o", markersize=3, color=colour, linestyle=style)
        if labels:
            ends.append((x[-1], y[-1], name, colour))
    for last in {end[0] for end in ends}:
        label_ends(axes, sorted((end[1:] for end in ends if end[0] == last), reverse=True), last)


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
            fontsize=7.5,
            color=colour,
            annotation_clip=False,
        )


def label_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """A title, axes' names, and plain numbers at the ticks."""
    axes.set_title(title, loc="left")
    axes.set(xlabel=x, ylabel=y)
    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
            axis.set_minor_locator(NullLocator())


def plain(value: float) -> str:
    """A tick's number, thousands and millions by letter."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


if __name__ == "__main__":
    draw(read(CSV), CSV.parent)
