"""How the figures look: a colour and dashes for each model, and the ink around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from .rows import MODELS


@dataclass(frozen=True)
class Style:
    """A model's colour on white, its colour on black, and its line's dashes as matplotlib takes them."""

    light: str
    dark: str
    dashes: tuple[float, ...] = ()


INK = Style("#22262b", "#e4e7eb")
FAINT = Style("#d7dbe0", "#3a4048")

SOLID, DASHED, DOTTED, DASH_DOTTED = (), (4, 1.6), (1, 1.4), (5, 1.4, 1, 1.4)
# Experience replay is blue, meta-experience replay warm, the baselines are earthen. With any colour vision no
# two are nearer than 12 in CIELAB, and each has a contrast of 3 with the page; dashes help as well.
STYLES = dict(
    zip(
        MODELS,
        (
            Style("#545961", "#c5d3de", DOTTED),
            Style("#8f9499", "#8c9096", DASHED),
            Style("#b87c4a", "#c29a52", DASH_DOTTED),
            Style("#a39200", "#f4ea3a", DASHED),
            Style("#00754f", "#4fe0a5", SOLID),
            Style("#1e94e9", "#7db6ff", SOLID),
            Style("#12347a", "#5870f5", DASHED),
            Style("#b84a00", "#ff8a2b", SOLID),
            Style("#c92fa4", "#f97fd3", DASHED),
            Style("#66142e", "#d43a5c", DASH_DOTTED),
        ),
        strict=True,
    )
)
OTHERS = (
    Style("#6a3d9a", "#b79cf0", SOLID),
    Style("#1b7f7a", "#5fd3cc", DASH_DOTTED),
    Style("#7a7f00", "#c4cc3a", DOTTED),
    Style("#b0413e", "#ef8a86", DOTTED),
)


def styles(models: Iterable[str]) -> dict[str, Style]:
    """A style for each model: the paper's always have the same, others take turns."""
    others = sorted(set(models) - set(STYLES))
    return STYLES | {model: OTHERS[i % len(OTHERS)] for i, model in enumerate(others)}


def short(text: str, most: int = 60) -> str:
    """A name, as much of it as a figure has room for."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def extent(figure: Figure) -> Bbox:
    """What a figure covers, in inches: names may be longer than it has room for."""
    # One layout for all of a figure's formats, where savefig's "tight" draws each twice.
    return figure.get_tightbbox().padded(0.08)


def settle() -> None:
    """Matplotlib's settings for all figures; the same input gives the same bytes."""
    matplotlib.rcParams.update(
        {
            "font.size": 9,
            "axes.titlesize": 9.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.5,
            "legend.frameon": False,
            "pdf.fonttype": 42,
            # Names of models and data sets may hold dollar signs.
            "text.parse_math": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "report",
            "grid.color": FAINT.light,
            **dict.fromkeys(
                ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK.light
            ),
        }
    )
