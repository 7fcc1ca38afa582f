"""Detectors that break every rule, beside one that keeps them; and detectors that know the answer."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from tests.suites.made_up import by_agent, population

from goalscope.agents.agent import agent_id
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import level_log_odds, oracle_offsets
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Budget, Track
from goalscope.suites.case import Case
from goalscope.suites.crossfit import crossfit
from goalscope.suites.population import assign_folds
from goalscope.suites.rows import case_row, read_part, write_part
from goalscope.suites.scores import Standing
from goalscope.suites.standing import line, standing
from goalscope.suites.truth import truths

Shares = NDArray[np.float64]
POPULATION = population()
AGENTS = len(POPULATION.agents)
SHAPE = POPULATION.query.shape
ODD = POPULATION.agents[5].id
"""The one agent at which some of the rogues go wrong."""
BUDGET = Budget(frames=64, bank_frames=16, episodes=4, passes=512, seconds=30)


class Answers(Detector):
    """Evidence of a given function, on a given track."""

    def __init__(self, answer: Callable[[AgentHandle, Query], Any], track: Track = Track.WHITEBOX) -> None:
        self.answer = answer
        self.track = track

    def evidence(self, agent: AgentHandle, query: Query) -> Any:
        return self.answer(agent, query)


class Forecasts(Answers):
    """Forecasts of a given function."""

    def forecast(self, agent: AgentHandle, query: Query) -> Any:
        return self.answer(agent, query)


class Learns(Detector):
    """Forecasts what `learn` makes of the reference cases."""

    def __init__(self, learn: Callable[[Sequence[ReferenceCase]], Any]) -> None:
        self.learn = learn

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        found: Self = self.learn(reference)
        return found

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return 1.0


def identity(agent: AgentHandle) -> str:
    return agent._agent.id


def looks(agent: AgentHandle, query: Query) -> ArrayLike:
    """A detector as it should be: what the agent does on a few frames."""
    return np.asarray(agent.outputs(agent.frames(16)).probabilities.mean(0))


GOOD = Answers(looks, Track.BLACKBOX)


def run(detector: Detector, *, seed: int = 0, budget: Budget = BUDGET) -> list[Case]:
    return crossfit(detector, POPULATION, seed, budget)


def answers(cases: Sequence[Case]) -> list[tuple[Any, ...]]:
    """All that a case says but its time, comparable to the bit."""
    arrays = [(c.forecast, c.evidence) for c in cases]
    plain = [(c.agent, c.fold, c.flag, c.message, tuple(sorted(c.tally.items()))) for c in cases]
    return [(*p, *(None if a is None else a.tobytes() for a in both)) for p, both in zip(plain, arrays, strict=True)]


# What a good detector gets


def test_every_agent_is_tested_once_and_forecasts_are_shares() -> None:
    cases = run(GOOD)
    assert [c.agent for c in cases] == list(range(AGENTS))
    assert [c.fold for c in cases] == POPULATION.folds.tolist()
    for case in cases:
        assert case.flag == "" and case.forecast is not None and case.forecast.shape == SHAPE
        assert case.forecast.min() >= 0 and np.allclose(case.forecast.sum(1), 1)
        assert case.tally["frames"] == case.tally["passes"] == 16 and case.seconds > 0


def test_fit_sees_the_agents_of_the_other_folds_and_their_outcomes_only() -> None:
    seen: list[set[str]] = []
    table = by_agent(POPULATION, POPULATION.truths)

    def learn(reference: Sequence[ReferenceCase]) -> Detector:
        seen.append({identity(case.agent) for case in reference})
        assert all(np.array_equal(case.outcomes, table[identity(case.agent)]) for case in reference)
        known = seen[-1]
        return Answers(lambda agent, query: float(identity(agent) in known))

    assert all(case.flag == "" for case in run(Learns(learn)))
    everybody = set(table)
    for fold, known in enumerate(seen):
        tested = {POPULATION.agents[a].id for a in np.flatnonzero(POPULATION.folds == fold)}
        assert known == everybody - tested and len(tested) == 4
    assert len(seen) == 3


def test_a_forecaster_is_asked_about_each_agent_in_its_own_fold_only() -> None:
    asked: list[str] = []

    def forecast(agent: AgentHandle, query: Query) -> ArrayLike:
        asked.append(identity(agent))
        return np.full(query.shape, 1 / 3)

    run(Forecasts(forecast))
    audited = asked.pop()
    assert sorted(asked) == sorted(agent.id for agent in POPULATION.agents) and audited in asked[-4:]


def test_folds_are_even_and_do_not_depend_on_anything_but_the_recipe() -> None:
    folds = assign_folds(16, 4, "a recipe")
    assert np.bincount(folds).tolist() == [4, 4, 4, 4]
    assert (folds == assign_folds(16, 4, "a recipe")).all()
    assert (folds != assign_folds(16, 4, "another")).any()


def test_the_same_seed_repeats_to_the_bit_and_another_draws_other_frames() -> None:
    shown: list[bytes] = []

    def watch(agent: AgentHandle, query: Query) -> ArrayLike:
        frames = agent.frames(16)
        shown.append(frames.obs.tobytes())
        return np.asarray(agent.outputs(frames).probabilities.mean(0) + 1e-3 * agent.rng.normal())

    first, again, other = (run(Answers(watch), seed=seed) for seed in (0, 0, 1))
    assert answers(first) == answers(again)
    assert all(a.forecast is not None and b.forecast is not None for a, b in zip(first, other, strict=True))
    assert not any(np.array_equal(a.evidence, b.evidence) for a, b in zip(first, other, strict=True))  # type: ignore[arg-type]
    assert len(set(shown)) == 2


# Rogues: (detector, flag, what its message says)


def odd(wrong: Callable[[AgentHandle], Any], right: Any = 1.0) -> Callable[[AgentHandle, Query], Any]:
    """Right for all agents but one."""
    return lambda agent, query: wrong(agent) if identity(agent) == ODD else right


def shares(value: float) -> Shares:
    return np.full(SHAPE, value)


def forged(agent: AgentHandle) -> Frames:
    frames = agent.frames(4)
    return replace(frames, obs=np.ascontiguousarray(frames.obs[::-1]))


def relabelled(agent: AgentHandle) -> Frames:
    frames = agent.frames(4)
    return replace(frames, levels=frames.levels.take([3, 2, 1, 0]))


def blacken(array: NDArray[np.uint8]) -> float:
    array[:] = 0
    return 1.0


def burst(agent: AgentHandle) -> float:
    raise ZeroDivisionError("a pipe burst")


def hang(agent: AgentHandle) -> float:
    while True:
        pass


def hang_on(agent: AgentHandle) -> float:
    """Does not let go even if it is interrupted once."""
    while True:
        try:
            hang(agent)
        except Exception:
            continue


EVIDENCE: dict[str, tuple[Callable[[AgentHandle], Any], str, str]] = {
    "raises": (burst, "raised", r"a pipe burst \(ZeroDivisionError at .*test_crossfit.py:\d+\)"),
    "exits": (lambda a: sys.exit("enough"), "raised", r"enough \(SystemExit at .*test_crossfit.py:\d+\)"),
    "not a number": (lambda a: np.nan, "malformed", "finite, got .*nan.*: guard logarithms and divisions"),
    "infinite": (lambda a: [1.0, np.inf], "malformed", "finite, got .*inf.*: guard logarithms and divisions"),
    "a table": (lambda a: np.zeros((2, 3)), "malformed", r"about an agent, got shape \(2, 3\): take means"),
    "nothing": (lambda a: [], "malformed", r"about an agent, got shape \(0,\)"),
    "none": (lambda a: None, "malformed", "return"),
    "words": (lambda a: "mostly coins", "malformed", "evidence must be numbers, got str"),
    "of another length": (lambda a: [1.0, 2.0], "unreferenced", "only 0 of 8 reference agents have such evidence"),
    "too many frames": (lambda a: len(a.frames(65)), "overspent", "65 more frames .* 0 of 64 are used up: ask for les"),
    "too many passes": (lambda a: [a.outputs(a.frames(64)) for _ in range(9)], "overspent", "frames .*ask for less"),
    "frames under the shift": (lambda a: len(a.bank(4)), "forbidden", "T3 static and above; this .* on T2 whitebox"),
    "episodes under the shift": (lambda a: a.rollouts(POPULATION.query, 1), "forbidden", "T4 rollout and above"),
    "forged frames": (lambda a: a.outputs(forged(a)).values.mean(), "forbidden", "were not issued: pass what `frames`"),
    "forged levels": (
        lambda a: a.approach(relabelled(a), 0).mean(),
        "forbidden",
        "were not issued: pass what `frames`",
    ),
    "frames written into": (lambda a: blacken(a.frames(4).obs), "raised", r"read-only \(ValueError at"),
    "levels written into": (lambda a: blacken(a.frames(4).levels.cells), "raised", r"read-only \(ValueError at"),
    "bare arrays": (
        lambda a: a.outputs(cast(Any, a.frames(4).obs)),
        "forbidden",
        "Expected Frames .* got ndarray: ask `frames`",
    ),
    "a patched observation": (lambda a: a.patched(a.frames(2), a.frames(2), "input"), "forbidden", "cannot be patched"),
}


@pytest.mark.parametrize(("wrong", "flag", "message"), EVIDENCE.values(), ids=EVIDENCE)
def test_evidence_that_breaks_a_rule_flags_its_case_and_no_other(
    wrong: Callable[[AgentHandle], Any], flag: str, message: str
) -> None:
    cases = run(Answers(odd(wrong)))
    for case in cases:
        if POPULATION.agents[case.agent].id == ODD:
            assert (case.flag, case.forecast) == (flag, None)
            assert re.search(message, case.message), case.message
        else:
            assert (case.flag, case.message) == ("", "") and case.forecast is not None


FORECASTS: dict[str, tuple[Any, str]] = {
    "of one row": (np.full(3, 1 / 3), r"shape \(200, 3\), a row a query level .* got \(3,\)"),
    "without neither": (np.full((200, 2), 0.5), r"shape \(200, 3\), .* got \(200, 2\)"),
    "not a number": (shares(np.nan), "finite, got NaN or infinity: guard"),
    "rows too large": (shares(0.4), r"shares that sum to 1, got \[0.4.*divide each by its sum"),
    "negative": (np.tile([1.5, -0.5, 0.0], (200, 1)), "shares"),
    "words": ("coin", "a forecast must be numbers, got str"),
    "none": (None, "return"),
}


@pytest.mark.parametrize(("wrong", "message"), FORECASTS.values(), ids=FORECASTS)
def test_a_forecast_that_is_none_flags_its_case_and_no_other(wrong: Any, message: str) -> None:
    cases = run(Forecasts(odd(lambda agent: wrong, shares(1 / 3))))
    for case in cases:
        expected = POPULATION.agents[case.agent].id != ODD
        assert (case.forecast is not None, case.flag) == (expected, "" if expected else "malformed")
        if not expected:
            assert re.search(message, case.message), case.message


@pytest.mark.parametrize("endless", [hang, hang_on])
def test_a_detector_that_never_returns_is_interrupted(endless: Callable[[AgentHandle], float]) -> None:
    start = time.perf_counter()
    cases = run(Answers(odd(endless)), budget=replace(BUDGET, seconds=0.2))
    (hung,) = [c for c in cases if c.flag]
    assert POPULATION.agents[hung.agent].id == ODD and hung.flag == "overspent"
    assert "0.2 s are allowed for a case, and are over: do less" in hung.message
    assert 0.2 <= hung.seconds <= time.perf_counter() - start


FITS: dict[str, tuple[Callable[[Sequence[ReferenceCase]], Any], str, str]] = {
    "raises": (lambda reference: burst(reference[0].agent), "raised", "fit: a pipe burst"),
    "exits": (lambda reference: sys.exit(3), "raised", r"fit: 3 \(SystemExit"),
    "forgets to return": (lambda reference: None, "malformed", "fit: .*got NoneType: end it with `return self`"),
    "returns something else": (lambda reference: 3, "malformed", "fit: .*got int: end it with `return self`"),
    "overspends": (lambda reference: reference[0].agent.bank(1), "forbidden", "fit: .*T3 static and above"),
}


@pytest.mark.parametrize(("learn", "flag", "message"), FITS.values(), ids=FITS)
def test_a_fit_that_fails_flags_all_cases(
    learn: Callable[[Sequence[ReferenceCase]], Any], flag: str, message: str
) -> None:
    for case in run(Learns(learn)):
        assert (case.flag, case.forecast) == (flag, None)
        assert re.search(message, case.message), case.message


def test_evidence_on_too_few_reference_agents_calibrates_nothing_and_says_why() -> None:
    few = {agent.id for agent in POPULATION.agents[:3]}
    cases = run(Answers(lambda agent, query: 1.0 if identity(agent) in few else burst(agent)))
    assert {c.flag for c in cases[:3]} == {"unreferenced"} and {c.flag for c in cases[3:]} == {"raised"}
    assert all("of 8 reference agents have such evidence: a pipe burst" in c.message for c in cases[:3])


def vandal(agent: AgentHandle, query: Query) -> ArrayLike:
    query.levels.cells[:] = 0
    query.levels.agent[:] = 1
    query.margins[:] = 0
    return 1.0


def vandalise(reference: Sequence[ReferenceCase]) -> Detector:
    for case in reference:
        case.outcomes.setflags(write=True)
        case.outcomes[:] = 1 / 3
    return Answers(vandal)


def test_no_rogue_changes_what_others_get() -> None:
    before = answers(run(GOOD))
    truth, levels = POPULATION.truths.copy(), POPULATION.query.levels.cells.copy()
    run(Learns(vandalise))
    for wrong, _, _ in EVIDENCE.values():
        run(Answers(odd(wrong)))
    assert answers(run(GOOD)) == before
    assert (POPULATION.truths == truth).all() and (POPULATION.query.levels.cells == levels).all()


# Detectors that know the answer, all the way to their scores


def through_rows(detector: Detector, folder: Path) -> Standing:
    """Crossfit, write, read back and score."""
    common = {"detector": "knowing", "track": 2, "seed": 0, "recipe": POPULATION.recipe.name}
    ids = [agent_id(a.recipe, a.seed) for a in POPULATION.agents]
    path = folder / "part.parquet"
    write_part(path, [case_row(case, ids[case.agent], common) for case in run(detector)])
    return standing("knowing", truths([POPULATION]), read_part(path), ((0, 0.0), (1, 0.1)))[0]


def test_an_oracle_scores_one_through_the_whole_path(tmp_path: Path) -> None:
    table = by_agent(POPULATION, POPULATION.truths)
    found = through_rows(Forecasts(lambda agent, query: table[identity(agent)]), tmp_path)
    assert found.strata.value == pytest.approx(1) and found.level.value == pytest.approx(1)
    assert found.tau == 1 and found.flagged == 0 and found.cases == AGENTS


def test_an_oracle_of_another_agent_scores_below_nothing(tmp_path: Path) -> None:
    """The agents of a fold in reverse order of what they do: shares, and yet wrong as often as can be."""
    order = POPULATION.truths[..., 0].mean(1).argsort()
    swapped = np.empty_like(POPULATION.truths)
    swapped[order] = POPULATION.truths[order[::-1]]
    table = by_agent(POPULATION, swapped)
    found = through_rows(Forecasts(lambda agent, query: table[identity(agent)]), tmp_path)
    assert found.strata.value < -0.5 and found.strata.high < 0 and found.tau < 0


def test_evidence_that_is_the_best_offset_comes_close_to_the_agent_oracle(tmp_path: Path) -> None:
    known = truths([POPULATION])
    odds = level_log_odds(POPULATION.truths)
    table = by_agent(POPULATION, np.stack([oracle_offsets(own, odds) for own in POPULATION.truths]))
    best = line("agent oracle", known, [known[0].agent_oracle]).strata.value
    found = through_rows(Answers(lambda agent, query: table[identity(agent)]), tmp_path)
    assert best - 0.1 < found.strata.value < best + 0.02 and best > 0.9 and found.tau > 0.8


def test_evidence_that_says_nothing_is_worth_nothing(tmp_path: Path) -> None:
    found = through_rows(Answers(lambda agent, query: 1.0), tmp_path)
    assert -0.6 < found.strata.value < 0.01 and found.tau == 0
