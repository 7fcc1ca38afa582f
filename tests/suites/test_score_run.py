"""A run's rows on disk, in all three settings, to its boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.suites.made_up import CORNER, DISH, LEVELS, outcome_shares, untrained

from goalscope.agents.recipe import Recipe
from goalscope.detectors.query import query_for
from goalscope.errors import GoalscopeError
from goalscope.suites.population import Population, assign_folds
from goalscope.suites.rows import write_part
from goalscope.suites.run import Run
from goalscope.suites.scores import Scores
from goalscope.suites.scoring import score_run
from goalscope.suites.suite import Suite
from goalscope.suites.truth import SETTINGS, Truth, truths

AGENTS = 8
SUITE = Suite(
    name="made_up", zoo="nowhere", recipes=("dish", "corner"), seeds=1, levels=LEVELS, contrasts=(("oracle", "idle"),)
)


def made(recipe: Recipe, number: int) -> Population:
    agents = tuple(untrained(recipe, seed) for seed in range(AGENTS))
    shares = outcome_shares(AGENTS, seed=number)
    return Population(recipe, query_for(recipe, LEVELS), agents, shares, assign_folds(AGENTS, 2, recipe.hash))


@pytest.fixture(scope="module")
def populations() -> list[Population]:
    return [made(DISH, 0), made(CORNER, 1)]


def rows(setting: str, detector: str, known: list[Truth], said: list[NDArray[np.float64]]) -> list[dict[str, Any]]:
    about = {"setting": setting, "detector": detector, "track": 2, "seed": 0, "bank_frames": SUITE.budget.bank_frames}
    return [
        {**about, "recipe": t.name, "agent_id": i, "forecast": f.ravel(), "flag": "", "message": "", "seconds": 1.0}
        for t, shares in zip(known, said, strict=True)
        for i, f in zip(t.ids, shares, strict=True)
    ]


def scored(folder: Path, populations: list[Population], settings: tuple[str, ...], suite: Suite = SUITE) -> Scores:
    parts = []
    for setting in settings:
        known = truths(populations, setting)
        both = [
            *rows(setting, "oracle", known, [t.shares for t in known]),
            *rows(setting, "idle", known, [t.fallback for t in known]),
        ]
        parts.append(folder / f"{setting}.parquet")
        write_part(parts[-1], both)
    return score_run(Run(suite, folder, tuple(parts), {"python": "3"}), populations)


def test_settings_are_scored_each_on_its_own_board(tmp_path: Path, populations: list[Population]) -> None:
    found = scored(tmp_path, populations, SETTINGS[::-1])
    assert [board.setting for board in found.boards] == ["seed", "recipe", "family"] and found.headline.curve
    zero = {"seed": -1 / (AGENTS - 1), "recipe": 0, "family": 0}
    for board in found.boards:
        assert [s.detector for s in board.standings] == ["oracle", "idle"]
        assert [s.rank for s in board.standings] == ["1", "2"] and board.agents == 2 * AGENTS
        # Forecasts are stored in single precision.
        assert board.standings[0].strata.value == pytest.approx(1, abs=1e-6)
        assert board.standings[1].strata.value == pytest.approx(zero[board.setting], abs=1e-5)
        assert [c.found.value for c in board.contrasts] == pytest.approx([1 - zero[board.setting]], abs=1e-5)
        assert board.exploratory == () and board.separated == 1


def test_a_run_of_unseen_recipes_alone_has_their_board_as_headline(
    tmp_path: Path, populations: list[Population]
) -> None:
    found = scored(tmp_path, populations, ("recipe",))
    assert found.headline.setting == "recipe" and found.transfer == () and found.headline.curve == ()


def test_a_contrast_that_cannot_be_made_is_said(tmp_path: Path, populations: list[Population]) -> None:
    suite = replace(SUITE, contrasts=(("oracle", "absent"),))
    with pytest.raises(GoalscopeError, match="absent has no rows"):
        scored(tmp_path, populations, ("seed",), suite)


def test_a_run_without_rows_is_said(tmp_path: Path, populations: list[Population]) -> None:
    with pytest.raises(GoalscopeError, match="no rows"):
        scored(tmp_path, populations, (), replace(SUITE, contrasts=()))
