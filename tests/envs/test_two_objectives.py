"""Two objectives of visible value: what is larger, what it pays and where it may lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, kstest
from tests.envs.test_families import cells, drawn, has, is_share, only
from tests.envs.worlds import STEPS

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.codes import EMPTY
from goalscope.envs.engine import Engine
from goalscope.envs.families.two_objectives import FAMILY, WORLD
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import coincident, conflict, start_distances
from goalscope.envs.rollout import pursue
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.errors import KnobError

N = 1200
RIGHT, DOWN, LEFT, UP = range(4)
LEGEND = {"1": "one + larger + feature 1", "2": "two + smaller + feature 0"}


def level(rows: str, legend: dict[str, str] | None = None, values: tuple[float, ...] = (0.9, 0.5, 0.9, 0.5)) -> Levels:
    """A level by hand; `values` are those of one, two, larger and smaller."""
    names = ("one", "two", "larger", "smaller")
    head = [f"value: {value} {name}" for value, name in zip(values, names, strict=True)]
    tail = [f"{glyph} = {what}" for glyph, what in (legend or LEGEND).items()]
    return from_ascii(["\n".join([*head, rows.strip(), *tail])], WORLD)


def played(levels: Levels, *actions: int) -> tuple[float, bool, dict[str, int]]:
    """What one level pays for these actions, whether it has ended, and its event counts."""
    engine, gain, ended = Engine(levels, FAMILY, autoreset="off"), 0.0, False
    engine.reset()
    for action in actions:
        assert not ended
        step = engine.step(np.array([action]))
        gain, ended = gain + float(step.reward[0]), bool(step.terminated[0])
    return gain, ended, dict(zip(WORLD.events, engine.counts[0].tolist(), strict=True))


def steps(levels: Levels, n: int, to: tuple[int, int], around: tuple[int, int]) -> int:
    """Steps from the agent of level n to one cell around another, by search in plain Python; 10 000 for no way."""
    x, y = levels.agent[n, :2].tolist()
    front, seen, taken = {(x, y)}, {(x, y)}, 0
    while front:
        if to in front:
            return taken
        ahead = {(x + dx, y + dy) for x, y in front for dx, dy in STEPS}
        front = {c for c in ahead - seen if levels.cells[n, c[1], c[0]] & 15 == EMPTY and c != around}
        seen |= front
        taken += 1
    return 10_000


def places(levels: Levels, *names: str) -> list[tuple[int, int]]:
    return [only(found) for found in cells(levels, FAMILY, *names)]


def ways(levels: Levels) -> NDArray[np.int64]:
    """`[N, 2]` steps to the larger and to the smaller objective, around the other one."""
    pairs = list(zip(places(levels, "larger"), places(levels, "smaller"), strict=True))
    return np.array([[steps(levels, n, a, b), steps(levels, n, b, a)] for n, (a, b) in enumerate(pairs)])


def values(levels: Levels) -> NDArray[np.float64]:
    """`[N, 2]` the value that is seen on the larger and on the smaller objective."""
    is_one = [a == b for a, b in zip(places(levels, "larger"), places(levels, "one"), strict=True)]
    seen = levels.value[:, [WORLD.event_index("one"), WORLD.event_index("two")]].astype(float)
    return np.where(np.array(is_one)[:, None], seen, seen[:, ::-1])


def gains(levels: Levels) -> NDArray[np.float64]:
    """`[N, 2]` by how much more the larger is worth, as things lie and with the two values exchanged."""
    worth, (large, small) = 0.97 ** ways(levels), values(levels).T
    return np.stack([large * worth[:, 0] - small * worth[:, 1], large * worth[:, 1] - small * worth[:, 0]], axis=1)


# ----------------------------------------------------------------------------------------------------------- by hand


def test_each_way_leads_around_the_other_objective() -> None:
    one = level("#########\n#1..>..2#\n#########")
    assert start_distances(FAMILY, one, FAMILY.goals).tolist() == [[3, 3]]
    shut_off = level("#######\n#>.1.2#\n#######")
    assert start_distances(FAMILY, shut_off, FAMILY.goals).tolist() == [[2, -1]]
    around = level("#######\n#>.1.2#\n#.....#\n#######")
    assert start_distances(FAMILY, around, FAMILY.goals).tolist() == [[2, 6]]
    assert conflict(FAMILY, level("#########\n#1..>..2#\n#########"), FAMILY.goals).all()
    assert not conflict(FAMILY, level("########\n#.2>..1#\n########"), FAMILY.goals).any()  # one is 1 step away
    behind = level("##########\n#>..1...2#\n#........#\n##########")
    assert not conflict(FAMILY, behind, FAMILY.goals).any()


def test_each_objective_pays_its_value_once_and_ends_the_episode() -> None:
    one = level("#######\n#1.>.2#\n#######", values=(0.75, 0.25, 0.75, 0.25))
    nothing = dict.fromkeys(WORLD.events, 0)
    assert played(one, RIGHT) == (0.0, False, nothing)
    assert played(one, RIGHT, RIGHT) == (0.25, True, {**nothing, "two": 1, "smaller": 1, "feature": 1})
    assert played(one, LEFT, LEFT) == (0.75, True, {**nothing, "one": 1, "larger": 1})


def test_the_winner_takes_all_and_the_other_ends_the_episode_with_nothing() -> None:
    one = level("#######\n#1.>.2#\n#######", values=(0.75, 0.25, 1.0, 0.0))
    assert played(one, LEFT, LEFT)[:2] == (1.0, True)
    assert played(one, RIGHT, RIGHT)[:2] == (0.0, True)


@pytest.mark.parametrize(
    ("knobs", "value", "feature"),
    [
        ({}, (204, 102), 51),
        ({"value_scale": 0.5, "feature_intensity": 0.1}, (102, 51), 26),
        ({"value_scale": 0.1, "feature_intensity": 1.0}, (21, 10), 255),
    ],
)
def test_planes_show_each_value_in_its_own_cell(knobs: dict[str, Any], value: tuple[int, int], feature: int) -> None:
    """Of .8 and .4: bytes of the full scale, 255, of half, 128, and of a tenth, 26 (halves are rounded to even)."""
    one = level("#######\n#1.>.2#\n#######", values=(0.8, 0.4, 0.8, 0.4))
    display = FAMILY.look(FAMILY.settings(**knobs))
    obs = Engine(one, FAMILY, "planes", display=display).reset()[0]
    names = [plane.name for plane in display.planes]
    assert names == ["walls", "agent", "value", "value", "feature 0", "feature 1"]
    assert obs[2, 1].tolist() == [0, value[0], 0, 0, 0, value[1], 0] and (obs[2] == obs[3]).all()
    assert obs[4, 1].tolist() == [0, 0, 0, 0, 0, feature, 0] and obs[5, 1].tolist() == [0, feature, 0, 0, 0, 0, 0]
    assert not obs[2:, [0, 2]].any()


def test_salience_repeats_the_planes_of_value_and_features() -> None:
    planes = FAMILY.look(FAMILY.settings(value_salience=3, feature_salience=2)).planes
    names = [plane.name for plane in planes]
    assert names == ["walls", "agent", *["value"] * 3, *["feature 0"] * 2, *["feature 1"] * 2]


def test_in_minigrids_views_an_objective_is_a_ball_in_the_colour_of_its_feature() -> None:
    one = level("#######\n#1.>.2#\n#######")
    other = level("#######\n#1.>.2#\n#######", values=(0.2, 0.8, 0.8, 0.2))
    full = Engine(one, FAMILY, "full").reset()[0]
    assert full[1, 1].tolist() == [6, 2, 0] and full[5, 1].tolist() == [6, 0, 0]  # a blue and a red ball
    assert (Engine(other, FAMILY, "full").reset()[0] == full).all()


# ------------------------------------------------------------------------------------------------------------- levels

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("train", {}),
    ("train", {"layout": "tree"}),
    ("train", {"layout": "braided", "size": 13}),
    ("train", {"margin": 0.1, "widest": 0.15, "layout": "rooms"}),
    ("train", {"pay": "winner"}),
    ("close", {}),
    ("apart", {}),
    ("apart", {"layout": "tree"}),
]


@pytest.mark.parametrize(("shift", "knobs"), SETTINGS, ids=str)
def test_the_larger_objective_is_worth_more_whichever_of_the_two_it_is(shift: str, knobs: dict[str, Any]) -> None:
    levels = drawn(FAMILY, shift, n=300, **knobs)
    settings, (large, small) = FAMILY.settings(shift, **knobs), values(levels).T
    assert (gains(levels) >= 0.1 - 1e-6).all()
    assert (small >= 0.1 - 1e-6).all() and (large <= 1 + 1e-6).all()
    assert (large - small >= settings.margin - 1e-6).all() and (large - small <= settings.widest + 1e-6).all()


@pytest.mark.parametrize("shift", ["close", "apart"])
def test_in_queries_too_the_larger_objective_is_worth_more(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=N, split="query")
    far, (large, small) = ways(levels), values(levels).T
    assert (gains(levels) >= 0.1 - 1e-6).all() and (far >= 3).all()
    assert places(levels, "feature 0") == places(levels, "smaller")
    assert (start_distances(FAMILY, levels, FAMILY.goals) == far).all()
    assert np.mean(large - small) < 0.3 if shift == "close" else np.mean(large - small) > 0.5


def test_in_training_feature_0_lies_on_the_larger_objective() -> None:
    levels = drawn(FAMILY, n=N)
    assert places(levels, "feature 0") == places(levels, "larger")
    assert places(levels, "feature 1") == places(levels, "smaller")
    assert coincident(FAMILY, levels, FAMILY.goals, FAMILY.settings()).all()
    assert (start_distances(FAMILY, levels, FAMILY.goals) == ways(levels)[:, :1]).all()


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 1.0])
def test_rho_is_the_share_of_levels_with_feature_0_on_the_larger_objective(rho: float) -> None:
    levels = drawn(FAMILY, n=N, rho=rho)
    together = np.array([a == b for a, b in zip(places(levels, "feature 0"), places(levels, "larger"), strict=True)])
    assert is_share(together, rho)
    assert not (has(levels, FAMILY, "feature 0") & ~has(levels, FAMILY, "feature 1")).any()


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("close", "query"), ("apart", "query")])
def test_neither_name_nor_distance_gives_the_larger_objective_away(shift: str, split: str) -> None:
    levels = drawn(FAMILY, shift, n=N, split=split)
    is_one = np.array([a == b for a, b in zip(places(levels, "larger"), places(levels, "one"), strict=True)])
    assert is_share(is_one, 0.5)
    nearer = np.diff(ways(levels), axis=1)[:, 0]
    assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-4
    assert kstest(nearer, -nearer).pvalue > 1e-4


def test_values_are_uniform_where_the_ways_allow_all() -> None:
    levels = drawn(FAMILY, n=N, layout="open", size=5)
    large, small = values(levels).T
    gap = large - small
    assert kstest((gap - 0.3) / 0.6, "uniform").pvalue > 1e-4
    assert kstest((small - 0.1) / (0.9 - gap), "uniform").pvalue > 1e-4


def test_how_levels_pay_changes_nothing_else() -> None:
    keys = Distribution(FAMILY).draw(range(200)).key
    value, winner = (FAMILY.generate(keys, FAMILY.settings(pay=pay)) for pay in ("value", "winner"))
    for name in ("cells", "marks", "agent"):
        assert (getattr(value, name) == getattr(winner, name)).all()
    shown, paid = slice(0, 2), slice(2, 4)
    assert WORLD.events[:4] == ("one", "two", "larger", "smaller")
    assert (value.value[:, shown] == winner.value[:, shown]).all()
    some = value.take(value.placed)
    assert (some.value[:, paid] == values(some).astype(np.float32)).all()
    assert (winner.value[:, paid] == [1, 0]).all() and (value.value[:, 4] == 1).all()


@pytest.mark.parametrize("pay", ["value", "winner"])
def test_pursuers_earn_what_their_objective_pays(pay: str) -> None:
    levels = drawn(FAMILY, "apart", n=200, split="query", pay=pay)
    want = values(levels).astype(np.float32) if pay == "value" else np.array([[1, 0]])
    for k, goal in enumerate(FAMILY.goals):
        rollouts = pursue(FAMILY, levels, goal, episodes=2)
        assert np.allclose(rollouts.returns, np.broadcast_to(want[:, k : k + 1], (200, 2)))
        assert (rollouts.lengths == ways(levels)[:, k : k + 1]).all()
        assert (rollouts.counts[..., WORLD.event_index(goal.event)] == 1).all()
        assert (rollouts.counts[..., WORLD.event_index(FAMILY.goals[1 - k].event)] == 0).all()


@pytest.mark.parametrize("knobs", [{}, {"margin": 0.1, "widest": 0.11}])
def test_no_storage_changes_which_objective_is_larger(knobs: dict[str, Any]) -> None:
    levels = drawn(FAMILY, n=200, **knobs)
    back = from_ascii([to_ascii(levels, i, WORLD) for i in range(len(levels))], WORLD)
    assert levels.value.dtype == np.float32 and (levels.value == back.value).all() and levels.equal(back).all()
    large, small = values(back).T
    assert (large - small > 0.09).all()
    display = FAMILY.look(FAMILY.settings(value_scale=0.1, **knobs))
    obs = Engine(back, FAMILY, "planes", display=display).reset()[:, 2]
    shown = [
        [int(obs[n, y, x]) for x, y in (a, b)]
        for n, (a, b) in enumerate(zip(places(back, "larger"), places(back, "smaller"), strict=True))
    ]
    assert all(bright > dim > 0 for bright, dim in shown)


def test_the_least_difference_cannot_exceed_the_largest() -> None:
    with pytest.raises(KnobError, match=r"'margin' must be at most 'widest', 0\.2, got 0\.3"):
        drawn(FAMILY, n=5, widest=0.2)


# -------------------------------------------------------------------------------------------------------------- twins

FIELDS = ("cells", "contents", "agent", "movers", "quota", "counters", "max_steps", "key")


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("apart", "query")])
def test_twins_exchange_the_values_or_the_features_and_nothing_else(shift: str, split: str) -> None:
    distribution = Distribution(FAMILY, shift, split=split)
    levels = distribution.draw(range(200))
    swapped = {factor: draw_twins(distribution, levels, factor) for factor in ("values", "feature")}
    for factor, twins in swapped.items():
        assert all((getattr(levels, name) == getattr(twins, name)).all() for name in FIELDS)
        assert draw_twins(distribution, twins, factor).equal(levels).all()
        assert places(twins, "one") == places(levels, "one") and places(twins, "two") == places(levels, "two")
    moved, marked = swapped["values"], swapped["feature"]
    assert places(moved, "larger") == places(levels, "smaller") and places(moved, "smaller") == places(levels, "larger")
    assert (values(moved) == values(levels)).all() and (gains(moved)[:, ::-1] == gains(levels)).all()
    assert (moved.value[:, [1, 0]] == levels.value[:, :2]).all() and (moved.value[:, 2:] == levels.value[:, 2:]).all()
    assert places(moved, "feature 0") == places(levels, "feature 0")
    assert places(marked, "feature 0") == places(levels, "feature 1") and (marked.value == levels.value).all()
    assert places(marked, "larger") == places(levels, "larger")


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("close", "query")])
def test_moving_the_agent_keeps_the_larger_objective_worth_more(shift: str, split: str) -> None:
    distribution = Distribution(FAMILY, shift, split=split)
    levels = distribution.draw(range(300))
    twins = draw_twins(distribution, levels, "agent")
    assert (gains(twins) >= 0.1 - 1e-6).all()
    assert (twins.marks == levels.marks).all() and (twins.value == levels.value).all()
    assert (twins.agent[:, :2] != levels.agent[:, :2]).any(1).all()


def test_together_moves_the_larger_objective_with_its_value_and_feature() -> None:
    distribution = Distribution(FAMILY)
    levels = distribution.draw(range(300))
    moved = draw_together(distribution, levels)
    assert coincident(FAMILY, moved, FAMILY.goals, FAMILY.settings()).all() and (gains(moved) >= 0.1 - 1e-6).all()
    assert places(moved, "smaller") == places(levels, "smaller")
    assert places(moved, "larger") == places(moved, "feature 0")
    assert all(a != b for a, b in zip(places(moved, "larger"), places(levels, "larger"), strict=True))
    assert (values(moved) == values(levels)).all() and (moved.value == levels.value).all()
    assert (moved.agent == levels.agent).all()
