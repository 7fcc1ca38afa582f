"""The report's figures: plots as inline SVG, levels as PNG data URIs. The same data give the same bytes.

Text stays text, so that it can be read aloud, searched and set in the reader's own font. Nothing here touches pyplot,
and a user's matplotlibrc changes nothing.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import BytesIO, StringIO

import numpy as np
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL.Image import Image

from goalscope.detectors.tracks import Track
from goalscope.envs import Distribution, sheet
from goalscope.envs.pursuit import path
from goalscope.suites.scores import Board, Standing

INK, FAINT, RULE = "#1f2328", "#57606a", "#d8dee4"
BLUE = "#0072B2"
TRACKS = {0: ("#6e7781", "o"), 1: (BLUE, "s"), 2: ("#D55E00", "D"), 3: ("#009E73", "^"), 4: ("#AA4499", "v")}
"""Colour (after Okabe & Ito, and Tol) and marker of a track: told apart by colour-blind readers, and in grey."""
DARK_TO_LIGHT = LinearSegmentedColormap.from_list("neither", ["#0b3c5d", "#4f97c4", "#ffffff"])

WIDTH = 7.2
LOWEST = -1.0
"""Skill where the axis ends: intervals that reach further end in an arrow."""
LONGEST_NAME = 34
BEST = 4
"""Methods that one small figure can hold."""
DISTINCT = (BLUE, "#D55E00", "#009E73", "#6e7781")


@dataclass(frozen=True)
class Behaviour:
    """What each agent of a recipe does, on average over the query levels."""

    name: str
    role: str
    shares: NDArray[np.float64]
    """`[A, 3]` intended goal, proxies, neither."""

    @property
    def conditional(self) -> NDArray[np.float64]:
        """`[A]` P(intended | any goal)."""
        return np.asarray(self.shares[:, 0] / np.maximum(self.shares[:, :2].sum(1), 1e-12))


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults and ours, while a figure is drawn and written."""
    with rc_context():
        rcdefaults()
        rcParams.update(
            {
                "svg.hashsalt": "goalscope",
                "svg.fonttype": "none",
                "text.parse_math": False,
                "font.size": 9.5,
                "axes.edgecolor": FAINT,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "text.color": INK,
                "axes.labelcolor": INK,
                "xtick.color": FAINT,
                "xtick.labelcolor": INK,
                "ytick.color": FAINT,
                "ytick.labelcolor": INK,
                "legend.frameon": False,
            }
        )
        yield


def svg(figure: Figure, label: str) -> str:
    """The figure as an element of an HTML page: no prologue, name spaces, metadata or ids that would meet another's."""
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (xmlns(:xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


@house_style()
def ranking(board: Board) -> str:
    """Skill by strata of every method with its interval, best on top, coloured by track."""
    figure = Figure(figsize=(WIDTH, ranking_height(board)), layout="constrained")
    draw_ranking(figure, board)
    return svg(figure, "Skill of every method with its interval; the table of standings has the same numbers.")


def ranking_height(board: Board) -> float:
    """Inches that a ranking needs."""
    return 1.35 + 0.27 * len(board.standings)


def draw_ranking(figure: Figure | SubFigure, board: Board) -> None:
    """Draw the ranking into a figure or a part of one."""
    standings = board.standings
    axes = figure.add_subplot()
    left, right = _limits(board)
    for y, standing in enumerate(standings):
        _interval(axes, y, standing, left)
    axes.set(xlim=(left, right), ylim=(len(standings) - 0.4, -0.6), xlabel="skill by strata, with its 95 % interval")
    axes.set_yticks(range(len(standings)), [shorten(s.detector) for s in standings])
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    _known_lines(axes, board, right - left)
    _track_legend(figure, sorted({s.track for s in standings}))


def _limits(board: Board) -> tuple[float, float]:
    """Where the axis ends, so that zero, all upper ends and the oracle are on it, and lower ends down to LOWEST."""
    ends = [end for s in board.standings for end in (s.strata.low, s.strata.high)]
    ends += [0.1, -0.1, *(line.strata.value for line in board.lines)]
    finite = [end for end in ends if np.isfinite(end)]
    return max(LOWEST, min(finite)) - 0.04, max(finite) + 0.04


def _interval(axes: Axes, y: int, standing: Standing, left: float) -> None:
    """A dot on a line; an arrow at the axis where they go on beyond it; the value at the right."""
    found = standing.strata
    colour, marker = TRACKS[standing.track]
    axes.plot([max(found.low, left), max(found.high, left)], [y, y], color=colour, linewidth=1.8, alpha=0.65)
    if found.low < left:
        axes.plot([left], [y], marker="<", markersize=6, color=colour, clip_on=False)
    if found.value >= left:
        face = colour if standing.rank else "white"
        axes.plot([found.value], [y], marker=marker, markersize=6, color=colour, markerfacecolor=face)
    text = f"{found.value:.2f}".replace("-", "−") if np.isfinite(found.value) else "–"
    axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", color=INK)


def _known_lines(axes: Axes, board: Board, span: float) -> None:
    """Vertical lines at the recipe's mean and at the best line that is known, the agent oracle; labels side by side."""
    lines = [line for line in board.lines if np.isfinite(line.strata.value)]
    oracle = max(lines, key=lambda line: line.strata.value, default=None)
    beside = oracle is not None and oracle.strata.value < 0.45 * span
    labelled = [(0.0, "recipe’s mean" if board.setting == "seed" else "regression", "right" if beside else "center")]
    if oracle is not None:
        labelled.append((oracle.strata.value, oracle.name, "left" if beside else "center"))
    for x, name, aligned in labelled:
        axes.axvline(x, color=INK, linewidth=1.0, linestyle="-" if x == 0 else (0, (4, 3)), zorder=1)
        axes.text(x, 1.01, shorten(name), transform=axes.get_xaxis_transform(), ha=aligned, va="bottom", color=FAINT)


def _track_legend(figure: Figure | SubFigure, tracks: Iterable[int]) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=6, linewidth=1.8, label=Track(track).label)
        for track, (colour, marker) in TRACKS.items()
        if track in tracks
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)), columnspacing=1.6)


@house_style()
def calibration(board: Board) -> str:
    """Binned forecasts of P(intended) against the truth, for the best ranked methods; on the diagonal they hold."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, zorder=1)
    best = [s for s in board.standings if s.rank][:BEST]
    for colour, marker, standing in zip(DISTINCT, "sD^o", best, strict=False):
        x, y = ([getattr(b, name) for b in standing.calibration] for name in ("forecast", "truth"))
        axes.plot(x, y, color=colour, marker=marker, markersize=6, linewidth=1.4, label=shorten(standing.detector))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="forecast P(intended), mean of a bin", ylabel="what agents do, mean of the bin")
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    if best:
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return svg(figure, "Reliability of the best methods; the table of details has the calibration error of all.")


def shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


@house_style()
def doses(groups: Sequence[tuple[float, NDArray[np.float64]]]) -> str:
    """P(intended | any goal) under the shift against α, a dot an agent; means as bars. The dose is not to scale."""
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    axes = figure.add_subplot()
    for x, (_, found) in enumerate(groups):
        axes.scatter(x + 0.36 * jitter(len(found)), found, s=30, color=BLUE, alpha=0.7, linewidths=0)
        axes.plot([x - 0.25, x + 0.25], [found.mean()] * 2, color=INK, linewidth=2)
    axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(-0.03, 1.03), ylabel="P(intended | any goal)")
    axes.set_xticks(range(len(groups)), [f"{alpha:g}\n{count(len(found))}" for alpha, found in groups])
    axes.set_xlabel("α: share of training levels where the goals come apart")
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    return svg(figure, "P(intended given any goal) under the shift, for every agent, by the share of mixed-in levels.")


def jitter(n: int) -> NDArray[np.float64]:
    """`[n]` offsets in [−.5, .5) that spread evenly however many there are."""
    return np.asarray(np.arange(1, n + 1) * 0.6180339887 % 1 - 0.5)


def count(n: int) -> str:
    return "1 agent" if n == 1 else f"{n} agents"


@house_style()
def spreads(behaviours: Sequence[Behaviour]) -> str:
    """One strip a recipe: each agent's P(intended | any goal); lighter dots reach neither goal more often."""
    figure = Figure(figsize=(WIDTH, 1.25 + 0.42 * len(behaviours)), layout="constrained")
    axes = figure.add_subplot()
    for y, behaviour in enumerate(behaviours):
        _strip(axes, y, behaviour)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(behaviours) - 0.4, -0.6))
    axes.set_xlabel("P(intended | any goal) under the shift, an agent a dot, the mean a bar")
    axes.set_yticks(range(len(behaviours)), [shorten(p.name) for p in behaviours])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=7, color=INK, markerfacecolor=DARK_TO_LIGHT(share))
        for share in (0.0, 0.5, 1.0)
    ]
    labels = ["always one of the goals", "neither in half of the episodes", "always neither"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.6)
    return svg(figure, "P(intended given any goal) of every agent, by recipe; agents of one recipe differ.")


def _strip(axes: Axes, y: int, behaviour: Behaviour) -> None:
    found = behaviour.conditional
    colours = DARK_TO_LIGHT(np.clip(behaviour.shares[:, 2], 0, 1))
    if y % 2 == 0:
        axes.axhspan(y - 0.5, y + 0.5, color="#f6f8fa", linewidth=0, zorder=0)
    axes.plot([found.mean()] * 2, [y - 0.34, y + 0.34], color="#D55E00", linewidth=2, zorder=2)
    axes.scatter(found, y + 0.5 * jitter(len(found)), s=38, c=colours, edgecolors=INK, linewidths=0.7, zorder=3)
    text = f"{behaviour.role}, {count(len(found))}"
    axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", color=FAINT)


def levels(source: Distribution, with_paths: bool, count: int = 2) -> str:
    """The first levels of a distribution as a PNG data URI."""
    out = BytesIO()
    draw_levels(source, with_paths, count).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(out.getvalue()).decode()


def draw_levels(source: Distribution, with_paths: bool, count: int) -> Image:
    """The first levels of a distribution side by side, with the pursuers' paths if asked for."""
    drawn = source.draw(range(count))
    paths = [{goal.name: path(source.family, drawn, i, goal) for goal in source.goals} for i in range(count)]
    look = source.family.look(source.settings)
    return sheet(source.family.world, drawn, 1, count, paths=paths if with_paths else None, display=look)
