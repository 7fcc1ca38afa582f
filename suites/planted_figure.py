"""The planted table as a picture: a row a method, a column a mechanism, the share of comparisons won as a colour."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from goalscope.suites.figures import BLUE, FAINT, INK, WIDTH, house_style, shorten, svg
from goalscope.suites.planted_scores import Cell, PlantedScores

REVERSED_BLIND_SEES = LinearSegmentedColormap.from_list("won", ["#D55E00", "#ffffff", BLUE])
DARK = 0.3
"""Away from one half, from which on white text is read better than dark."""


@house_style()
def confusion(scores: PlantedScores) -> str:
    """Which mechanisms each method sees through, is blind to, or takes for their opposite."""
    figure = Figure(figsize=(WIDTH, 1.5 + 0.27 * len(scores.standings)), layout="constrained")
    draw_confusion(figure.add_subplot(), scores)
    return svg(figure, "Share of comparisons won by method and mechanism; the table below has the same numbers.")


def draw_confusion(axes: Axes, scores: PlantedScores) -> None:
    """Cells that say nothing of a method are left empty."""
    methods = [shorten(s.detector) for s in scores.standings]
    won = np.array([[_won(s.cells.get(c)) for c in scores.columns] for s in scores.standings])
    axes.imshow(won, cmap=REVERSED_BLIND_SEES, vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(won):
        dark = abs(value - 0.5) > DARK
        text, colour = ("–", FAINT) if np.isnan(value) else (f"{value:.2f}", "white" if dark else INK)
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color=colour)
    columns = [name.replace("_", "\n") for name in scores.columns]
    axes.set_xticks(range(len(columns)), columns, fontsize=7)
    axes.set_yticks(range(len(methods)), methods)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _won(cell: Cell | None) -> float:
    return float("nan") if cell is None else cell.found.value
