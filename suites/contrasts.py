"""Differences between methods: a few fixed beforehand that carry the claims, all others exploratory; and tied ranks.

Every difference is paired: both methods are scored on the same agents in the same bootstrap draws. Its two-sided p is
that of the bootstrap (Efron & Tibshirani 1993, §15.4): twice the smaller share of draws on either side of zero, a draw
added to each. Preregistered contrasts are corrected after Holm (1979) among themselves, exploratory differences by the
false discovery rate after Benjamini & Hochberg (1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.stats import false_discovery_control

from goalscope.errors import GoalscopeError
from goalscope.suites.resample import central
from goalscope.suites.score import Shares
from goalscope.suites.scores import Difference, Interval
from goalscope.suites.suite import MOST_CONTRASTS

RELIABLE = 1.96
"""Standard deviations of a difference that 95 % of a normal distribution stay within."""


def two_sided(differences: Shares) -> float:
    """The p of a difference of zero, from bootstrap draws `[R]`; 1 where no draw has a difference."""
    drawn = differences[np.isfinite(differences)]
    tails = [1 + int((drawn <= 0).sum()), 1 + int((drawn >= 0).sum())]
    return min(1.0, 2 * min(tails) / (1 + len(drawn)))


def holm(p: Sequence[float]) -> list[float]:
    """p corrected for their number, step by step from the smallest (Holm 1979), in the order given."""
    corrected, worst = [0.0] * len(p), 0.0
    for step, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        worst = max(worst, (len(p) - step) * p[place])
        corrected[place] = min(1.0, worst)
    return corrected


def difference(method: str, baseline: str, skills: Mapping[str, float], draws: Mapping[str, Shares]) -> Difference:
    """The skill of a method minus that of a baseline, p not yet corrected."""
    apart = draws[method] - draws[baseline]
    p = two_sided(apart)
    found = Interval(skills[method] - skills[baseline], *central(apart))
    return Difference(method=method, baseline=baseline, found=found, p=p, corrected=p)


def preregistered(
    contrasts: Sequence[tuple[str, str]], skills: Mapping[str, float], draws: Mapping[str, Shares]
) -> tuple[Difference, ...]:
    """The contrasts that a suite fixed, corrected after Holm; every method in them has rows."""
    if len(contrasts) > MOST_CONTRASTS:
        raise GoalscopeError(f"A suite fixes at most {MOST_CONTRASTS} contrasts beforehand, got {len(contrasts)}.")
    found = [difference(*pair, skills, draws) for pair in contrasts]
    return _corrected(found, holm([d.p for d in found]))


def exploratory(
    names: Sequence[str], fixed: Sequence[tuple[str, str]], skills: Mapping[str, float], draws: Mapping[str, Shares]
) -> tuple[Difference, ...]:
    """All other pairs, the first named first, corrected by the false discovery rate."""
    done = {frozenset(pair) for pair in fixed}
    found = [difference(*pair, skills, draws) for pair in combinations(names, 2) if frozenset(pair) not in done]
    return _corrected(found, false_discovery_control([d.p for d in found]).tolist() if found else [])


def _corrected(found: Sequence[Difference], p: Sequence[float]) -> tuple[Difference, ...]:
    return tuple(replace(each, corrected=own) for each, own in zip(found, p, strict=True))


def gaps(draws: Shares) -> tuple[Shares, Shares]:
    """`[M, M]` twice: the ends of the 95 % interval of row minus column, from draws `[M, R]`; NaN if it has none."""
    ends = np.array([[central(one - other) for other in draws] for one in draws]).reshape(len(draws), len(draws), 2)
    return ends[..., 0], ends[..., 1]


def rank_ranges(draws: Shares) -> list[str]:
    """For instance ``2–4``: where each method may stand, among those from which it cannot be told apart at 95 %.

    A method whose skill is not known may stand anywhere, and pushes nobody.
    """
    low, high = gaps(draws)
    first, last = 1 + (high < 0).sum(1), len(draws) - (low > 0).sum(1)
    return [f"{a}" if a == b else f"{a}–{b}" for a, b in zip(first, last, strict=True)]


def separated(draws: Shares) -> float:
    """The share of pairs of methods whose paired difference excludes zero at 95 %; NaN with fewer than two."""
    low, high = gaps(draws)
    upper = np.triu_indices(len(draws), 1)
    return float(((low > 0) | (high < 0))[upper].mean()) if len(draws) > 1 else float("nan")


def smallest_difference(draws: Shares) -> float:
    """The median over pairs of methods of 1.96 standard deviations of their paired difference, from `[M, R]`."""
    spreads = [np.nanstd(one - other, ddof=1) for one, other in combinations(draws, 2)]
    return RELIABLE * float(np.nanmedian(spreads)) if spreads else float("nan")
