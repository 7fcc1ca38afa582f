"""Differences between methods, corrected p, and rank ranges: hand-computed, and where something is missing."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError
from goalscope.seeding import generator
from goalscope.suites.contrasts import (
    exploratory,
    holm,
    preregistered,
    rank_ranges,
    separated,
    smallest_difference,
    two_sided,
)
from goalscope.suites.resample import bootstrap_weights, central, replicate_skills, shared_weights
from goalscope.suites.score import Losses

Draws = NDArray[np.float64]


def test_holm_by_hand() -> None:
    """Times 3, 2, 1 from the smallest; never below one before it; never above one."""
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


@given(p=st.lists(st.floats(0, 1), max_size=5))
def test_holm_keeps_the_order_and_never_helps(p: list[float]) -> None:
    found = holm(p)
    assert all(a <= b <= 1 for a, b in zip(p, found, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()


def test_the_p_of_a_difference_by_hand() -> None:
    assert two_sided(np.ones(99)) == 2 * 1 / 100
    assert two_sided(np.array([-1.0, 1.0, 1.0, np.nan])) == 1.0  # 2 · (1 + 1) / 4
    assert two_sided(np.zeros(10)) == 1.0 and two_sided(np.full(3, np.nan)) == 1.0


def some(*means: float, spread: float = 0.1) -> Draws:
    """`[M, R]` independent draws around means; NaN is a method without skill."""
    return np.array(means)[:, None] + spread * np.random.default_rng(0).normal(size=(len(means), 2000))


def named(draws: Draws) -> tuple[dict[str, float], dict[str, Draws]]:
    names = [chr(ord("a") + i) for i in range(len(draws))]
    return dict(zip(names, draws.mean(1).tolist(), strict=True)), dict(zip(names, draws, strict=True))


def test_contrasts_are_corrected_among_themselves_and_all_others_apart() -> None:
    skills, draws = named(some(0.9, 0.5, 0.45, 0.0))
    fixed = preregistered([("a", "b"), ("c", "b")], skills, draws)
    assert [(d.method, d.baseline) for d in fixed] == [("a", "b"), ("c", "b")]
    assert fixed[0].corrected == pytest.approx(2 * fixed[0].p) and fixed[0].corrected < 0.05
    assert fixed[1].corrected > 0.3 and fixed[1].found.value == pytest.approx(-0.05, abs=0.01)
    others = exploratory(list(skills), [("a", "b"), ("c", "b")], skills, draws)
    assert [(d.method, d.baseline) for d in others] == [("a", "c"), ("a", "d"), ("b", "d"), ("c", "d")]
    assert all(d.corrected >= d.p for d in others)
    assert exploratory(["a"], [], skills, draws) == () and preregistered([], skills, draws) == ()


def test_six_contrasts_are_refused() -> None:
    skills, draws = named(some(0.5, 0.4))
    with pytest.raises(GoalscopeError, match="at most 5 contrasts beforehand, got 6"):
        preregistered([("a", "b")] * 6, skills, draws)


def test_rank_ranges_by_hand_and_with_a_method_whose_skill_is_unknown() -> None:
    assert rank_ranges(some(0.9, 0.1, 0.1, -2.0)) == ["1", "2–3", "2–3", "4"]
    assert rank_ranges(some(0.9, np.nan, 0.1)) == ["1–2", "1–3", "2–3"]
    assert rank_ranges(np.empty((0, 5))) == [] and rank_ranges(some(0.3)) == ["1"]


def test_draws_without_a_skill_are_left_out_of_an_interval() -> None:
    drawn = np.concatenate([np.linspace(0, 1, 101), [np.nan, np.inf]])
    assert central(drawn) == pytest.approx((0.025, 0.975))
    assert np.isnan(central(np.full(3, np.nan))).all()


def test_what_a_suite_tells_apart() -> None:
    assert separated(some(0.9, 0.1, 0.1)) == pytest.approx(2 / 3)
    assert smallest_difference(some(0.9, 0.1, spread=0.1)) == pytest.approx(1.96 * 0.1 * np.sqrt(2), rel=0.05)
    assert np.isnan(separated(some(0.1))) and np.isnan(smallest_difference(some(0.1)))


# The bootstrap


def test_recipes_then_agents_are_drawn_with_replacement() -> None:
    recipe = np.repeat([0, 1, 2], [4, 6, 5])
    weights = bootstrap_weights(recipe, np.random.default_rng(0), 4000)
    times = np.stack([weights[:, recipe == r].sum(1) / n for r, n in ((0, 4), (1, 6), (2, 5))], axis=1)
    assert (times.sum(1) == 3).all() and (times == times.round()).all()
    assert times.var(0) == pytest.approx([2 / 3] * 3, abs=0.05)  # binomial of 3 draws, a third each
    assert weights.mean(0) == pytest.approx(np.ones(15), abs=0.08)


def test_the_seed_controls_the_draws_and_nothing_global_does() -> None:
    recipe = np.repeat([0, 1], 4)
    np.random.seed(1)  # noqa: NPY002  the global generator, which must have no say
    first = bootstrap_weights(recipe, generator("bootstrap"), 50)
    np.random.seed(2)  # noqa: NPY002
    assert (bootstrap_weights(recipe, generator("bootstrap"), 50) == first).all()
    assert (bootstrap_weights(recipe, generator("another"), 50) != first).any()
    assert (shared_weights((4, 4))[:1] == bootstrap_weights(recipe, generator("bootstrap"))[:1]).all()
    with pytest.raises(ValueError, match="read-only"):
        shared_weights((4, 4))[0, 0] = 1


def test_a_group_is_scored_on_the_group_alone() -> None:
    """Changing the losses of one recipe's agents leaves the skill of another alone."""
    own = np.array([True, True, False, False])
    before = Losses(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 5.0))
    after = Losses(np.array([1.0, 2.0, 90.0, 90.0]), np.full(4, 5.0))
    assert before.of(own).skill == after.of(own).skill == 1 - 3 / 10
    assert before.skill != after.skill


def test_thirty_methods_on_256_agents_are_resampled_in_seconds() -> None:
    sizes = (16,) * 16
    parts = [Losses(*np.random.default_rng(i).random((2, 256, 5))) for i in range(150)]  # five resolutions each
    start = time.perf_counter()
    shared_weights.cache_clear()
    draws = replicate_skills(parts, shared_weights(sizes))
    assert len(rank_ranges(draws[:30])) == 30 and 0 <= separated(draws[:30]) <= 1
    assert draws.shape == (150, 2000) and time.perf_counter() - start < 5
