"""Unseen recipes and families: known answers against a given reference; and what holds in every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.suites.made_up import fold_mean, rows_of, truth

from goalscope.errors import GoalscopeError
from goalscope.suites.gather import by_setting, forecasts
from goalscope.suites.scores import Board
from goalscope.suites.scoring import board, check_contrasts, failures
from goalscope.suites.standing import line, pooled, standing
from goalscope.suites.truth import PENALTY, RESOLUTIONS, Truth

Shares = NDArray[np.float64]
N = 8
SEEN = [truth(0, N), truth(1, N)]


def unseen(known: Truth) -> Truth:
    """The same agents, against a reference that knows half of where they differ from an even forecast."""
    regression = np.broadcast_to(0.5 * known.shares.mean(0) + 0.5 / 3, known.shares.shape)
    return replace(known, folds=np.zeros(N, np.int64), regression=regression)


UNSEEN = [unseen(t) for t in SEEN]
SETTINGS: list[tuple[str, list[Truth]]] = [("seed", SEEN), ("recipe", UNSEEN), ("family", UNSEEN)]
both = pytest.mark.parametrize(("setting", "known"), SETTINGS[:2], ids=["seed", "recipe"])
every = pytest.mark.parametrize(("setting", "known"), SETTINGS, ids=[name for name, _ in SETTINGS])


def scored(setting: str, known: Sequence[Truth], said: Sequence[Shares], **about: Any) -> dict[str, float]:
    """Skills in every resolution, through rows and a board."""
    found = scored_board(setting, known, rows_of(known, said, **about)).standings[0]
    return {name: getattr(found, name).value for name in RESOLUTIONS}


def scored_board(setting: str, known: Sequence[Truth], rows: Sequence[dict[str, Any]]) -> Board:
    methods = by_setting({**row, "setting": setting} for row in rows)
    return board(setting, known, methods[setting])


def references(known: Sequence[Truth]) -> list[Shares]:
    return [t.fallback for t in known]


# Known answers


@every
def test_the_truth_scores_one(setting: str, known: list[Truth]) -> None:
    assert scored(setting, known, [t.shares for t in known]) == dict.fromkeys(RESOLUTIONS, pytest.approx(1))


@pytest.mark.parametrize("setting", ["recipe", "family"])
def test_the_reference_of_unseen_recipes_scores_exactly_zero(setting: str) -> None:
    found = scored_board(setting, UNSEEN, rows_of(UNSEEN, references(UNSEEN)))
    one = found.standings[0]
    assert {getattr(one, r).value for r in RESOLUTIONS} == {0.0}
    assert (one.strata.low, one.strata.high, *one.by_recipe.values(), *one.by_margin) == (0.0,) * (2 + 2 + 5)
    assert found.lines[1].name == "regression without it" and found.lines[1].strata.value == 0.0


def test_in_setting_seed_the_mean_of_the_others_has_its_known_score_and_name() -> None:
    found = scored_board("seed", SEEN, rows_of(SEEN, references(SEEN)))
    assert found.standings[0].strata.value == pytest.approx(-1 / (N - 1))
    assert found.lines[1].name == "leave-one-out mean" and found.lines[1].strata.value == pytest.approx(-1 / (N - 1))


@every
def test_the_opposite_of_the_truth_is_worse_than_nothing(setting: str, known: list[Truth]) -> None:
    """Mirrored at the reference it is wrong by twice as much, so it loses four times as much: skill −3."""
    around = [t.shares.mean(0) if t.regression is None else t.regression for t in known]
    found = scored(setting, known, [2 * m - t.shares for m, t in zip(around, known, strict=True)])
    expected = 1 - 4 * (N - 1) / N if setting == "seed" else -3
    assert found["strata"] == pytest.approx(expected) and found["level"] == pytest.approx(expected)


@every
def test_truths_of_other_agents_are_worse_than_the_mean_of_all(setting: str, known: list[Truth]) -> None:
    """Expected over permutations, an error has twice the variance within the recipe: in setting seed skill −1."""
    rng = np.random.default_rng(0)
    shuffled = [scored(setting, known, [t.shares[rng.permutation(N)] for t in known])["strata"] for _ in range(40)]
    mean = scored(setting, known, [np.broadcast_to(t.shares.mean(0), t.shares.shape) for t in known])["strata"]
    assert np.mean(shuffled) < mean
    if setting == "seed":
        assert np.mean(shuffled) == pytest.approx(1 - 2 * (N - 1) / N, abs=0.15)


@every
def test_a_constant_scores_what_it_loses_by_hand(setting: str, known: list[Truth]) -> None:
    found = scored(setting, known, [np.full_like(t.shares, 1 / 3) for t in known])["level"]
    lost = sum(((t.shares - 1 / 3) ** 2).sum() for t in known)
    reference = sum(
        N * t.shares.var(0, ddof=1).sum() if t.regression is None else ((t.shares - t.regression) ** 2).sum()
        for t in known
    )
    assert found == pytest.approx(1 - lost / reference) and found < 0.5


@both
def test_an_oracle_with_noise_has_its_expected_skill(setting: str, known: list[Truth]) -> None:
    """Independent noise of variance s² a number: by level it loses L·C·s² an agent, by strata that over the levels."""
    rng, s = np.random.default_rng(0), 0.1
    drawn = [scored(setting, known, [t.shares + s * rng.normal(size=t.shares.shape) for t in known]) for _ in range(40)]
    perfect = {r: pooled(known, [t.shares for t in known], r).reference.sum() for r in ("level", "strata")}
    levels, outcomes = known[0].shares.shape[1:]
    lost = {"level": 2 * N * levels * outcomes * s**2, "strata": 2 * N * 5 * outcomes * s**2 / (levels / 5)}
    for name, total in lost.items():
        found = [each[name] for each in drawn]
        assert np.mean(found) == pytest.approx(1 - total / perfect[name], abs=4 * np.std(found) / np.sqrt(40) + 1e-9)


@both
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(0.01, 0.5), weight=st.floats(0, 1))
def test_noise_never_helps_in_expectation(
    setting: str, known: list[Truth], seed: int, size: float, weight: float
) -> None:
    rng = np.random.default_rng(seed)
    said = [weight * t.shares + (1 - weight) * t.fallback for t in known]
    noise = [size * rng.normal(size=t.shares.shape) for t in known]
    ways = [pooled(known, [f + way * n for f, n in zip(said, noise, strict=True)], "level") for way in (1, -1)]
    assert np.mean([each.skill for each in ways]) < pooled(known, said, "level").skill


# What must not matter, and what must


@every
def test_neither_order_nor_names_nor_repeated_rows_matter(setting: str, known: list[Truth]) -> None:
    said = [0.5 * t.shares + 0.5 * t.fallback for t in known]
    rows = rows_of(known, said)
    found = scored_board(setting, known, rows)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert scored_board(setting, known, shuffled).standings == found.standings
    assert scored_board(setting, known, [*rows, *rows_of(known, said)]).standings == found.standings
    renamed = [replace(t, ids=tuple(f"x{i * 7 % 8} of {t.name}" for i in range(N))) for t in known]
    assert scored_board(setting, renamed, rows_of(renamed, said)).standings == found.standings


def test_the_order_of_rows_does_not_matter_to_any_part_of_a_board() -> None:
    rows = [*rows_of(SEEN, [fold_mean(t) for t in SEEN], detector="b"), *rows_of(SEEN, [t.shares for t in SEEN])]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    one, other = (scored_board("seed", SEEN, some) for some in (rows, shuffled))
    assert one.exploratory == other.exploratory and one.standings == other.standings
    assert (one.smallest_difference, one.separated) == (other.smallest_difference, other.separated)


def test_two_different_rows_about_one_case_are_an_error() -> None:
    rows = rows_of(SEEN, [t.shares for t in SEEN])
    with pytest.raises(GoalscopeError, match="Two different rows .* made up with seed 0 on agent 0.3"):
        by_setting([*rows, {**rows[3], "forecast": rows[4]["forecast"]}])
    with pytest.raises(GoalscopeError, match="Two different rows"):
        by_setting([*rows, {**rows[3], "forecast": None}])


def test_rows_of_different_settings_and_budgets_are_told_apart() -> None:
    rows = rows_of(SEEN, [t.shares for t in SEEN])
    found = by_setting(
        [*rows, *({**r, "setting": "family"} for r in rows), *({**r, "bank_frames": 16} for r in rows)], 64
    )
    assert {setting: list(methods) for setting, methods in found.items()} == {
        "seed": ["made up", "made up@16"],
        "family": ["made up"],
    }
    assert list(by_setting({**r, "bank_frames": 64} for r in rows)["seed"]) == ["made up@64"]
    assert list(by_setting(({**r, "bank_frames": 64} for r in rows), 64)["seed"]) == ["made up"]
    with pytest.raises(GoalscopeError, match="setting 'agent'; known are seed, recipe, family"):
        by_setting({**r, "setting": "agent"} for r in rows)


def test_rows_that_are_not_about_the_suite_are_not_dropped_in_silence() -> None:
    rows = rows_of(SEEN, [t.shares for t in SEEN])
    with pytest.raises(GoalscopeError, match="recipe 1, seed 0, which this suite does not score"):
        forecasts(SEEN[:1], rows, [0])
    with pytest.raises(GoalscopeError, match="seed 0, which this suite does not score"):
        forecasts(SEEN, rows, [1])
    with pytest.raises(GoalscopeError, match="has 2 numbers; expected 200 levels × 3 outcomes"):
        forecasts(SEEN, [{**rows[0], "forecast": np.zeros(2)}], [0])


def test_a_contrast_with_a_method_that_did_not_run_is_an_error() -> None:
    check_contrasts([("a", "b")], ["b", "a"])
    with pytest.raises(GoalscopeError, match="contrast a − b was fixed beforehand, and b has no rows"):
        check_contrasts([("a", "b")], ["a"])


# Cases without a forecast


@every
def test_a_missing_row_a_nan_a_crash_and_a_cheat_cost_the_same_and_are_counted(
    setting: str, known: list[Truth]
) -> None:
    said = [t.shares for t in known]
    whole = rows_of(known, said)
    crashed = [{**row, "forecast": None, "flag": "raised"} if i == 3 else row for i, row in enumerate(whole)]
    broken = [
        {**row, "forecast": np.full_like(row["forecast"], np.nan)} if i == 3 else row for i, row in enumerate(whole)
    ]
    absent = [row for i, row in enumerate(whole) if i != 3]
    cheated = [{**row, "flag": "fingerprint"} if i == 3 else row for i, row in enumerate(whole)]
    found = [scored_board(setting, known, rows).standings[0] for rows in (crashed, broken, absent, cheated)]
    assert len({f.strata.value for f in found}) == 1 and found[0].strata.value < 1
    assert [f.flagged for f in found] == [1] * 4 and [f.cases for f in found] == [2 * N] * 4


def test_a_seed_that_was_not_run_is_missing() -> None:
    rows = rows_of(SEEN, [t.shares for t in SEEN])
    found = standing("made up", SEEN, rows, (), seeds=[0, 1])[0]
    assert found.flagged == 2 * N and found.cases == 4 * N
    assert found.strata.value == pytest.approx((1 - 1 / (N - 1) - PENALTY) / 2)
    assert found.reseed == pytest.approx((1 + 1 / (N - 1) + PENALTY) / np.sqrt(2))


@pytest.mark.parametrize("setting", ["recipe", "family"])
def test_failing_always_scores_exactly_the_penalty(setting: str) -> None:
    found = scored(setting, UNSEEN, [np.full_like(t.shares, np.nan) for t in UNSEEN])
    assert found == dict.fromkeys(RESOLUTIONS, pytest.approx(-PENALTY))


@every
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), weight=st.floats(0, 1))
def test_who_fails_on_the_worst_cases_never_beats_saying_the_reference_there(
    setting: str, known: list[Truth], seed: int, weight: float
) -> None:
    """Whoever knows where it is worst can say the reference forecast, and that is better than to fail."""
    rng = np.random.default_rng(seed)
    said = [weight * t.shares + (1 - weight) * rng.dirichlet(np.ones(3), t.shares.shape[:2]) for t in known]
    loss = [t.losses(f, "strata").loss for t, f in zip(known, said, strict=True)]
    worst = [each >= np.quantile(each, 0.6) for each in loss]
    failing, saying = [f.copy() for f in said], [f.copy() for f in said]
    for t, bad, a, b in zip(known, worst, failing, saying, strict=True):
        a[bad], b[bad] = np.nan, t.fallback[bad]
    assert scored(setting, known, failing)["strata"] < scored(setting, known, saying)["strata"]


@both
def test_a_method_that_is_no_worse_than_its_reference_gains_nothing_by_failing(
    setting: str, known: list[Truth]
) -> None:
    said = [0.3 * t.shares + 0.7 * t.fallback for t in known]
    whole = scored(setting, known, said)["strata"]
    for failed in range(1, N + 1):
        missing = [f.copy() for f in said]
        for f, t in zip(missing, known, strict=True):
            worst = np.argsort(-t.losses(f, "strata").loss)[:failed]
            f[worst] = np.nan
        assert scored(setting, known, missing)["strata"] < whole


def test_with_as_many_agents_as_suites_have_failing_is_worse_than_knowing_the_recipe() -> None:
    """Sixteen agents in four folds: the mean of twelve others loses 1 + 1/12, a failure 1 + 1/15 + the penalty."""
    known = [replace(truth(i, 16), folds=np.arange(16) % 4) for i in range(3)]
    failing = scored("seed", known, [np.full_like(t.shares, np.nan) for t in known])["strata"]
    assert failing == pytest.approx(-1 / 15 - PENALTY)
    assert failing < scored("seed", known, [fold_mean(t) for t in known])["strata"]


# Lines, parts, and recipes in which agents do not differ


def test_the_agent_oracle_of_unseen_recipes_is_close_to_the_truth() -> None:
    best = line("agent oracle", UNSEEN, [t.agent_oracle for t in UNSEEN])
    assert 0.5 < best.strata.value <= 1 and best.level.value < best.strata.value


def test_skill_by_margin_strength_and_recipe_puts_each_where_it_belongs() -> None:
    """Right in the first stratum and the first recipe only."""
    known = [replace(SEEN[0], strength=0.5), SEEN[1]]
    said = [t.leave_one_out.copy() for t in known]
    said[0][:, known[0].strata == 0] = known[0].shares[:, known[0].strata == 0]
    found = standing("made up", known, rows_of(known, said), ())[0]
    nothing = pytest.approx(-1 / (N - 1))
    assert list(found.by_margin[1:]) == [nothing] * 4 and found.by_margin[0] > 0
    assert [s for s, _ in found.by_strength] == [0.5, 1.0] and found.by_strength[1][1] == nothing
    assert found.by_strength[0][1] == found.by_recipe["recipe 0"] > 0 and found.worst == "recipe 1"


def test_where_agents_do_not_differ_there_is_no_skill_and_no_warning() -> None:
    same = truth(shares=np.broadcast_to(truth().shares[0], (N, 200, 3)))
    found = standing("made up", [same, SEEN[1]], rows_of([same, SEEN[1]], [same.shares, SEEN[1].shares]), ())[0]
    assert np.isnan(found.by_recipe["recipe 0"]) and found.worst == "recipe 1"
    assert found.strata.value == pytest.approx(1) and np.isfinite([found.strata.low, found.strata.high]).all()


def test_what_went_wrong_is_counted() -> None:
    rows = [{"detector": "d", "flag": flag, "message": "m"} for flag in ("raised", "", "raised", "malformed")]
    assert [(f.flag, f.cases) for f in failures(rows)] == [("raised", 2), ("malformed", 1)]
