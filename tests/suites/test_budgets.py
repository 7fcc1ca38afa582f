"""Skill against budget: what is compared with what, by hand and through rows; and the figure of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.suites.made_up import rows_of, truth

from goalscope.suites.budget_figure import budget_curves
from goalscope.suites.budgets import at_budgets, curves, split
from goalscope.suites.scores import AtBudget, Board, Interval
from goalscope.suites.scoring import board

KNOWN = [truth(0, 8), truth(1, 8)]
SHARES = {
    "ask_the_policy@16": 0.2,
    "ask_the_policy": 0.5,
    "twins@16": 0.5,
    "twins": 0.5,
    "twins@256": 0.9,
    "twins~shuffled": 0.1,
    "inside": 0.7,
}
"""Method -> how much of the truth it tells beyond the recipe's mean: error (1 − share) times the spread."""


@pytest.fixture(scope="module")
def found() -> Board:
    rows = {
        name: rows_of(
            KNOWN,
            [share * t.shares + (1 - share) * t.shares.mean(0) for t in KNOWN],
            detector=name.partition("@")[0],
            track=2 if name == "inside" else 3,
        )
        for name, share in SHARES.items()
    }
    return board("seed", KNOWN, rows, bank_frames=64)


def skill(name: str) -> float:
    """By hand: the loss is (1 − share)² of the plain variance, seven eighths of the unbiased one."""
    return 1 - (1 - SHARES[name]) ** 2 * 7 / 8


def test_a_name_says_its_budget() -> None:
    assert split("ask_the_policy@16", 64) == ("ask_the_policy", 16) and split("mine", 64) == ("mine", 64)
    assert split("./a@b.py", 64) == ("./a@b.py", 64) and split("@16", 64) == ("@16", 64)


def test_methods_under_the_shift_are_compared_with_asking_as_often(found: Board) -> None:
    said = {(p.method, p.frames): p for p in found.at_budgets}
    assert list(said) == [
        ("ask_the_policy", 16),
        ("ask_the_policy", 64),
        ("twins", 16),
        ("twins", 64),
        ("twins", 256),
        ("twins~shuffled", 64),
    ]
    assert said["twins", 16].strata.value == pytest.approx(skill("twins@16"))
    over = said["twins", 16].over_asking
    assert over is not None and over.value == pytest.approx(skill("twins@16") - skill("ask_the_policy@16"))
    assert 0 < over.low < over.value < over.high
    assert said["twins", 64].over_asking == Interval(0, 0, 0)  # says the same of every agent, in every draw
    assert said["twins", 256].over_asking is None  # nobody asked so often
    assert said["ask_the_policy", 16].over_asking is None


def test_a_board_without_methods_under_the_shift_has_none() -> None:
    assert board("seed", KNOWN, {"inside": rows_of(KNOWN, [t.shares for t in KNOWN])}).at_budgets == ()
    assert at_budgets([], {}, 64) == ()


def test_a_line_is_drawn_from_two_budgets_on_and_never_of_a_control(found: Board) -> None:
    lines = curves(found.at_budgets)
    assert {method: [p.frames for p in points] for method, points in lines.items()} == {
        "ask_the_policy": [16, 64],
        "twins": [16, 64, 256],
    }
    assert curves([p for p in found.at_budgets if p.frames == 64]) == {}


def test_the_figure_names_every_line_and_budget_and_is_the_same_again(found: Board) -> None:
    lines = curves(found.at_budgets)
    drawn = budget_curves(lines)
    assert all(f">{text}<" in drawn for text in ("ask_the_policy", "twins", "16", "64", "256"))
    assert "shuffled" not in drawn and drawn == budget_curves(lines)


def test_the_figure_takes_what_is_not_known(found: Board) -> None:
    unknown = Interval(float("nan"), float("nan"), float("nan"))
    point = AtBudget(method="odd", frames=16, strata=unknown, over_asking=None)
    assert "odd" in budget_curves({"odd": [point, replace(point, frames=64, strata=Interval(0.2, 0.3, 0.1))]})


def test_differences_stand_in_the_order_of_methods_and_frames(found: Board) -> None:
    keys = [(p.method, p.frames) for p in found.at_budgets]
    assert keys == sorted(keys) and np.isfinite([p.strata.value for p in found.at_budgets]).all()
