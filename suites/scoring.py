"""From the rows of a run to its boards, one a setting: standings, contrasts, and what the suite can tell apart.

This file puts the parts together; the formulas are in :mod:`goalscope.suites.score` (skill),
:mod:`goalscope.suites.standing` (one method) and :mod:`goalscope.suites.contrasts` (differences).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from goalscope.detectors.tracks import Budget
from goalscope.errors import GoalscopeError
from goalscope.suites.budgets import at_budgets
from goalscope.suites.contrasts import exploratory, preregistered, separated, smallest_difference
from goalscope.suites.equivalents import rollout_curve
from goalscope.suites.gather import Row, by_setting
from goalscope.suites.population import Population
from goalscope.suites.rows import read_rows
from goalscope.suites.run import Run
from goalscope.suites.scores import Board, Failure, Scores
from goalscope.suites.standing import is_ranked, line, pooled, standing, with_ranks
from goalscope.suites.truth import SETTINGS, Truth, truths

Contrasts = Sequence[tuple[str, str]]


def score_run(run: Run, populations: Sequence[Population]) -> Scores:
    """Score all rows of a complete run."""
    rows = read_rows(run.parts)
    contrasts = run.suite.contrasts
    settings = by_setting(rows, run.suite.budget.bank_frames)
    if not settings:
        raise GoalscopeError(f"The run of {run.suite.name} has no rows: there is nothing to score.")
    check_contrasts(contrasts, {name for methods in settings.values() for name in methods})
    boards = []
    for setting, methods in settings.items():
        known = truths(populations, setting)
        curve = watching(known, populations) if setting == SETTINGS[0] else ()
        seeds, frames = range(run.suite.seeds), run.suite.budget.bank_frames
        boards.append(board(setting, known, methods, curve, contrasts, seeds, frames))
    return Scores(
        suite=run.suite.name,
        suite_sha256=run.suite.hash,
        levels=run.suite.levels,
        seeds=run.suite.seeds,
        headline=boards[0],
        transfer=tuple(boards[1:]),
        failures=failures(rows),
        versions=run.versions,
    )


def watching(known: Sequence[Truth], populations: Sequence[Population]) -> tuple[tuple[int, float], ...]:
    """(k, skill by strata after watching k episodes of each agent under the shift)."""
    return rollout_curve(populations, lambda forecasts: pooled(known, forecasts, "strata").skill)


def check_contrasts(contrasts: Contrasts, methods: Iterable[str]) -> None:
    """Raise a :class:`GoalscopeError` about a contrast with a method that has no rows in any setting."""
    have = set(methods)
    for pair in contrasts:
        for name in pair:
            if name not in have:
                raise GoalscopeError(
                    f"The contrast {pair[0]} − {pair[1]} was fixed beforehand, and {name} has no rows: run it too."
                )


def board(
    setting: str,
    known: Sequence[Truth],
    methods: Mapping[str, Sequence[Row]],
    curve: Sequence[tuple[int, float]] = (),
    contrasts: Contrasts = (),
    seeds: Sequence[int] | None = None,
    bank_frames: int = Budget.bank_frames,
) -> Board:
    """The standings of one setting; a contrast with a method that is not in this setting is not in its board.

    `bank_frames` is what methods that are named without a number of frames under the shift were allowed.
    """
    found = [standing(name, known, rows, curve, seeds) for name, rows in sorted(methods.items())]
    found.sort(key=lambda pair: -np.nan_to_num(pair[0].strata.value, nan=-np.inf))
    skills = {s.detector: s.strata.value for s, _ in found}
    draws = {s.detector: replicates for s, replicates in found}
    ranked = [s.detector for s, _ in found if is_ranked(s)]
    among = np.array([draws[name] for name in ranked])
    fixed = [pair for pair in contrasts if set(pair) <= set(skills)]
    reseeds = [s.reseed for s, _ in found if s.reseed is not None]
    name = "leave-one-out mean" if setting == SETTINGS[0] else "regression without it"
    return Board(
        setting=setting,
        recipes=tuple(t.name for t in known),
        agents=sum(len(t.ids) for t in known),
        standings=with_ranks(found),
        lines=(
            line("agent oracle", known, [t.agent_oracle for t in known]),
            line(name, known, [t.fallback for t in known]),
        ),
        curve=tuple(curve),
        contrasts=preregistered(fixed, skills, draws),
        at_budgets=at_budgets([s for s, _ in found], draws, bank_frames),
        exploratory=exploratory(ranked, fixed, skills, draws),
        smallest_difference=smallest_difference(among),
        reseed=float(np.median(reseeds)) if reseeds else float("nan"),
        separated=separated(among),
    )


def failures(rows: Iterable[Row]) -> tuple[Failure, ...]:
    """What went wrong, counted by method, flag and message."""
    counted = Counter((row["detector"], row["flag"], row["message"]) for row in rows if row["flag"])
    return tuple(Failure(*what, cases) for what, cases in counted.most_common())
