"""The figures of a population page, as inline SVG in the style of the report's.

Colours are Okabe and Ito's, told apart by colour-blind readers: the intended goal is blue wherever outcomes are shown,
proxies have the other colours in the family's order, neither is grey. Everything is labelled where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from goalscope.agents.measure import COMPETENT, PURPOSEFUL
from goalscope.agents.pilot import ADMITTED_SPREAD
from goalscope.suites.figures import (
    BLUE,
    FAINT,
    INK,
    RULE,
    WIDTH,
    count,
    house_style,
    jitter,
    shorten,
    svg,
)
from goalscope.suites.population_groups import Group, Shares
from goalscope.suites.population_table import Dose, Series, sd_interval, stage_table

Places = NDArray[np.floating]
"""Where things stand on an axis."""

ORANGE = "#D55E00"
PROXIES = ("#E69F00", "#CC79A7", "#009E73", "#F0E442")
GREY = "#dfe3e8"
FAMILIES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
MARKERS = "osD^vPX<>*h"

CARD = 4.9
"""Inches that one recipe's own figure is wide."""
SMALL = 9.0
FEWEST_SLOTS = 8
"""Bars of few agents are not wider than those of so many."""
LABELLED_SEEDS = 20
"""Of more agents than this the seeds are not written under their bars."""


@house_style()
def spread_overview(groups: Sequence[Group]) -> str:
    """A row a recipe: each agent's P(intended | any goal), and beside it the between-seed SD with its interval."""
    figure = Figure(figsize=(WIDTH, 1.1 + 0.36 * len(groups)), layout="constrained")
    strips, spreads = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
    for y, group in enumerate(groups):
        _strip(strips, y, group)
        _spread(spreads, y, group)
    strips.set(xlim=(-0.02, 1.02), ylim=(len(groups) - 0.4, -0.6), xlabel="P(intended | any goal), an agent a dot")
    strips.set_yticks(range(len(groups)), [shorten(group.recipe.name) for group in groups])
    spreads.set(xlim=(-0.01, None), xlabel="SD between seeds")
    spreads.axvline(ADMITTED_SPREAD, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    text = f"admitted from {ADMITTED_SPREAD:.2f}"
    spreads.text(ADMITTED_SPREAD, 1.01, text, transform=spreads.get_xaxis_transform(), va="bottom", color=FAINT)
    for axes in (strips, spreads):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
    return svg(figure, "P(intended given any goal) of every agent and its SD between seeds, by recipe.")


def _strip(axes: Axes, y: int, group: Group) -> None:
    found, counted = group.conditional, group.is_counted
    height = y + 0.5 * jitter(len(found))
    axes.scatter(found[counted], height[counted], s=26, color=BLUE, alpha=0.7, linewidths=0, zorder=3)
    axes.scatter(found[~counted], height[~counted], s=22, facecolors="white", edgecolors=FAINT, zorder=3)
    if counted.any():
        axes.plot([found[counted].mean()] * 2, [y - 0.34, y + 0.34], color=INK, linewidth=2, zorder=2)


def _spread(axes: Axes, y: int, group: Group) -> None:
    """A dot on its interval, or in words why there is none."""
    found = sd_interval(group.conditional[group.is_counted])
    if np.isfinite(found.value):
        axes.plot([found.low, found.high], [y, y], color=BLUE, linewidth=1.8, alpha=0.65)
        axes.plot([found.value], [y], marker="o", markersize=5.5, color=BLUE)
    else:
        text = f"{group.is_counted.sum()} of {len(group.agents)} count"
        axes.text(ADMITTED_SPREAD + 0.02, y, text, va="center", color=FAINT)


@house_style()
def outcome_bars(group: Group) -> str:
    """A bar an agent, by P(intended | any goal); the random policy's at the left, the mean, with its labels, right."""
    n, order = len(group.agents), np.argsort(group.conditional, kind="stable")
    slots = max(n, FEWEST_SLOTS)
    places, last = 2.5 + (slots - n) / 2 + np.arange(n), 4.0 + slots
    figure = Figure(figsize=(CARD, 1.9), layout="constrained")
    axes = figure.add_subplot()
    for place, name, shares in ((0.0, "random", group.chance), (last, "mean", group.shares.mean(0))):
        _stacked(axes, np.array([place]), shares[None], group, 2.0)
        axes.text(place, 1.06, name, ha="center", fontsize=SMALL, color=FAINT)
    _stacked(axes, places, group.shares[order], group, 0.86)
    _label_seeds(axes, places, [group.agents[i].seed for i in order], group.is_counted[order])
    _label_outcomes(axes, group)
    _share_axis(axes)
    axes.set(xlim=(-1.2, last + 1.1), xticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    return svg(figure, f"Outcome shares of every agent of {group.recipe.name}.")


def _share_axis(axes: Axes) -> None:
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.tick_params(labelsize=SMALL, length=0)


def _stacked(axes: Axes, places: Places, shares: Shares, group: Group, width: float) -> None:
    """Bars of shares `[B, K + 1]`: the intended goal at the bottom, then proxies, neither on top."""
    base = np.zeros(len(shares))
    for column, colour in _stacking(group):
        axes.bar(places, shares[:, column], width, bottom=base, color=colour, linewidth=0)
        base = base + shares[:, column]


def _stacking(group: Group) -> list[tuple[int, str]]:
    """Columns of shares from the bottom up, with their colours."""
    proxies = [k for k in range(len(group.goals)) if k != group.intended]
    coloured = [(k, PROXIES[i % len(PROXIES)]) for i, k in enumerate(proxies)]
    return [(group.intended, BLUE), *coloured, (len(group.goals), GREY)]


def _label_outcomes(axes: Axes, group: Group) -> None:
    """What each part of the mean's bar is, beside its middle."""
    stack = _stacking(group)
    sizes = group.shares.mean(0)[[column for column, _ in stack]]
    _name_outcomes(axes, stack, np.cumsum(sizes) - sizes / 2, sizes, group)


def _name_outcomes(
    axes: Axes, columns: Sequence[tuple[int, str]], heights: Shares, sizes: Shares, group: Group
) -> None:
    """A key right of the axes, with sizes in per cent, about at the heights of what it names."""
    beside = axes.get_yaxis_transform()
    for (column, colour), size, y in zip(columns, sizes, apart(heights, 0.155), strict=True):
        name = group.outcomes[column] + (", intended" if column == group.intended else "")
        axes.plot([1.025], [y], marker="s", markersize=4.5, color=colour, transform=beside, clip_on=False)
        text = f"{name} {100 * size:.0f} %"
        axes.text(1.05, y, text, va="center", fontsize=SMALL, transform=beside)


def apart(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Places in [0, 1], in order, moved as little as needed for `gap` between neighbours; the topmost stays below 1."""
    moved = np.asarray(places, float).copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    moved[-1] = min(moved[-1], 1 - gap / 2)
    for i in range(len(moved) - 2, -1, -1):
        moved[i] = min(moved[i], moved[i + 1] - gap)
    return moved


def _label_seeds(axes: Axes, places: Places, seeds: Sequence[int], counted: NDArray[np.bool_]) -> None:
    """The seed under each bar, and a ring under those that do not count."""
    under = axes.get_xaxis_transform()
    if len(seeds) <= LABELLED_SEEDS:
        for place, seed in zip(places, seeds, strict=True):
            axes.text(place, -0.04, str(seed), transform=under, ha="center", va="top", fontsize=6, color=FAINT)
    for place in places[~counted]:
        ring = axes.plot([place], [-0.2], "o", markersize=3.5, color=FAINT, markerfacecolor="white")[0]
        ring.set(transform=under, clip_on=False)


@house_style()
def dose_response(series: Series) -> str:
    """P(intended | any goal) by α: the mean over seeds with its interval, and every agent."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    axes = figure.add_subplot()
    places = dose_places([dose.alpha for dose in series.doses])
    means = [dose.mean.value for dose in series.doses]
    after_zero = next(i for i, dose in enumerate(series.doses) if dose.alpha)
    axes.plot(places[after_zero:], means[after_zero:], color=FAINT, linewidth=1, zorder=2)
    axes.plot(places[: after_zero + 1], means[: after_zero + 1], color=FAINT, linewidth=1, linestyle=":", zorder=2)
    for x, dose in zip(places, series.doses, strict=True):
        _dose(axes, x, dose)
    axes.set(xlim=(places[0] - 0.35, places[-1] + 0.35), ylim=(-0.03, 1.03), ylabel="P(intended | any goal)")
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(_dose_names(series, places))
    axes.set_xlabel(
        f"α: share of training levels drawn from the shift “{series.alpha_shift}”, log scale, 0 set apart;\n"
        "below it how many agents count"
    )
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    return svg(figure, "P(intended given any goal) under the shift, mean and interval over seeds, by the dose.")


def dose_places(alphas: Sequence[float]) -> NDArray[np.float64]:
    """`[D]` places of sorted doses on a logarithmic axis in decades; 0 stands 0.8 before the smallest other."""
    least = log10(min(alpha for alpha in alphas if alpha))
    return np.array([log10(alpha) if alpha else least - 0.8 for alpha in alphas])


def _dose(axes: Axes, x: float, dose: Dose) -> None:
    found, counted = dose.group.conditional, dose.group.is_counted
    beside = x + 0.07 + 0.12 * (jitter(len(found)) + 0.5)
    axes.scatter(beside[counted], found[counted], s=24, color=BLUE, alpha=0.55, linewidths=0)
    axes.scatter(beside[~counted], found[~counted], s=20, facecolors="white", edgecolors=FAINT)
    if counted.any():
        axes.plot([x, x], [dose.mean.low, dose.mean.high], color=INK, linewidth=2, solid_capstyle="butt", zorder=3)
        axes.plot([x], [dose.mean.value], marker="o", markersize=6.5, color=INK, zorder=4)
        axes.text(x - 0.05, dose.mean.value + 0.02, f"{dose.mean.value:.2f}", ha="right", va="bottom")


def _dose_names(series: Series, places: Places) -> list[str]:
    """What stands under the doses; under one that is too close to the last named, nothing."""
    names: list[str] = []
    named, room = -np.inf, 0.08 * (places[-1] - places[0])
    for x, dose in zip(places, series.doses, strict=True):
        text = f"{100 * dose.alpha:g} %\n{dose.group.is_counted.sum()} of {len(dose.group.agents)}"
        names.append(text if x - named >= room else "")
        named = x if names[-1] else named
    return names


@house_style()
def competence_and_purpose(groups: Sequence[Group]) -> str:
    """An agent a mark: competence in training against P(any goal) over the random policy's, with both thresholds."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.add_subplot()
    families = list(dict.fromkeys(group.recipe.family for group in groups))
    for i, family in enumerate(families):
        found = [m for group in groups if group.recipe.family == family for m in group.measures]
        axes.scatter(
            [m.competence for m in found],
            [m.excess for m in found],
            s=34,
            alpha=0.8,
            linewidths=0.4,
            edgecolors="white",
            color=FAMILIES[i % len(FAMILIES)],
            marker=MARKERS[i % len(MARKERS)],
            label=f"{family}, {count(len(found))}",
            zorder=3,
        )
    _thresholds(axes, groups)
    axes.set(xlabel="competence: share of the pursuer’s success in training")
    axes.set_ylabel("excess: P(any goal) over\nthe random policy’s")
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.6)
    return svg(figure, "Competence in training against purpose under the shift, for every agent.")


def _thresholds(axes: Axes, groups: Sequence[Group]) -> None:
    """Both lines, named where they end, and the corner of those who count, with their number."""
    measures = [m for group in groups for m in group.measures]
    xs, ys = [m.competence for m in measures], [m.excess for m in measures]
    left, right = min([*xs, COMPETENT - 0.02]), max([*xs, 1.0])
    low, high = min([*ys, PURPOSEFUL - 0.1]), max([*ys, PURPOSEFUL + 0.2])
    margin = 0.04 * (right - left)
    axes.set(xlim=(left - margin, right + margin), ylim=(low - 0.06, high + 0.1))
    axes.axvline(COMPETENT, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.axhline(PURPOSEFUL, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.fill_between([COMPETENT, 2], PURPOSEFUL, 2, color=BLUE, alpha=0.06, linewidth=0, zorder=0)
    above, beside = axes.get_xaxis_transform(), axes.get_yaxis_transform()
    axes.text(COMPETENT, 1.01, f"competent from {COMPETENT:g}", transform=above, color=FAINT)
    axes.text(1.01, PURPOSEFUL, f"purposeful\nfrom {PURPOSEFUL:g}", transform=beside, va="center", color=FAINT)
    counted = f"{sum(int(group.is_counted.sum()) for group in groups)} of {len(measures)} count"
    axes.text(0.99, 0.98, counted, transform=axes.transAxes, ha="right", va="top", color=INK)


@house_style()
def outcomes_by_steps(group: Group) -> str:
    """How outcomes come about: each agent's shares after every stage that was kept, thin, and their mean."""
    figure = Figure(figsize=(CARD, 2.2), layout="constrained")
    axes = figure.add_subplot()
    table = stage_table(group)
    steps = list(table)
    trails = np.stack(list(table.values()))  # [S, A, K + 1]
    columns = [(column, FAINT if colour == GREY else colour) for column, colour in _stacking(group)]
    for column, colour in columns:
        axes.plot(steps, trails[:, :, column], color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(steps, trails[:, :, column].mean(1), color=colour, linewidth=2, marker="o", markersize=3.5, zorder=3)
    ends = trails[-1].mean(0)
    upwards = sorted(columns, key=lambda pair: ends[pair[0]])
    sizes = ends[[column for column, _ in upwards]]
    _name_outcomes(axes, upwards, sizes, sizes, group)
    _share_axis(axes)
    axes.set_xscale("log")
    axes.set_xlabel("environment steps, log scale", fontsize=SMALL)
    axes.xaxis.set_major_locator(FixedLocator(steps[:: -(1 + len(steps) // 5)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    return svg(figure, f"Outcome shares of the agents of {group.recipe.name} by steps of training.")
