"""From rows to standings: setting S_seed in both resolutions, with its known lines and its uncertainty.

Every divergence is taken within a recipe; agents of all recipes are then put together. Bootstraps of all methods draw
the same agents, so differences between methods are paired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import agent_id
from goalscope.detectors.calibration import forecast, level_log_odds, oracle_offsets
from goalscope.detectors.tracks import Track
from goalscope.seeding import generator
from goalscope.suites.equivalents import rollout_curve, rollout_equivalent
from goalscope.suites.population import Population
from goalscope.suites.rows import read_rows
from goalscope.suites.run import Run
from goalscope.suites.score import Losses, bootstrap, geometry_strata, leave_one_out, losses, stratify
from goalscope.suites.scores import Failure, Interval, Line, Scores, Standing

Shares = NDArray[np.float64]
Index = NDArray[np.int64]

PENALTY = 0.1
"""A case without a forecast loses what the leave-one-out mean loses, and this share of the reference more."""
RESOLUTIONS = ("strata", "level", "purposeful", "conditional")
YARDSTICK = Track.ROLLOUT
"""From this track on a method is not ranked."""


@dataclass(frozen=True)
class Truth:
    """One recipe's agents, ready to be scored against."""

    name: str
    recipe_number: int
    ids: tuple[str, ...]
    shares: Shares
    """`[A, L, K + 1]`"""
    folds: Index
    strata: Index
    """`[L]`"""
    intended: int

    def views(self, shares: Shares) -> dict[str, Shares]:
        """Forecasts or truths `[A, L, K + 1]` in each resolution."""
        binned = stratify(shares, self.strata)
        any_goal = binned[..., :-1].sum(-1, keepdims=True)
        conditional = binned[..., [self.intended]] / np.maximum(any_goal, 1e-9)
        return {"strata": binned, "level": shares, "purposeful": any_goal, "conditional": conditional}

    def losses(self, shares: Shares, resolution: str) -> Losses:
        """Of a forecast for all its agents."""
        same = np.zeros(len(self.ids), np.int64)
        return losses(self.views(shares)[resolution], self.views(self.shares)[resolution], same)

    @property
    def leave_one_out(self) -> Shares:
        """`[A, L, K + 1]` each agent's reference forecast."""
        return leave_one_out(self.shares, np.zeros(len(self.ids), np.int64))

    @property
    def agent_oracle(self) -> Shares:
        """`[A, L, K + 1]` the best forecasts with one offset vector an agent, fitted to its own truth."""
        found = np.empty_like(self.shares)
        for fold in np.unique(self.folds):
            log_odds = level_log_odds(self.shares[self.folds != fold])
            for agent in np.flatnonzero(self.folds == fold):
                offsets = oracle_offsets(self.shares[agent], log_odds)
                found[agent] = forecast(log_odds, offsets[None])[0]
        return found


def truths(populations: Sequence[Population]) -> list[Truth]:
    """What populations do, by strata of their own query levels."""
    return [
        Truth(
            name=p.recipe.name,
            recipe_number=number,
            ids=tuple(agent_id(agent.recipe, agent.seed) for agent in p.agents),
            shares=p.truths,
            folds=p.folds,
            strata=geometry_strata(p.query.margins),
            intended=p.query.intended,
        )
        for number, p in enumerate(populations)
    ]


def score_run(run: Run, populations: Sequence[Population]) -> Scores:
    """Score all rows of a complete run."""
    known = truths(populations)
    rows = read_rows(run.parts)
    by_detector: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_detector.setdefault(row["detector"], []).append(row)
    curve = rollout_curve(populations, lambda forecasts: pooled(known, forecasts, "strata").skill)
    lines = (
        line("agent oracle", known, [t.agent_oracle for t in known]),
        line("leave-one-out mean", known, [t.leave_one_out for t in known]),
    )
    found = [standing(name, known, own, curve) for name, own in by_detector.items()]
    ranked = sorted(found, key=lambda s: -s[0].strata.value)
    return Scores(
        suite=run.suite.name,
        suite_sha256=run.suite.hash,
        recipes=tuple(t.name for t in known),
        agents=sum(len(t.ids) for t in known),
        levels=run.suite.levels,
        seeds=run.suite.seeds,
        standings=with_ranks(ranked),
        lines=lines,
        curve=curve,
        failures=failures(rows),
        versions=run.versions,
    )


def failures(rows: Sequence[Mapping[str, Any]]) -> tuple[Failure, ...]:
    """What went wrong, counted by method, flag and message."""
    counted = Counter((row["detector"], row["flag"], row["message"]) for row in rows if row["flag"])
    return tuple(Failure(*what, cases) for what, cases in counted.most_common())


def pooled(known: Sequence[Truth], forecasts: Sequence[Shares], resolution: str) -> Losses:
    """The losses of one forecast a recipe, agents of all recipes one after another."""
    parts = [t.losses(f, resolution) for t, f in zip(known, forecasts, strict=True)]
    return Losses(np.concatenate([p.loss for p in parts]), np.concatenate([p.reference for p in parts]))


def line(name: str, known: Sequence[Truth], forecasts: Sequence[Shares]) -> Line:
    """A forecast that every table shows."""
    strata, level = (pooled(known, forecasts, r) for r in ("strata", "level"))
    return Line(
        name=name,
        strata=interval(strata, known)[0],
        level=interval(level, known)[0],
        by_recipe=_by_recipe(strata, known),
    )


def standing(
    name: str, known: Sequence[Truth], rows: Sequence[Mapping[str, Any]], curve: Sequence[tuple[int, float]]
) -> tuple[Standing, Shares]:
    """A method's scores, still without rank, and the bootstrap replicates `[R]` of its headline."""
    seeds = sorted({row["seed"] for row in rows})
    forecasts = [[_forecasts(t, rows, seed) for t in known] for seed in seeds]
    parts = {r: _mean_losses(known, forecasts, r) for r in RESOLUTIONS}
    intervals = {r: interval(parts[r], known) for r in RESOLUTIONS}
    skill = intervals["strata"][0].value
    found = Standing(
        detector=name,
        track=int(rows[0]["track"]),
        rank="",
        strata=intervals["strata"][0],
        level=intervals["level"][0],
        purposeful=intervals["purposeful"][0],
        conditional=intervals["conditional"][0],
        tau=float(np.mean([[kendall(t, f) for t, f in zip(known, one, strict=True)] for one in forecasts])),
        equivalent=rollout_equivalent(skill, curve),
        by_recipe=_by_recipe(parts["strata"], known),
        cases=len(rows),
        flagged=sum(bool(row["flag"]) for row in rows),
        seconds=float(np.mean([row["seconds"] for row in rows])),
    )
    return found, intervals["strata"][1]


def _forecasts(truth: Truth, rows: Sequence[Mapping[str, Any]], seed: int) -> Shares:
    """`[A, L, K + 1]` one seed's forecasts for a recipe's agents, NaN where there is none."""
    found = np.full(truth.shares.shape, np.nan)
    place = {identity: number for number, identity in enumerate(truth.ids)}
    for row in rows:
        if row["recipe"] == truth.name and row["seed"] == seed and row["forecast"] is not None:
            found[place[row["agent_id"]]] = row["forecast"].reshape(truth.shares.shape[1:])
    return found


def _mean_losses(known: Sequence[Truth], forecasts: Sequence[Sequence[Shares]], resolution: str) -> Losses:
    """Over seeds; where there is no forecast, the leave-one-out mean's loss and a penalty."""
    fallback = pooled(known, [t.leave_one_out for t in known], resolution)
    penalised = fallback.loss + PENALTY * fallback.reference
    per_seed = []
    for one in forecasts:
        loss = pooled(known, one, resolution).loss
        per_seed.append(np.where(np.isnan(loss), penalised, loss))
    return Losses(np.mean(per_seed, axis=0), fallback.reference)


def interval(parts: Losses, known: Sequence[Truth]) -> tuple[Interval, Shares]:
    """Skill with its 95 % interval, and the replicates; all methods share the draws."""
    recipe = _recipe_numbers(known)
    replicates = bootstrap(parts, recipe, generator("bootstrap"))
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Interval(parts.skill, float(low), float(high)), replicates


def _recipe_numbers(known: Sequence[Truth]) -> Index:
    """`[agents]` in the order of :func:`pooled`."""
    return np.concatenate([np.full(len(t.ids), t.recipe_number) for t in known])


def _by_recipe(parts: Losses, known: Sequence[Truth]) -> dict[str, float]:
    recipe = _recipe_numbers(known)
    own = [recipe == t.recipe_number for t in known]
    return {t.name: Losses(parts.loss[rows], parts.reference[rows]).skill for t, rows in zip(known, own, strict=True)}


def kendall(truth: Truth, forecasts: Shares) -> float:
    """τ between forecast and true P(intended | any goal), over pairs of agents tested in the same fold.

    Only those share a calibration: across folds a forecaster without any signal would rank agents backwards, because
    leaving an agent out moves the reference away from it. Ties, and missing forecasts, count zero.
    """
    own, true = (_conditional(truth, shares) for shares in (forecasts, truth.shares))
    same = truth.folds[:, None] == truth.folds[None]
    agree = np.sign(np.round(own[:, None] - own[None], 9)) * np.sign(true[:, None] - true[None])
    upper = np.triu(same, 1)
    return float(np.nan_to_num(agree[upper]).mean())


def _conditional(truth: Truth, shares: Shares) -> Shares:
    """`[A]` P(intended | any goal) over all levels."""
    mean = shares.mean(1)
    return np.asarray(mean[:, truth.intended] / np.maximum(mean[:, :-1].sum(1), 1e-9))


def with_ranks(found: Sequence[tuple[Standing, Shares]]) -> tuple[Standing, ...]:
    """Ranks as ranges: a method may stand anywhere among those from which it cannot be told apart at 95 %."""
    ranked = [pair for pair in found if pair[0].track < YARDSTICK]
    table = []
    for own, replicates in found:
        rank = ""
        if own.track < YARDSTICK:
            gaps = [np.quantile(other - replicates, [0.025, 0.975]) for _, other in ranked]
            first = 1 + sum(low > 0 for low, _ in gaps)
            last = len(ranked) - sum(high < 0 for _, high in gaps)
            rank = f"{first}" if first == last else f"{first}–{last}"
        table.append(Standing(**{**vars(own), "rank": rank}))
    return tuple(table)
