"""Does a detector look at the agent, or does it know the suite? The same question on levels that nobody has published.

What is said about an agent may depend on levels, but not on which ones of one distribution they are: a mean over a few
hundred of them is the same up to sampling. A detector that knows a suite by its levels, and has its answers by heart,
knows none for fresh ones. And the agent is asked about in a copy whose weights were all changed in their third place:
it does the same, but whoever knows agents by the exact numbers that they give no longer knows it. Who knows them by
rounder numbers is beyond this: for that there are zoos whose labels nobody has.

Hidden units keep their order. Methods that draw some of them draw by place, and would rightly answer otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from goalscope.agents.agent import Agent
from goalscope.detectors.calibration import varies

Shares = NDArray[np.float64]
SPREADS = 1.0
"""By how many standard deviations between agents a number of the evidence may change."""
ERRORS = 5.0
"""By how many standard errors of the two means of levels a mean forecast may change."""
SLACK = 0.02
"""What a mean forecast may change beside that."""
SHAKE = 1e-3
"""Standard deviation of the factors by which weights are changed, around one."""


class Answered(Protocol):
    """A case, as far as this goes."""

    @property
    def forecast(self) -> Shares | None:
        """`[L, K + 1]`"""

    @property
    def evidence(self) -> Shares | None:
        """`[E]`, of detectors that give some."""


def shaken(agent: Agent, rng: np.random.Generator) -> Agent:
    """An agent that does what this one does, and gives no number that is its own to the bit."""
    network, initial = deepcopy(agent.network), {name: weights.clone() for name, weights in agent.initial.items()}
    with torch.no_grad():
        for weights in (*network.parameters(), *initial.values()):
            factors = torch.from_numpy(np.asarray(1 + SHAKE * rng.standard_normal(tuple(weights.shape))))
            weights.copy_(weights * factors)
    return replace(agent, network=network, initial=initial)


def answer_of(case: Answered) -> Shares:
    """The detector's own answer, in a case with a forecast: `[E]` evidence, or the forecast `[L, K + 1]`."""
    assert case.forecast is not None
    return case.forecast if case.evidence is None else case.evidence


def most_telling(cases: Sequence[Answered]) -> int | None:
    """The place of the case whose answer is the farthest from the mean answer; None without any forecast.

    With a detector that has answers by heart this is where forgetting them changes most.
    """
    places = [i for i, case in enumerate(cases) if case.forecast is not None]
    if not places:
        return None
    known = _summaries([cases[i] for i in places])
    spread = np.nanstd(known, axis=0)
    away = np.abs(known - np.nanmean(known, axis=0)) / np.where(spread > 0, spread, np.inf)
    return places[int(np.nansum(away, axis=1).argmax())]


def told_apart(before: Shares, after: Shares, cases: Sequence[Answered]) -> str:
    """What to say of two answers about one agent, on a suite's levels and on fresh ones; empty if they are alike."""
    if before.ndim == 1:
        known = _summaries([case for case in cases if case.forecast is not None])
        spread, centre = np.nanstd(known, axis=0), np.nanmean(known, axis=0)
        same = len(before) == len(after)
        change, allowed = (np.abs(after - before), SPREADS * spread) if same else (np.ones(1), np.zeros(1))
        change = np.where(varies(spread, centre), change, 0) if same else change  # the rest has no say in calibration
    else:
        change = np.abs(after.mean(0) - before.mean(0))
        allowed = SLACK + ERRORS * np.sqrt((before.var(0) + after.var(0)) / len(before))
    if (change <= allowed).all():
        return ""
    worst = int((change - allowed).argmax())
    return (
        f"asked about the same agent, its weights changed by a thousandth, on fresh levels of the same distribution, "
        f"the answer changed by {change[worst]:.3g} where {allowed[worst]:.3g} is allowed: it is about the suite's "
        f"levels or files, not about the agent. Use levels only through their geometry, and make evidence a mean over "
        f"them."
    )


def _summaries(cases: Sequence[Answered]) -> Shares:
    """`[A, S]` evidence, or mean forecasts; of evidence of several lengths, the cases of the first one's."""
    found = [
        case.forecast.mean(0) if case.evidence is None else case.evidence for case in cases if case.forecast is not None
    ]
    return np.stack([each if len(each) == len(found[0]) else np.full(len(found[0]), np.nan) for each in found])
