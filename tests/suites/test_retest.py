"""Test–retest on disjoint halves, and reliability in bins."""

from __future__ import annotations

import numpy as np
import pytest
from tests.suites.made_up import recipe_mean, rows_of, truth

from goalscope.errors import GoalscopeError
from goalscope.suites.reliability import binned, calibration_error, reliability
from goalscope.suites.retest import half_taus, random_halves, retest

N = 8
KNOWN = [truth(0, N), truth(1, N)]


def test_halves_are_disjoint_and_equal_within_every_recipe() -> None:
    halves = random_halves([4, 7], np.random.default_rng(0), 50)
    assert halves.shape == (50, 11)
    for columns, each in ((halves[:, :4], 2), (halves[:, 4:], 3)):
        assert ((columns == 1).sum(1) == each).all() and ((columns == 2).sum(1) == each).all()
    assert len({tuple(row) for row in halves.tolist()}) > 30


def test_methods_that_differ_everywhere_are_always_ranked_alike_and_equal_luck_never() -> None:
    rng = np.random.default_rng(0)
    level = np.arange(5.0)[:, None]
    assert half_taus(level + np.zeros((5, 16)), [8, 8], rng) == pytest.approx(np.ones(200))
    taus = [half_taus(rng.random((6, 16)), [8, 8], rng, 5).mean() for _ in range(200)]
    assert abs(np.mean(taus)) < 0.12


def test_halves_that_contradict_each_other_by_hand() -> None:
    """Two agents: each half holds one, and they rank two methods in opposite order."""
    found = half_taus(np.array([[0.0, 1.0], [1.0, 0.0]]), [2], np.random.default_rng(0), 10)
    assert found == pytest.approx(-np.ones(10))


def rows() -> dict[str, list[dict[str, object]]]:
    blends = {f"b{w}": [w * t.shares + (1 - w) * recipe_mean(t) for t in KNOWN] for w in (0, 0.3, 0.6, 0.9)}
    yardstick = rows_of(KNOWN, [t.shares for t in KNOWN], detector="rollouts", track=4)
    return {name: rows_of(KNOWN, said, detector=name) for name, said in blends.items()} | {"rollouts": yardstick}


def test_a_retest_from_rows_leaves_yardsticks_out() -> None:
    found = retest("seed", KNOWN, rows())
    assert found.methods == ("b0", "b0.3", "b0.6", "b0.9") and found.splits == 200
    assert [found.tau.value, found.tau.low, found.tau.high, found.separated] == pytest.approx([1] * 4)
    assert retest("seed", KNOWN, rows()) == found


def test_one_method_cannot_be_ranked() -> None:
    with pytest.raises(GoalscopeError, match="setting seed has 1"):
        retest("seed", KNOWN, {"b0": rows()["b0"], "rollouts": rows()["rollouts"]})


# Reliability


def test_bins_and_their_error_by_hand() -> None:
    found = binned(np.array([0.11, 0.19, 1.0, 0.95]), np.array([0.2, 0.4, 0.9, 0.8]))
    assert [b.forecast for b in found] == pytest.approx([0.15, 0.975])
    assert [b.truth for b in found] == pytest.approx([0.3, 0.85]) and [b.cases for b in found] == [2, 2]
    assert calibration_error(found) == pytest.approx((0.15 + 0.125) / 2)


def test_truth_holds_what_it_says_and_a_missing_forecast_counts_as_the_reference() -> None:
    assert calibration_error(reliability((t, t.shares) for t in KNOWN)) == pytest.approx(0)
    missing = [np.full_like(t.shares, np.nan) for t in KNOWN]
    found = reliability(zip(KNOWN, missing, strict=True))
    assert found == reliability((t, t.leave_one_out) for t in KNOWN) and sum(b.cases for b in found) == 2 * N * 5


def test_who_is_always_sure_errs_by_what_does_not_happen() -> None:
    sure = [np.broadcast_to([1.0, 0.0, 0.0], t.shares.shape) for t in KNOWN]
    found = calibration_error(reliability(zip(KNOWN, sure, strict=True)))
    assert found == pytest.approx(1 - np.mean([t.shares[..., 0].mean() for t in KNOWN]))
