"""From rows to standings: forecasts with known answers, on populations that were made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.suites.made_up import fold_mean, outcome_shares, population, recipe_mean, rows_of, truth

from goalscope.detectors.calibration import forecast, level_log_odds, oracle_offsets
from goalscope.suites.equivalents import EPISODES, rollout_curve, rollout_equivalent
from goalscope.suites.population import Population
from goalscope.suites.scores import Standing
from goalscope.suites.standing import kendall, line, pooled, standing, with_ranks
from goalscope.suites.truth import PENALTY, RESOLUTIONS, Truth

Shares = NDArray[np.float64]
N = 8
KNOWN = [truth(0, N), truth(1, N)]
CURVE = ((0, -0.1), (4, 0.5))


def scored(forecasts: Sequence[Shares], known: Sequence[Truth] = KNOWN, **about: Any) -> Standing:
    rows = rows_of(known, forecasts, **about)
    return standing(rows[0]["detector"], known, rows, CURVE)[0]


def blend(weight: float, others: Sequence[Shares], known: Sequence[Truth] = KNOWN) -> list[Shares]:
    """The truth, with this weight given to something else."""
    return [(1 - weight) * t.shares + weight * other for t, other in zip(known, others, strict=True)]


def skills(found: Standing) -> dict[str, float]:
    return {name: getattr(found, name).value for name in RESOLUTIONS}


# Forecasts whose scores are known


def test_the_truth_scores_one_in_every_resolution() -> None:
    found = scored([t.shares for t in KNOWN])
    assert skills(found) == dict.fromkeys(RESOLUTIONS, pytest.approx(1))
    assert found.tau == 1 and found.flagged == 0 and found.cases == 2 * N
    assert [found.strata.low, found.strata.high, *found.by_recipe.values()] == pytest.approx([1] * 4)


def test_the_mean_of_the_other_folds_is_worth_nothing_and_ranks_nobody() -> None:
    found = scored([fold_mean(t) for t in KNOWN])
    assert found.strata.low < 0 and -0.6 < found.strata.value <= 0.01
    assert found.tau == 0


def test_the_exact_mean_of_a_recipe_scores_one_over_n_on_its_own_agents() -> None:
    """The reference divides by n − 1: what is lost around the sample's own mean is (n − 1) / n of it."""
    found = scored([recipe_mean(t) for t in KNOWN])
    assert [found.strata.value, found.level.value, found.purposeful.value] == pytest.approx([1 / N] * 3)


def test_the_line_of_the_mean_of_the_others_lies_at_minus_one_over_n_minus_one() -> None:
    found = line("leave-one-out mean", KNOWN, [t.leave_one_out for t in KNOWN])
    expected = -1 / (N - 1)
    assert [found.strata.value, found.level.value, *found.by_recipe.values()] == pytest.approx([expected] * 4)
    assert [found.strata.low, found.strata.high] == pytest.approx([expected, expected])


def test_the_opposite_of_the_truth_is_worse_than_nothing_and_ranks_backwards() -> None:
    found = scored([2 * recipe_mean(t) - t.shares for t in KNOWN])
    assert found.strata.value == pytest.approx(1 - 4 * (N - 1) / N)
    assert found.level.value == pytest.approx(1 - 4 * (N - 1) / N)
    assert found.tau < -0.6 and found.strata.high < 0


def test_the_opposite_of_a_truth_with_even_purpose_ranks_exactly_backwards() -> None:
    shares = outcome_shares(N)
    goals = shares[..., :2] / shares[..., :2].sum(-1, keepdims=True)
    known = [truth(shares=np.concatenate([0.8 * goals, np.full((*goals.shape[:2], 1), 0.2)], axis=-1))]
    assert kendall(known[0], 2 * recipe_mean(known[0]) - known[0].shares) == -1


def test_kendall_by_hand() -> None:
    """Of four agents in two folds two pairs are compared: one is in order, one reversed, or tied, or unknown."""
    own = np.array([0.1, 0.2, 0.3, 0.4])
    shares = np.stack([own, 0.9 - own, np.full(4, 0.1)], axis=-1)[:, None].repeat(200, 1)
    known = truth(shares=shares)

    def tau(*said: float) -> float:
        forecasts = np.stack([np.array(said), 0.9 - np.array(said), np.full(4, 0.1)], axis=-1)
        return kendall(known, forecasts[:, None].repeat(200, 1))

    assert known.folds.tolist() == [0, 1, 0, 1]
    assert tau(0.1, 0.2, 0.3, 0.4) == 1
    assert tau(0.1, 0.4, 0.3, 0.2) == 0
    assert tau(0.1, 0.3, 0.2, 0.3) == 0.5
    assert tau(0.3, 0.4, 0.1, 0.2) == -1
    assert tau(0.1, np.nan, 0.2, 0.3) == 0.5


# Noise, mixtures, and what must not matter


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True))
def test_more_noise_in_the_truth_never_helps(seed: int, sizes: list[float]) -> None:
    rng = np.random.default_rng(seed)
    noise = [rng.dirichlet(np.ones(3), size=t.shares.shape[:2]) for t in KNOWN]
    less, more = (skills(scored(blend(size, noise))) for size in sorted(sizes))
    for name in ("strata", "level", "purposeful"):
        assert more[name] <= less[name] <= 1


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), size=st.floats(0.01, 0.5), weight=st.floats(0, 1))
def test_noise_never_helps_any_forecast_in_expectation(seed: int, size: float, weight: float) -> None:
    rng = np.random.default_rng(seed)
    given_ = blend(weight, [fold_mean(t) for t in KNOWN])
    noise = [size * rng.normal(size=t.shares.shape) for t in KNOWN]
    both = [pooled(KNOWN, [f + way * n for f, n in zip(given_, noise, strict=True)], "strata") for way in (1, -1)]
    assert np.mean([each.skill for each in both]) < pooled(KNOWN, given_, "strata").skill


def test_the_more_of_the_truth_the_better() -> None:
    means = [recipe_mean(t) for t in KNOWN]
    found = [scored(blend(weight, means)).strata.value for weight in (0, 0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx([1 - w**2 * (N - 1) / N for w in (0, 0.25, 0.5, 0.75, 1)])


def half_right() -> list[Shares]:
    return blend(0.5, [fold_mean(t) for t in KNOWN])


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    rows = rows_of(KNOWN, half_right())
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    assert standing("made up", KNOWN, shuffled, CURVE)[0] == standing("made up", KNOWN, rows, CURVE)[0]


def test_what_agents_are_called_does_not_matter() -> None:
    renamed = [replace(t, ids=tuple(f"{i * 7 % 8} of {t.name}" for i in range(N))) for t in KNOWN]
    assert scored(half_right(), renamed) == scored(half_right())


def test_asking_every_level_twice_changes_nothing() -> None:
    twice = [replace(t, shares=t.shares.repeat(2, 1), strata=t.strata.repeat(2)) for t in KNOWN]
    found = scored([f.repeat(2, 1) for f in half_right()], twice)
    assert skills(found) == pytest.approx(skills(scored(half_right())))


def test_seeds_are_averaged() -> None:
    good, bad = [t.shares for t in KNOWN], [fold_mean(t) for t in KNOWN]
    both = [*rows_of(KNOWN, good, seed=0), *rows_of(KNOWN, bad, seed=1)]
    found = standing("both", KNOWN, both, CURVE)[0]
    assert found.strata.value == pytest.approx((1 + scored(bad).strata.value) / 2)
    assert found.tau == pytest.approx(0.5) and found.cases == 4 * N


# Cases without a forecast


def without(forecasts: Sequence[Shares], *agents: int) -> list[Shares]:
    """The same without the forecasts for some agents of the first recipe."""
    found = [f.copy() for f in forecasts]
    found[0][list(agents)] = np.nan
    return found


def test_a_case_without_forecast_loses_what_the_mean_of_the_others_loses_and_a_penalty() -> None:
    found = scored(without([t.shares for t in KNOWN], 2, 5))
    around = [pooled(KNOWN, [t.leave_one_out for t in KNOWN], r) for r in RESOLUTIONS]
    expected = [1 - (p.loss[[2, 5]].sum() + 2 * PENALTY * p.reference[:N].mean()) / p.reference.sum() for p in around]
    assert list(skills(found).values()) == pytest.approx(expected)
    assert found.flagged == 2 and found.cases == 2 * N


def test_no_forecast_at_all_is_worse_than_the_mean_of_the_others() -> None:
    found = scored([np.full_like(t.shares, np.nan) for t in KNOWN])
    assert found.strata.value == pytest.approx(-1 / (N - 1) - PENALTY)
    assert found.flagged == found.cases == 2 * N and found.tau == 0


@settings(max_examples=20)
@given(agents=st.sets(st.integers(0, N - 1), min_size=1))
def test_leaving_out_cases_never_beats_saying_the_truth(agents: set[int]) -> None:
    whole = [t.shares for t in KNOWN]
    left_out, complete = scored(without(whole, *agents)), scored(whole)
    assert left_out.strata.value < complete.strata.value and left_out.tau < complete.tau
    assert all(left_out.by_recipe[name] <= complete.by_recipe[name] + 1e-12 for name in complete.by_recipe)


def test_leaving_out_cases_never_beats_the_mean_of_the_others() -> None:
    """Whoever has no idea gains nothing by crashing."""
    idle = [t.leave_one_out for t in KNOWN]
    assert scored(without(idle, 0, 1, 2)).strata.value < scored(idle).strata.value


# Ranks


def table(*methods: tuple[str, list[Shares], int]) -> dict[str, Standing]:
    found = [
        standing(name, KNOWN, rows_of(KNOWN, forecasts, detector=name, track=track), CURVE)
        for name, forecasts, track in methods
    ]
    return {s.detector: s for s in with_ranks(sorted(found, key=lambda pair: -pair[0].strata.value))}


def test_the_oracle_is_first_alone_and_equal_methods_share_a_range() -> None:
    means, truths = [fold_mean(t) for t in KNOWN], [t.shares for t in KNOWN]
    found = table(("twin", means, 1), ("oracle", truths, 2), ("other twin", means, 2), ("yardstick", truths, 4))
    assert list(found) == ["oracle", "yardstick", "twin", "other twin"]
    assert {name: s.rank for name, s in found.items()} == {
        "oracle": "1",
        "yardstick": "",
        "twin": "2–3",
        "other twin": "2–3",
    }


def test_a_method_that_is_always_a_little_better_stands_before_its_equal() -> None:
    """Differences are paired: both intervals overlap, and yet one is better in every draw."""
    means = [fold_mean(t) for t in KNOWN]
    found = table(("worse", blend(0.52, means), 2), ("better", blend(0.5, means), 2))
    assert found["worse"].strata.high > found["better"].strata.low
    assert (found["better"].rank, found["worse"].rank) == ("1", "2")


# Known lines, and episodes that would be worth as much


def one_offset(known: Truth, offsets: Shares) -> Shares:
    """`[A, L, 3]` forecasts by given offsets `[A, 3]` on the level odds of the other folds."""
    found = np.empty_like(known.shares)
    for fold in np.unique(known.folds):
        own = known.folds == fold
        found[own] = forecast(level_log_odds(known.shares[~own]), offsets[own])
    return found


def oracles(known: Truth) -> Shares:
    """`[A, 3]` the offsets that fit each agent best."""
    odds = {fold: level_log_odds(known.shares[known.folds != fold]) for fold in (0, 1)}
    return np.stack([oracle_offsets(own, odds[fold]) for own, fold in zip(known.shares, known.folds, strict=True)])


def test_no_forecast_by_one_offset_vector_an_agent_beats_the_agent_oracle() -> None:
    best = line("agent oracle", KNOWN, [t.agent_oracle for t in KNOWN])
    rng = np.random.default_rng(0)
    for size in (0.1, 0.3, 1.0):
        for _ in range(10):
            offsets = [oracles(t) + size * rng.normal(size=(N, 3)) for t in KNOWN]
            found = scored([one_offset(t, o) for t, o in zip(KNOWN, offsets, strict=True)])
            assert found.level.value < best.level.value and found.strata.value < best.strata.value
    assert 0.9 < best.strata.value <= 1


def as_population(known: Truth) -> Population:
    """The same agents, as rollouts are simulated on them."""
    return replace(population(), agents=(), truths=known.shares, folds=known.folds)


def test_the_more_episodes_the_nearer_to_the_agent_oracle() -> None:
    known = [truth(0, 16), truth(1, 16)]
    curve = rollout_curve([as_population(t) for t in known], lambda found: pooled(known, found, "strata").skill)
    ks, reached = zip(*curve, strict=True)
    assert ks == EPISODES
    mean = pooled(known, [fold_mean(t) for t in known], "strata").skill
    best = line("agent oracle", known, [t.agent_oracle for t in known]).strata.value
    assert reached[0] == pytest.approx(mean, abs=0.15)
    assert reached[-1] == pytest.approx(best, abs=0.05) and reached[-1] > 0.85
    assert (np.diff(reached) > -0.02).all() and reached[5] > reached[0] + 0.5


@pytest.mark.parametrize(
    ("skill", "episodes"),
    [(-0.2, 0.0), (-0.1, 0.0), (0.0, 0.5), (0.3, 2.0), (0.4, 6.0), (0.5, 8.0), (0.6, None)],
)
def test_rollout_equivalents_by_hand(skill: float, episodes: float | None) -> None:
    """Straight lines between the k that were tried; where the curve falls back its best so far counts."""
    curve = ((0, -0.1), (1, 0.1), (2, 0.3), (4, 0.25), (8, 0.5))
    found = rollout_equivalent(skill, curve)
    assert found == (None if episodes is None else pytest.approx(episodes))
