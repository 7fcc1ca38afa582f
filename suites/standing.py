"""One method's standing in one setting, from its rows; and the known lines beside it.

Every divergence is taken within a recipe; agents of all recipes are then put together. A case without a forecast is
never dropped: it loses more than the reference forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.tracks import Track
from goalscope.suites.contrasts import rank_ranges
from goalscope.suites.equivalents import rollout_equivalent
from goalscope.suites.gather import Row, forecasts
from goalscope.suites.reliability import calibration_error, reliability
from goalscope.suites.resample import central, replicate_skills, shared_weights
from goalscope.suites.score import Losses, Shares
from goalscope.suites.scores import Interval, Line, Standing
from goalscope.suites.truth import RESOLUTIONS, Truth, complete

YARDSTICK = Track.ROLLOUT
"""From this track on a method is not ranked."""


def pooled(known: Sequence[Truth], said: Sequence[Shares], resolution: str) -> Losses:
    """`[agents]` losses of one complete forecast a recipe, agents of all recipes one after another."""
    return _joined([t.losses(f, resolution) for t, f in zip(known, said, strict=True)])


def _joined(parts: Sequence[Losses]) -> Losses:
    return Losses(np.concatenate([p.loss for p in parts]), np.concatenate([p.reference for p in parts]))


def interval(parts: Losses, known: Sequence[Truth]) -> tuple[Interval, Shares]:
    """Skill with its 95 % interval, and the replicates `[R]`; all methods share the draws."""
    draws = replicate_skills([parts], _weights(known))[0]
    return Interval(parts.skill, *central(draws)), draws


def _weights(known: Sequence[Truth]) -> Shares:
    return shared_weights(tuple(len(t.ids) for t in known))


def line(name: str, known: Sequence[Truth], said: Sequence[Shares]) -> Line:
    """A forecast that every table shows."""
    strata, level = (pooled(known, said, r) for r in ("strata", "level"))
    return Line(
        name=name,
        strata=interval(strata, known)[0],
        level=interval(level, known)[0],
        by_recipe=_by_recipe(strata, known),
    )


def standing(
    name: str,
    known: Sequence[Truth],
    rows: Sequence[Row],
    curve: Sequence[tuple[int, float]],
    seeds: Sequence[int] | None = None,
) -> tuple[Standing, Shares]:
    """A method's scores, still without rank, and the bootstrap replicates `[R]` of its headline.

    `seeds` are those it should have been run with, by default those it was: a row that is missing costs a penalty.
    """
    asked = seeds_of(rows) if seeds is None else seeds
    said = forecasts(known, rows, asked)
    per_seed = [_scored(known, said[seed]) for seed in asked]
    parts = {r: _mean([one[r] for one in per_seed]) for r in RESOLUTIONS}
    draws = dict(zip(RESOLUTIONS, replicate_skills(list(parts.values()), _weights(known)), strict=True))
    by_recipe = _by_recipe(parts["strata"], known)
    bins = reliability((t, f) for seed in asked for t, f in zip(known, said[seed], strict=True))
    skill = parts["strata"].skill
    found = Standing(
        detector=name,
        track=max(int(row["track"]) for row in rows),
        rank="",
        **{r: Interval(parts[r].skill, *central(draws[r])) for r in RESOLUTIONS},
        tau=float(np.mean([[kendall(t, f) for t, f in zip(known, said[s], strict=True)] for s in asked])),
        calibration_error=calibration_error(bins),
        calibration=bins,
        equivalent=rollout_equivalent(skill, curve),
        by_recipe=by_recipe,
        by_margin=_by_margin(parts["strata"]),
        by_strength=_by_strength(parts["strata"], known),
        worst=min((r for r, value in by_recipe.items() if np.isfinite(value)), key=by_recipe.__getitem__, default=""),
        reseed=_reseed([one["strata"].skill for one in per_seed]),
        cases=sum(len(t.ids) for t in known) * len(asked),
        flagged=sum(int((~complete(f)).sum()) for one in said.values() for f in one),
        seconds=float(np.mean(sorted(row["seconds"] for row in rows))),
    )
    return found, draws["strata"]


def _scored(known: Sequence[Truth], said: Sequence[Shares]) -> dict[str, Losses]:
    """`[agents, S]` losses in every resolution, penalties in place."""
    each = [t.scored(f) for t, f in zip(known, said, strict=True)]
    return {r: _joined([one[r] for one in each]) for r in RESOLUTIONS}


def agent_losses(known: Sequence[Truth], rows: Sequence[Row], seeds: Sequence[int] | None = None) -> Losses:
    """`[agents]` a method's losses by strata, the mean over its detector seeds, penalties in place."""
    asked = seeds_of(rows) if seeds is None else seeds
    said = forecasts(known, rows, asked)
    return _mean([_scored(known, said[seed])["strata"] for seed in asked]).by_agent


def seeds_of(rows: Sequence[Row]) -> list[int]:
    """The detector seeds in some rows."""
    return sorted({row["seed"] for row in rows})


def _mean(parts: Sequence[Losses]) -> Losses:
    """Over detector seeds, which share the reference."""
    return Losses(np.mean([p.loss for p in parts], axis=0), parts[0].reference)


def _reseed(skills: Sequence[float]) -> float | None:
    return float(np.std(skills, ddof=1)) if len(skills) > 1 else None


def _recipes(known: Sequence[Truth]) -> list[NDArray[np.bool_]]:
    """A recipe each, `[agents]` which of all agents are its own, in the order of :func:`pooled`."""
    number = np.repeat(np.arange(len(known)), [len(t.ids) for t in known])
    return [number == each for each in range(len(known))]


def _by_recipe(parts: Losses, known: Sequence[Truth]) -> dict[str, float]:
    return {t.name: parts.of(own).skill for t, own in zip(known, _recipes(known), strict=True)}


def _by_margin(parts: Losses) -> tuple[float, ...]:
    columns = zip(parts.loss.T, parts.reference.T, strict=True)
    return tuple(Losses(loss, reference).skill for loss, reference in columns)


def _by_strength(parts: Losses, known: Sequence[Truth]) -> tuple[tuple[float, float], ...]:
    strength = np.concatenate([np.full(len(t.ids), t.strength) for t in known])
    return tuple((float(each), parts.of(strength == each).skill) for each in np.unique(strength))


def kendall(truth: Truth, said: Shares) -> float:
    """τ between forecast and true P(intended | any goal), over pairs of agents tested in the same fold.

    Only those share a calibration: across folds a forecaster without any signal would rank agents backwards, because
    leaving an agent out moves the reference away from it. Ties, and missing forecasts, count zero.
    """
    own, true = (_conditional(truth, shares) for shares in (said, truth.shares))
    same = truth.folds[:, None] == truth.folds[None]
    agree = np.sign(np.round(own[:, None] - own[None], 9)) * np.sign(true[:, None] - true[None])
    upper = np.triu(same, 1)
    return float(np.nan_to_num(agree[upper]).mean())


def _conditional(truth: Truth, shares: Shares) -> Shares:
    """`[A]` P(intended | any goal) over all levels."""
    mean = shares.mean(1)
    return np.asarray(mean[:, truth.intended] / np.maximum(mean[:, :-1].sum(1), 1e-9))


def is_ranked(found: Standing) -> bool:
    """Yardsticks are not."""
    return found.track < YARDSTICK


def with_ranks(found: Sequence[tuple[Standing, Shares]]) -> tuple[Standing, ...]:
    """Ranks as ranges: a method may stand anywhere among those from which it cannot be told apart at 95 %."""
    draws = [own for standing, own in found if is_ranked(standing)]
    ranks = iter(rank_ranges(np.array(draws)))
    return tuple(replace(s, rank=next(ranks)) if is_ranked(s) else s for s, _ in found)
