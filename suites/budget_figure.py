"""The figure of skill against the number of frames under the shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from goalscope.suites.budgets import ASKING
from goalscope.suites.figures import DISTINCT, INK, RULE, WIDTH, house_style, shorten, svg
from goalscope.suites.scores import AtBudget

MARKERS = "sD^ov"
APART = 1.06
"""By how much points of different methods with one budget lie apart, so that their intervals can be told apart."""


@house_style()
def budget_curves(lines: Mapping[str, Sequence[AtBudget]]) -> str:
    """Skill by strata with its 95 % interval against frames under the shift; asking the policy is dashed."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    draw_budget_curves(figure.add_subplot(), lines)
    return svg(figure, "Skill against frames under the shift; the table below has the same numbers.")


def draw_budget_curves(axes: Axes, lines: Mapping[str, Sequence[AtBudget]]) -> None:
    """Draw the lines, asking the policy last and on top."""
    others = [method for method in lines if method != ASKING]
    looks = zip(others, cycle(DISTINCT), cycle(MARKERS), strict=False)
    for place, (method, colour, marker) in enumerate(looks, start=1):
        _curve(axes, lines[method], APART**place, color=colour, marker=marker, label=shorten(method))
    if ASKING in lines:
        _curve(axes, lines[ASKING], 1.0, color=INK, marker="o", linestyle="--", label=ASKING)
    frames = sorted({point.frames for points in lines.values() for point in points})
    axes.axhline(0, color=INK, linewidth=1.0, zorder=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(frames, [str(each) for each in frames])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="frames under the shift", ylabel="skill by strata, 95 % interval")
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))


def _curve(axes: Axes, points: Sequence[AtBudget], shift: float, **look: Any) -> None:
    x = [point.frames * shift for point in points]
    axes.plot(x, [point.strata.value for point in points], linewidth=1.6, markersize=6, **look)
    low, high = ([getattr(point.strata, end) for point in points] for end in ("low", "high"))
    axes.vlines(x, low, high, color=look["color"], linewidth=1.6, alpha=0.65)
