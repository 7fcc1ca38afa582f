"""Forecasts whose score is known beforehand, on the real agents of every suite and in every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from tests.suites.made_up import rows_of

from goalscope.agents.zoo import find_zoo
from goalscope.detectors.calibration import Shares
from goalscope.errors import StorageError
from goalscope.registry import SUITES
from goalscope.suites.gather import forecasts
from goalscope.suites.population import load_population
from goalscope.suites.score import stratify
from goalscope.suites.standing import pooled
from goalscope.suites.suite import Suite
from goalscope.suites.truth import SETTINGS, Truth, truths

OTHERS = [suite for _, suite in SUITES.load_all() if isinstance(suite, Suite) and suite.name != "smoke"]
ASKED = [pytest.param(("smoke", setting), id=f"smoke, {setting}") for setting in SETTINGS] + [
    pytest.param((suite.name, setting), id=f"{suite.name}, {setting}", marks=pytest.mark.slow)
    for suite in OTHERS
    for setting in suite.settings
]
AGENTS = 16
SHARE = (AGENTS - 1) / AGENTS
"""Of the unbiased variance within a recipe, which is setting seed's reference, that an error of the plain one loses."""


@dataclass(frozen=True)
class Asked:
    """Agents of a suite's zoo with what they do, in one setting."""

    setting: str
    known: list[Truth]

    @property
    def middle(self) -> list[Shares]:
        """The recipes' own means in setting seed, else the regressions without them, which score 0 exactly."""
        if self.setting == "seed":
            return [np.broadcast_to(t.shares.mean(0), t.shares.shape) for t in self.known]
        return [t.fallback for t in self.known]

    def skills(self, said: Sequence[Shares]) -> list[float]:
        """By strata and by level, by way of rows."""
        found = forecasts(self.known, rows_of(self.known, said), [0])[0]
        return [pooled(self.known, found, name).skill for name in ("strata", "level")]

    def reference(self, binned: bool) -> float:
        """What the forecast that scores 0 loses, by hand."""
        total = 0.0
        for truth, middle in zip(self.known, self.middle, strict=True):
            error = truth.shares - middle
            total += ((stratify(error, truth.strata) if binned else error) ** 2).sum()
        return total / SHARE if self.setting == "seed" else total


@cache
def asked_about(suite_name: str, setting: str) -> Asked:
    suite = SUITES.load(suite_name)
    try:
        zoo = find_zoo(suite.zoo)
    except StorageError as error:
        pytest.skip(str(error))
    return Asked(setting, truths([load_population(zoo, n, suite.levels, suite.folds) for n in suite.recipes], setting))


@pytest.fixture(params=ASKED)
def asked(request: pytest.FixtureRequest) -> Asked:
    return asked_about(*request.param)


def test_the_truth_scores_one(asked: Asked) -> None:
    assert asked.skills([t.shares for t in asked.known]) == pytest.approx([1, 1])


def test_what_a_score_of_nothing_stands_for_is_known(asked: Asked) -> None:
    """The exact mean of n agents has 1/n of skill on those very agents; the regression without a recipe has none."""
    assert asked.skills(asked.middle) == pytest.approx([1 - SHARE if asked.setting == "seed" else 0] * 2)


def test_the_mean_of_the_other_agents_scores_minus_one_over_n_minus_one(asked: Asked) -> None:
    if asked.setting == "seed":
        assert asked.skills([t.leave_one_out for t in asked.known]) == pytest.approx([-1 / (AGENTS - 1)] * 2)
    else:
        assert min(asked.skills([t.leave_one_out for t in asked.known])) > 0  # it knows the recipe, which was hidden


def test_the_opposite_of_the_truth_loses_four_times_the_reference(asked: Asked) -> None:
    opposite = [2 * middle - t.shares for middle, t in zip(asked.middle, asked.known, strict=True)]
    assert asked.skills(opposite) == pytest.approx([1 - 4 * (SHARE if asked.setting == "seed" else 1)] * 2)


def test_truths_dealt_out_to_other_agents_lose_twice_the_spread_of_a_recipe(asked: Asked) -> None:
    """Averaged over all ways to turn the agents round, their own places among them."""
    turned = [asked.skills([np.roll(t.shares, way, axis=0) for t in asked.known]) for way in range(AGENTS)]
    for found, binned in zip(np.mean(turned, axis=0), (True, False), strict=True):
        spread = 2 * sum(
            AGENTS * (stratify(t.shares, t.strata) if binned else t.shares).var(0).sum() for t in asked.known
        )
        assert found == pytest.approx(1 - spread / asked.reference(binned)) and found < 0.3


def test_a_constant_loses_what_it_is_away_from_the_truth(asked: Asked) -> None:
    found = asked.skills([np.full_like(t.shares, 1 / t.shares.shape[2]) for t in asked.known])
    for skill, binned in zip(found, (True, False), strict=True):
        lost = sum(
            (((stratify(t.shares, t.strata) if binned else t.shares) - 1 / t.shares.shape[2]) ** 2).sum()
            for t in asked.known
        )
        assert skill == pytest.approx(1 - lost / asked.reference(binned)) and skill < 1


def test_an_oracle_with_noise_loses_its_variance_by_level_and_less_by_strata(asked: Asked) -> None:
    """Of variance s² a number: L · C · s² an agent by level; by strata of m levels each number has s²/m left."""
    rng, size, draws = np.random.default_rng(0), 0.1, 12
    noisy = [
        asked.skills([t.shares + size * rng.normal(size=t.shares.shape) for t in asked.known]) for _ in range(draws)
    ]
    for found, binned in zip(np.transpose(noisy), (True, False), strict=True):
        lost = sum(AGENTS * t.shares.shape[2] * size**2 * _levels_worth(t, binned) for t in asked.known)
        expected, error = 1 - lost / asked.reference(binned), found.std(ddof=1) / np.sqrt(draws)
        assert found.mean() == pytest.approx(expected, abs=4 * error)


def _levels_worth(truth: Truth, binned: bool) -> float:
    """How many independent numbers of full variance an agent's errors in one column are worth."""
    return float((1 / np.bincount(truth.strata)).sum()) if binned else float(len(truth.strata))
