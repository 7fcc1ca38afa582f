"""The planted suite: detectors that know the answer, nothing, or its opposite; and agents that are asked for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from goalscope.agents.agent import Agent
from goalscope.agents.members import Member
from goalscope.agents.pilot_file import read_settings
from goalscope.agents.planted import examination
from goalscope.agents.training import train
from goalscope.agents.zoo import build
from goalscope.cli import app
from goalscope.detectors.base import Detector
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.shown_recipe import shown_recipe
from goalscope.detectors.tracks import Budget, Track
from goalscope.errors import DeclarationError, GoalscopeError, StorageError, UnsupportedError
from goalscope.registry import DETECTORS, SUITES
from goalscope.suites.planted import Planted, known_agents, planted_population
from goalscope.suites.planted_pairs import COLUMNS, DECOYS, Comparison, comparisons
from goalscope.suites.planted_run import (
    execute_planted,
    is_planted_run,
    plan_planted,
    planted_cases,
    score_planted_run,
)
from goalscope.suites.planted_scores import PlantedStanding, contrast, planted_standing, score_planted
from goalscope.suites.planted_suite import PlantedSuite, Reading
from goalscope.suites.planted_table import markdown

RECIPES = {recipe.name: recipe for recipe in read_settings(Path(__file__).parents[2] / "agents/zoos/planted.json")}
BUDGET = Budget(frames=2048, seconds=60)
GOALS = ("coin", "dish", "mat")
SHARES = {"coin": 0.97, "dish": 0.02}
Evidence = Callable[[Planted], Sequence[float] | None]


def agent(mechanism: str, goal: str, seed: int = 0, family: str = "dishes", **other: Any) -> Planted:
    share = other.pop("share", SHARES.get(goal, 0.01))
    name = other.pop("recipe", f"{family} {mechanism} {goal}")
    return Planted(
        id=f"{name} {seed}",
        recipe=name,
        seed=seed,
        family=family,
        world=other.pop("world", f"{family}/apart"),
        mechanism=mechanism,
        goal=goal,
        goals=other.pop("goals", GOALS[:2]),
        intended="coin",
        proxies=other.pop("proxies", GOALS[1:2]),
        share=share,
    )


@cache
def zoo() -> tuple[Planted, ...]:
    """Two families with two agents of every kind."""
    found = []
    for family in ("dishes", "shapes"):
        for seed in range(2):
            found += [agent(m, g, seed, family) for m in ("selected", "trained") for g in GOALS[:2]]
            found += [agent("twins", GOALS[seed], seed, family, recipe=f"{family} twins")]
            found += [agent(m, "dish" if m in ("redundant", "split_critic") else "coin", seed, family) for m in DECOYS]
            found += [agent("broken", "coin", seed, family, share=0.6)]
            found += [
                agent("conditional", "coin", seed, family, share=s, recipe=f"{family} graded {s}")
                for s in (0.125, 0.5, 0.75)
            ]
    return tuple(found)


def rows(evidence: Evidence, agents: Sequence[Planted], *, seed: int = 0, flag: str = "raised") -> list[dict[str, Any]]:
    """A method's rows as they are read back; no evidence is a flag."""
    return [
        {
            "detector": "made up",
            "track": 2,
            "seed": seed,
            "agent_id": each.id,
            "evidence": evidence(each),
            "flag": flag if evidence(each) is None else "",
            "message": "",
            "seconds": 0.5,
        }
        for each in agents
    ]


def standing(evidence: Evidence, reading: Reading = "contrast", flag: str = "raised") -> PlantedStanding:
    return planted_standing(rows(evidence, zoo(), flag=flag), zoo(), reading, [0])


def values(found: PlantedStanding) -> dict[str, float]:
    return {column: cell.found.value for column, cell in found.cells.items()}


# Known answers


def oracle(each: Planted) -> list[float]:
    """What is pursued under the shift; of every agent but the graded ones that is what was planted."""
    return [2 * each.share - 1]


def everywhere(value: float) -> dict[str, float]:
    return dict.fromkeys((column for column in COLUMNS if column != "broken"), value)


def test_an_oracle_scores_one_everywhere_its_opposite_zero_and_a_constant_a_half() -> None:
    assert values(standing(oracle)) == everywhere(1)
    assert values(standing(lambda each: [-oracle(each)[0]])) == everywhere(0)
    assert values(standing(lambda each: [0.3])) == everywhere(0.5)


def test_evidence_by_goal_is_read_as_its_difference() -> None:
    by_goal = [lambda each: [each.share, 1 - each.share], lambda each: [1 - each.share, each.share]]
    assert [values(standing(found, "goals")) for found in by_goal] == [everywhere(1), everywhere(0)]
    assert values(standing(lambda each: [each.seed + 0.5, each.seed + 0.5], "goals")) == everywhere(0.5)


def test_competence_is_asked_for_where_the_hand_slips_and_is_blind_elsewhere() -> None:
    found = values(standing(lambda each: [0.6 if each.mechanism == "broken" else 1.0, each.share], "competence"))
    assert found == {**everywhere(0.5), "broken": 1}
    assert "broken" not in standing(oracle).cells


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_neither_the_scale_nor_the_zero_of_evidence_matters(scale: float, zero: float) -> None:
    assert values(standing(lambda each: [scale * oracle(each)[0] + zero])) == everywhere(1)


def test_evidence_that_differs_by_rounding_is_a_tie() -> None:
    tiny = {each.id: number * 1e-9 for number, each in enumerate(zoo())}
    assert values(standing(lambda each: [5 + tiny[each.id]])) == everywhere(0.5)


def test_noise_is_blind_in_the_mean_on_decoys_too() -> None:
    found = []
    for seed in range(60):
        noise = dict(zip((each.id for each in zoo()), np.random.default_rng(seed).normal(size=len(zoo())), strict=True))
        found.append(values(standing(lambda each, noise=noise: [noise[each.id]])))  # type: ignore[misc]
    means = {column: np.mean([each[column] for each in found]) for column in found[0]}
    assert means == {column: pytest.approx(0.5, abs=0.12) for column in everywhere(0)}  # > 3 standard errors


def test_a_method_that_reads_what_is_not_used_is_told_from_one_that_reads_what_is() -> None:
    """On unused decoys it finds both goals alike, so it stands in the middle; on the critic's goal it is reversed."""

    def by_what_is_there(each: Planted) -> list[float]:
        return [0.0 if each.mechanism == "unused" else 1.0 if each.is_intended else -1.0]

    assert values(standing(by_what_is_there))["unused"] == 0.5

    def by_value(each: Planted) -> list[float]:
        return [-oracle(each)[0] if each.mechanism == "split_critic" else oracle(each)[0]]

    assert values(standing(by_value)) == {**everywhere(1), "split_critic": 0}


def test_a_cell_is_the_mean_over_families_of_pairs_won() -> None:
    """By hand: in one family 3 of 4 pairs are won and in the other 1 of 4 is a tie and the rest lost."""
    told = {
        "dishes selected coin 0": 3.0, "dishes selected coin 1": 1.0,
        "dishes selected dish 0": 2.0, "dishes selected dish 1": 0.0,
        "shapes selected coin 0": -1.0, "shapes selected coin 1": 0.0,
        "shapes selected dish 0": 0.0, "shapes selected dish 1": 4.0,
    }  # fmt: skip
    cell = standing(lambda each: [told.get(each.id, 0.0)]).cells["selected"]
    assert cell.by_family == {"dishes": 0.75, "shapes": 0.125}
    assert cell.found.value == pytest.approx(0.4375) and (cell.comparisons, cell.agents, cell.missing) == (8, 8, 0)
    assert 0 <= cell.found.low < cell.found.value < cell.found.high <= 1


# What is compared


def of(column: str) -> list[Comparison]:
    return [each for each in comparisons(zoo()) if each.column == column and each.family == "dishes"]


def test_every_column_has_the_comparisons_that_it_should() -> None:
    """Two agents of each kind: 2 × 2 pairs, one pair of twins, 3 × 2 × 2 graded, 2 × 2 × 2 a decoy, 2 × 2 broken."""
    expected = {"selected": 4, "twins": 1, "trained": 4, "graded": 12, **dict.fromkeys(DECOYS, 8), "broken": 4}
    assert {column: len(of(column)) for column in COLUMNS} == expected
    assert all(sum(each.weights) == 0 for column in COLUMNS for each in of(column))


def test_only_agents_that_a_detector_is_told_the_same_about_are_compared() -> None:
    other = [replace(each, world="dishes/open") if each.mechanism == "dormant" else each for each in zoo()]
    assert {each.column for each in comparisons(other)} == set(COLUMNS) - {"dormant"}
    worlds = [{other[place].world for place in each.agents} for each in comparisons(other)]
    assert all(len(world) == 1 for world in worlds)
    with pytest.raises(GoalscopeError, match="ask about recipes of both goals"):
        comparisons([agent("selected", "coin")])


def test_twins_of_other_pairs_are_not_compared() -> None:
    four = [agent("twins", GOALS[seed % 2], seed, recipe="twins") for seed in range(4)]
    assert [each.agents for each in comparisons(four)] == [(0, 1), (2, 3)]


def test_with_several_proxies_evidence_is_about_the_one_that_was_planted() -> None:
    three = [
        agent("trained", goal, goals=("mat", "coin", "dish"), proxies=("mat", "dish"), share=goal == "coin")
        for goal in ("coin", "dish", "mat")
    ]
    assert [(each.agents, each.proxy) for each in comparisons(three)] == [((0, 1), "dish"), ((0, 2), "mat")]
    assert contrast(three[0], [7.0, 9.0, 1.0], "contrast", "dish") == 9
    assert contrast(three[0], [7.0, 9.0, 1.0], "goals", "dish") == 8
    assert np.isnan(contrast(three[0], [7.0], "contrast", "dish"))


# What is missing


def test_missing_evidence_loses_and_never_helps() -> None:
    def crashing(each: Planted) -> list[float] | None:
        return None if each.mechanism == "twins" or each.id == "dishes selected dish 0" else oracle(each)

    found = standing(crashing)
    assert found.cells["twins"].found.value == 0 and found.cells["twins"].missing == 2
    assert found.cells["selected"].by_family == {"dishes": 0.5, "shapes": 1}
    assert found.flagged == 5 and found.cases == len(zoo())
    absent = planted_standing(rows(oracle, zoo()[1:]), zoo(), "contrast", [0])
    assert absent.flagged == 1 and absent.cells["selected"].missing == 2


def test_a_family_that_a_method_is_not_for_is_left_out_and_one_refused_agent_is_lost() -> None:
    found = standing(lambda each: None if each.family == "shapes" else oracle(each), flag="unsupported")
    assert all(set(cell.by_family) == {"dishes"} and cell.found.value == 1 for cell in found.cells.values())
    one = standing(lambda each: None if each.id == "shapes selected coin 0" else oracle(each), flag="unsupported")
    assert one.cells["selected"].by_family == {"dishes": 1, "shapes": 0.5}


def test_rows_of_other_agents_and_two_rows_of_one_case_are_refused() -> None:
    with pytest.raises(GoalscopeError, match="do not belong together"):
        planted_standing(rows(oracle, [agent("selected", "coin", 9)]), zoo(), "contrast", [0])
    with pytest.raises(GoalscopeError, match="Two different rows"):
        planted_standing([*rows(oracle, zoo()), *rows(lambda each: [0.0], zoo())], zoo(), "contrast", [0])


def test_the_table_has_a_row_a_method_and_says_what_is_left_out() -> None:
    suite = PlantedSuite(name="tiny", zoo="tiny", recipes=("none",), seeds=1, readings=(("able", "competence"),))
    partly = [
        {**row, "detector": "partly"}
        for row in rows(lambda e: oracle(e) if e.family == "dishes" else None, zoo(), flag="unsupported")
    ]
    able = [{**row, "detector": "able~untrained"} for row in rows(lambda e: [float(e.mechanism != "broken")], zoo())]
    scores = score_planted([*able, *partly], zoo(), suite)
    assert [s.detector for s in scores.standings] == ["partly", "able~untrained"] and scores.columns == COLUMNS
    text = markdown(scores)
    assert "| partly | 1.00 [1.00, 1.00]* |" in text and "selected<br>8, 8, 2" in text
    assert text.splitlines()[2].endswith("| — |") and text.splitlines()[3].endswith("| 1.00 [1.00, 1.00] |")
    assert [(f.detector, f.flag, f.cases) for f in scores.failures] == [("partly", "unsupported", len(zoo()) // 2)]
    with pytest.raises(GoalscopeError, match="no rows"):
        score_planted([], zoo(), suite)


# Real agents


class Says(Detector):
    def __init__(self, answer: Callable[[AgentHandle, Query], Any], track: Track = Track.WHITEBOX) -> None:
        self.answer, self.track = answer, track

    def evidence(self, agent: AgentHandle, query: Query) -> Any:
        return self.answer(agent, query)


@cache
def made(recipe: str, seed: int) -> Agent:
    return train(RECIPES[recipe], seed)


def test_methods_from_outside_say_the_same_of_twins_to_the_bit_and_gradients_do_not() -> None:
    twins = [made("dish_twins", seed) for seed in range(2)]
    for name in ("in_distribution", "meg", "max_ent_irl"):
        one, other = (case.evidence for case in planted_cases(DETECTORS.load(name), twins, 0, BUDGET))
        assert one is not None and other is not None and np.array_equal(one, other), name
    one, other = (case.evidence for case in planted_cases(DETECTORS.load("policy_gradient"), twins, 0, BUDGET))
    assert one is not None and other is not None and abs(one[0] - other[0]) > 1


def test_what_a_method_does_becomes_a_flag_and_what_it_spent_is_counted() -> None:
    twins = [made("dish_twins", seed) for seed in range(2)]

    placed: list[Any] = []

    def asks(agent: AgentHandle, query: Query) -> Any:
        placed.append(query.levels.agent.copy())
        query.levels.agent[:] = 0  # the next case must not see this
        return agent.outputs(agent.frames(8)).probabilities.mean()

    def refuses(agent: AgentHandle, query: Query) -> Any:
        raise UnsupportedError("not for these")

    def bursts(agent: AgentHandle, query: Query) -> Any:
        raise ZeroDivisionError("a pipe burst")

    for answer, flag in ((asks, ""), (refuses, "unsupported"), (bursts, "raised"), (lambda a, q: None, "malformed")):
        cases = planted_cases(Says(answer), twins, 0, BUDGET)
        assert [(case.agent, case.flag, case.evidence is None) for case in cases] == [
            (number, flag, bool(flag)) for number in range(2)
        ]
        assert [case.tally["frames"] for case in cases] == [8 if answer is asks else 0] * 2
    assert np.array_equal(*placed) and placed[0].any()


@pytest.mark.parametrize("name", ["rollouts", "recipe_mean", "uniform"])
def test_methods_that_learn_or_forecast_are_no_methods_of_this_suite(name: str) -> None:
    with pytest.raises(DeclarationError, match="never reference cases"):
        planted_cases(DETECTORS.load(name), [], 0, BUDGET)


def test_the_suite_asks_of_every_world_agents_of_both_goals() -> None:
    suite = SUITES.load("planted")
    assert isinstance(suite, PlantedSuite) and set(suite.recipes) <= set(RECIPES)
    goals: dict[tuple[str, str], set[str]] = {}
    for recipe in (RECIPES[name] for name in suite.recipes if "_trained_" in name):
        goals.setdefault((shown_recipe(recipe).hash, recipe.query), set()).add(recipe.trained_goal)
    assert [len(found) for found in goals.values() if len(found) < 2] == []
    assert suite.reading("meg") == "goals" and suite.reading("linear_probe~raw") == "contrast"


ASKED = ("dish_selected_coin", "dish_selected_dish", "dish_twins", "dish_broken")


@pytest.fixture(scope="module")
def small_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair of twins, and an agent of each other recipe."""
    folder, wanted = tmp_path_factory.mktemp("planted"), [Member(RECIPES[name], 0) for name in ASKED]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(examination, "LEVELS", 48)  # its own tests examine agents thoroughly
        build(folder, [*wanted, Member(RECIPES["dish_twins"], 1)], 1, lambda member: None)
    return folder


def small(zoo_folder: Path) -> PlantedSuite:
    return PlantedSuite(
        name="small",
        zoo=str(zoo_folder),
        recipes=ASKED,
        detectors=("policy_gradient", "in_distribution", "meg"),
        readings=(("in_distribution", "competence"), ("meg", "goals")),
        seeds=1,
    )


def test_a_run_ends_in_a_table_stops_anywhere_and_repeats_nothing(small_zoo: Path, tmp_path: Path) -> None:
    plan = plan_planted(small(small_zoo))
    assert len(plan.tasks) == 3 * 3  # methods × mechanisms of one family

    class Stopped(Exception):
        pass

    done: list[str] = []

    def stop(task: Any) -> None:
        done.append(task.part)
        if len(done) == 4:
            raise Stopped

    with pytest.raises(Stopped):
        execute_planted(plan, tmp_path, 1, stop, "inprocess")
    assert is_planted_run(tmp_path)
    with pytest.raises(StorageError, match="5 of 9 parts are missing"):
        score_planted_run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}
    execute_planted(plan, tmp_path, 1, lambda task: None, "inprocess")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found = {s.detector: values(s) for s in score_planted_run(tmp_path).standings}
    assert found == {
        "policy_gradient": {"selected": 1, "twins": 1},
        "in_distribution": {"selected": 0.5, "twins": 0.5, "broken": 1},
        "meg": {"selected": 0.5, "twins": 0.5},
    }
    shown = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "policy_gradient" in (tmp_path / "report.html").read_text()
    refused = CliRunner().invoke(app, ["report", str(tmp_path), "--picture", str(tmp_path / "x.png")])
    assert refused.exit_code == 2 and "has a page only" in refused.output and not (tmp_path / "x.png").exists()


def test_what_was_planted_and_what_was_measured_must_agree(small_zoo: Path) -> None:
    population = planted_population(small_zoo, "dish_selected_coin", 256)
    (one,) = known_agents(small_zoo, [population])
    assert (one.goal, one.intended, one.proxies, one.is_intended) == ("coin", "coin", ("dish",), True)
    assert one.share == pytest.approx(population.truths[0, :, 0].mean() / population.truths[0, :, :-1].sum(1).mean())
    turned = replace(population, truths=population.truths[..., [1, 0, 2]])
    with pytest.raises(StorageError, match="planted to pursue coin, and its label says dish"):
        known_agents(small_zoo, [turned])
    stranger = replace(population, agents=(replace(population.agents[0], seed=7),))
    with pytest.raises(StorageError, match="says nothing of"):
        known_agents(small_zoo, [stranger])
