"""Reports about families whose answers are known beforehand, and about levels drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.envs import Distribution
from goalscope.envs.ascii import from_ascii
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.coin_dish import WORLD
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.reports import diversity_report, null_report, support_report
from goalscope.envs.support import _factor as factor
from goalscope.envs.support import determines, effective_number, relate, support_of


def room(coin: int, dish: int, agent: int = 0) -> str:
    """A corridor of eight cells in which these lie."""
    cells = ["."] * 8
    cells[agent] = ">"
    if coin == dish:
        cells[coin], legend = "1", "1 = coin + dish"
    else:
        cells[coin], cells[dish], legend = "c", "d", ""
    return "\n".join(["##########", f"#{''.join(cells)}#", "##########", legend])


def test_coin_and_dish_are_identical_in_training() -> None:
    report = support_report(COIN_DISH)
    assert report.goals == {"coin": "coin", "dish": "dish"}
    assert report.relation("coin", "dish") == "identical" == report.relation("dish", "coin")
    assert report.relation("agent", "coin") == "independent"
    (note,) = report.notes
    assert note.startswith("'coin' and 'dish' share their cells in all of 2000 levels: training frames cannot show")


def test_a_hidden_cue_lets_training_frames_show_more() -> None:
    report = support_report(COIN_DISH, knobs={"p_hide": 0.3, "pairs": 1})
    assert report.goals == {"coin": "any coin", "dish": "any dish"}
    assert report.relation("any coin", "any dish") == "identical"
    assert report.relation("coin", "dish") == "related"
    assert "only those training frames in which one of them is hidden can show" in report.notes[0]


def test_with_one_corner_no_goal_varies() -> None:
    report = support_report(COIN_CORNER, knobs={"corners": 1})
    varies = {f.factor: f.varies for f in report.factors}
    assert varies == {"agent": True, "walls": True, "coin": False, "mark": False, "corner": False}
    assert report.relation("coin", "mark") == "constant"
    assert "No goal varies" in report.notes[-1] and "negative control" in report.notes[-1]


def test_with_four_corners_the_mark_fixes_the_other_corners() -> None:
    report = support_report(COIN_CORNER)
    assert {f.factor: f.distinct for f in report.factors if f.factor in ("coin", "mark")} == {"coin": 4, "mark": 4}
    assert report.relation("coin", "mark") == "identical"
    assert report.relation("mark", "corner") == "co-vary"
    assert report.relation("walls", "coin") in ("unclear", "independent")  # most levels have walls of their own
    assert not any("No goal varies" in note for note in report.notes)


def test_apart_the_goals_are_independent() -> None:
    report = support_report(COLOUR_SHAPE, "apart")
    assert report.relation("ball", "red") == "independent" and report.relation("ball", "blue") == "identical"
    assert report.notes == ()
    pays = next(row for row in report.rows() if row["factor"] == "pays")
    assert pays["distinct"] == 49 and pays["with"] == {"ball": "identical", "blue": "identical"}


def test_relations_of_levels_drawn_by_hand() -> None:
    """The dish lies one to the right of the coin; the agent's place says in which half the coin is, and no more."""
    rng = np.random.default_rng(0)
    coins = rng.integers(1, 7, 200)
    texts = [room(c, c + 1, agent=0 if c < 4 else 7 if c < 6 else 1) for c in coins.tolist()]
    report = support_of(COIN_DISH, from_ascii(texts, WORLD), COIN_DISH.goals)
    assert {f.factor: f.distinct for f in report.factors} == {"agent": 3, "walls": 1, "coin": 6, "dish": 6}
    assert report.relation("coin", "dish") == "co-vary"
    assert report.relation("coin", "agent") == "determines" and report.relation("agent", "coin") == "determined by"
    assert report.notes[0].startswith("'coin' and 'dish' fix each other's places")


def test_a_goal_that_is_nowhere_is_told() -> None:
    levels = from_ascii([room(c, 7).replace("d", ".") for c in (1, 2, 3, 1)], WORLD)
    report = support_of(COIN_DISH, levels, COIN_DISH.goals)
    assert report.goals == {"coin": "coin", "dish": ""}
    assert report.notes == (
        "Nothing in 4 levels triggers 'dish': training frames cannot show whether an agent goes for it.",
    )


def test_a_sole_varying_goal_counts_as_varying() -> None:
    levels = from_ascii([room(c, 7) for c in (1, 2, 3, 1)], WORLD)
    report = support_of(COIN_DISH, levels, COIN_DISH.goals)
    assert report.relations == ()
    assert [note.split()[0] for note in report.notes] == ["'dish'"]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 1, 1] * 10, [3, 3, 5, 5] * 10, True),
        ([0, 0, 1, 1] * 10, [3, 3, 5, 3] * 10, False),
        (list(range(40)), [0, 1] * 20, False),  # no value is ever repeated, so nothing is known
        ([0, 0, 1, 1] * 10, [0] * 39 + [1], False),
        ([0] * 20 + [1, 2, 3], [0] * 20 + [0, 0, 1], False),  # agreeing that often is no wonder
    ],
)
def test_one_factor_determines_another_if_agreement_is_no_accident(a: list[int], b: list[int], expected: bool) -> None:
    assert determines(np.array(a), np.array(b)) is expected


def test_information_is_a_share_of_what_could_be_explained() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 4, 4000)
    half = np.where(rng.random(4000) < 0.5, a, rng.integers(0, 4, 4000))
    found = relate(factor("a", a[:, None]), factor("half", half[:, None]))
    # p(same) = .5 + .5 / 4: I = ln 4 − H(.625, .125, .125, .125)
    expected = 1 + (0.625 * np.log(0.625) + 3 * 0.125 * np.log(0.125)) / np.log(4)
    assert found.relation == "related" and found.information == pytest.approx(expected, abs=0.03)


def test_the_effective_number_counts_repeats() -> None:
    assert effective_number(np.array([1, 1, 2, 2])) == 3.0  # 4 · 3 ordered pairs, 4 of them alike
    assert effective_number(np.arange(9)) == np.inf
    assert effective_number(np.zeros(9, int)) == 1.0


def test_the_diversity_of_an_open_room() -> None:
    report = diversity_report(COIN_DISH, knobs={"size": 5, "pairs": 1})
    assert report.return_gap == {"dish": 0.0}
    assert report.distinct_layouts == 1 and report.effective_layouts == 1.0 and report.held_out == "levels"
    assert report.distinct_levels <= 9 * 8
    assert report.free_cells == (9.0,) * 5
    assert report.distances["coin"][0] == 1.0 and report.distances["coin"][-1] == 4.0
    assert [row["goal"] for row in report.rows()] == ["coin", "dish"]


def test_mazes_are_many_and_held_out() -> None:
    report = diversity_report(COIN_DISH, knobs={"layout": "tree", "size": 13}, levels=500)
    assert report.held_out == "layouts" and report.distinct_layouts == 500 and report.effective_layouts == np.inf


def test_the_null_report_agrees_with_its_levels() -> None:
    report = null_report(COIN_DISH, "apart", levels=64, episodes=16)
    assert list(report.null) == ["coin", "dish", "neither"]
    assert sum(report.null.values()) == pytest.approx(1) and report.null["neither"] > 0.5
    levels = Distribution(COIN_DISH, "apart", split="query").draw(range(64))
    assert -levels.max_steps.max() / 2 <= report.margin[0] <= report.margin[2] <= report.margin[4]
    assert report.rows()[-1]["outcome"] == "neither" and report.rows()[0]["strength"] == 1.0


def test_going_for_the_dish_costs_the_whole_reward_where_it_lies_apart_and_ends_the_episode() -> None:
    report = diversity_report(COIN_DISH, "apart", {"dish_ends": True}, levels=300)
    assert 0.95 < report.return_gap["dish"] <= 1
