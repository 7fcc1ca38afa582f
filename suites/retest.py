"""Test–retest: would other agents have ranked the methods alike?

Within every recipe the agents are split into two halves at random, methods are ranked on each half alone, and the two
rankings compared by Kendall's τ; over many splits. The interval is that of τ *over splits of these agents*, not a
confidence interval of what new agents would give; and halves share their calibration, for a method is fitted on
reference agents of both. Each half has half of the agents, so a suite as a whole is more reliable than τ says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from goalscope.errors import GoalscopeError
from goalscope.seeding import generator
from goalscope.suites.contrasts import separated
from goalscope.suites.gather import Row
from goalscope.suites.resample import central
from goalscope.suites.scores import Interval
from goalscope.suites.standing import YARDSTICK, agent_losses, interval
from goalscope.suites.truth import Truth

SPLITS = 200


@dataclass(frozen=True, kw_only=True)
class Retest:
    """How alike two halves of the agents rank the methods of one setting."""

    setting: str
    methods: tuple[str, ...]
    splits: int
    tau: Interval
    """Mean over splits, and the 2.5 % and 97.5 % quantiles over splits."""
    separated: float
    """The share of pairs of methods whose paired difference excludes zero at 95 %, on all agents."""


def retest(
    setting: str, known: Sequence[Truth], methods: Mapping[str, Sequence[Row]], seeds: Sequence[int] | None = None
) -> Retest:
    """Of the ranked methods of a setting, from their rows."""
    ranked = {name: rows for name, rows in sorted(methods.items()) if rows[0]["track"] < YARDSTICK}
    if len(ranked) < 2:
        raise GoalscopeError(f"Two rankings need two ranked methods, setting {setting} has {len(ranked)}.")
    parts = [agent_losses(known, rows, seeds) for rows in ranked.values()]
    # The reference is the same for all methods: in a half, the order of their losses is that of their skills.
    taus = half_taus(np.stack([p.loss for p in parts]), [len(t.ids) for t in known], generator("test-retest"))
    draws = np.stack([interval(p, known)[1] for p in parts])
    return Retest(
        setting=setting,
        methods=tuple(ranked),
        splits=SPLITS,
        tau=Interval(float(np.mean(taus)), *central(taus)),
        separated=separated(draws),
    )


def half_taus(
    losses: NDArray[np.float64], sizes: Sequence[int], rng: np.random.Generator, splits: int = SPLITS
) -> NDArray[np.float64]:
    """`[splits]` Kendall's τ-b between rankings by the losses `[M, A]` of M methods on disjoint halves of agents."""
    halves = random_halves(sizes, rng, splits)
    first, second = (losses @ (halves == which).T for which in (1, 2))
    return np.array([kendalltau(a, b).statistic for a, b in zip(first.T, second.T, strict=True)])


def random_halves(sizes: Sequence[int], rng: np.random.Generator, splits: int) -> NDArray[np.int64]:
    """`[splits, A]` 1 or 2, equally often within each recipe of these sizes; 0 for one agent left over."""
    found = []
    for size in sizes:
        sides = np.arange(size) % 2 + 1
        if size % 2:
            sides[-1] = 0
        found.append(rng.permuted(np.tile(sides, (splits, 1)), axis=1))
    return np.concatenate(found, axis=1)
