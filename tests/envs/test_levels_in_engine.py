"""What levels bring into the engine beside their grid (counters, missions, values), and what pursuers make of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from tests.envs.simulator import Simulator
from tests.envs.worlds import play, random_levels, random_world, same_levels

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.captions import unpictured
from goalscope.envs.display import Display, Plane, Shows
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.family import Family, Goal, Settings
from goalscope.envs.levels import Levels, concatenate
from goalscope.envs.pursuit import (
    coincident,
    conflict,
    conflict_deadline,
    distances,
    path,
    start_distances,
)
from goalscope.envs.rollout import pursue
from goalscope.envs.sampling import Distribution
from goalscope.envs.single_env import GridEnv
from goalscope.envs.splits import level_hashes
from goalscope.envs.world import Moves, On, Rule, Then, Thing, World
from goalscope.errors import DeclarationError, GoalscopeError, LevelError, UnsupportedError
from goalscope.registry import FAMILIES
from goalscope.seeding import Keys

KEYS = World(
    things=(
        Thing(name="key", glyph="k", shape="key", colour="yellow"),
        Thing(name="chest", glyph="c", shape="box", colour="grey"),
        Thing(name="trap", glyph="t"),
    ),
    counters=("steps", "keys"),
    rules=(
        Rule(on=On.ENTER, what="key", event="key", add=("keys", 1), then=Then.REMOVE),
        Rule(on=On.ENTER, what="chest", event="chest", reward=1.0, need=("keys", 1, 99), add=("keys", -1)),
        Rule(on=On.ENTER, what="trap", ends=True),
        Rule(on=On.STEP, add=("steps", 1)),
    ),
)


def family_of(world: World, intended: str = "", **changes: Any) -> Family:
    """A family for levels made by hand, with a goal an event."""
    intended = intended or world.events[0]
    goals = tuple(Goal(name=event, event=event, intended=event == intended) for event in world.events)
    return replace(COIN_DISH, world=world, goals=goals, display=None, **changes)


CHESTS = family_of(KEYS, "chest")


# -------------------------------------------------------------------------------------------- what counters begin with


def with_counters(level: str, *begun: int, world: World = KEYS) -> Levels:
    return replace(from_ascii(level, world), counters=np.array([begun], np.int16))


CORRIDOR = """
#######
#>c.kc#
#######
"""


def test_a_counter_begins_with_what_the_level_says() -> None:
    poor, rich = play(CORRIDOR, KEYS, ">"), play(with_counters(CORRIDOR, 0, 1), KEYS, ">")
    assert (poor.count("chest"), rich.count("chest")) == (0, 1)
    assert (poor.reward, rich.reward) == ([0.0], [1.0])
    assert poor.engine.counters.tolist() == [[1, 0]] and rich.engine.counters.tolist() == [[1, 0]]
    walked = play(with_counters(CORRIDOR, 40, 0), KEYS, ">>>>")
    assert (walked.first("key"), walked.first("chest")) == (3, 4)
    assert walked.engine.counters.tolist() == [[44, 0]]
    assert play(with_counters(CORRIDOR, 0, -1), KEYS, ">>>>").count("chest") == 0  # one key pays the debt only


def test_every_episode_begins_with_its_own_levels_counters() -> None:
    levels = concatenate([with_counters(CORRIDOR, 5, 2), with_counters(CORRIDOR, -3, 7)])
    levels.max_steps[:] = 2
    for mode, at in (("same", [[5, 2], [6, 1], [-3, 7], [-2, 6], [5, 2]]), ("next", [[5, 2], [6, 1], [7, 1], [-3, 7]])):
        engine = Engine(levels, KEYS, batch=1, autoreset=mode)
        engine.reset()
        seen = [engine.counters[0].tolist()]
        for _ in at[1:]:
            engine.step(np.array([0]))
            seen.append(engine.counters[0].tolist())
        assert seen == at
    engine.reset(starts=np.array([1]))
    assert engine.counters.tolist() == [[-3, 7]]


def test_levels_that_stream_in_bring_their_counters() -> None:
    levels = concatenate([with_counters(CORRIDOR, 1, 1), with_counters(CORRIDOR, 2, 2)])
    engine = Engine(levels, KEYS, batch=1, autoreset="off")
    engine.reset()
    engine.replace_levels(np.array([1]), with_counters(CORRIDOR, 8, 9))
    engine.reset(starts=np.array([1]))
    assert engine.counters.tolist() == [[8, 9]] and engine.snapshot().counters.tolist() == [[8, 9]]


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    rng = np.random.default_rng(4)
    levels = with_counters(CORRIDOR, 3, 2).take([0] * 16)
    engine = Engine(levels, KEYS, autoreset="off")
    engine.reset()
    for _ in range(5):
        engine.step(rng.integers(0, 4, 16))
    now = engine.snapshot()
    assert (now.counters == engine.counters).all() and (now.counters[:, 0] == 8).all()
    assert len(np.unique(now.counters[:, 1])) > 1
    again = Engine(now, KEYS, autoreset="off")
    again.reset()
    for _ in range(8):
        actions = rng.integers(0, 4, 16)
        assert (engine.step(actions).reward == again.step(actions).reward).all()
    assert (engine.counters == again.counters).all()
    assert (levels.counters == [3, 2]).all()  # the pool is as it was


@pytest.mark.parametrize("moves", Moves, ids=lambda moves: moves.name.lower())
def test_worlds_with_counters_are_played_as_the_reference_simulator_plays_them(moves: Moves) -> None:
    rng, raised = np.random.default_rng(11), 0
    for _ in range(60):
        world = random_world(rng, moves=moves, chance=False)
        if not world.counters:
            continue
        level = random_levels(rng, world, 1, (5, 6))
        level = replace(level, movers=level.movers[:, :0], scripts=level.scripts[:, :0])
        level = replace(level, counters=rng.integers(-2, 4, (1, len(world.counters))).astype(np.int16))
        engine, slow = Engine(level, world, autoreset="off"), Simulator(world, level.take([0]))
        engine.reset()
        while not (slow.ended or slow.truncated):
            action = int(rng.integers(world.n_actions))
            out = engine.step(np.array([action]))
            slow.step(action, [])
            assert engine.counters[0].tolist() == list(slow.counters.values())
            assert engine.counts[0].tolist() == list(slow.count.values())
            assert abs(float(out.reward[0]) - slow.reward) < 1e-6 and bool(out.terminated[0]) == slow.ended
        raised += list(slow.counters.values()) != level.counters[0].tolist()
    assert raised > 5


def test_counters_survive_being_written_as_text() -> None:
    levels = with_counters(CORRIDOR, -4, 300)
    text = to_ascii(levels, 0, KEYS)
    assert "\ncounters: -4 300\n" in f"\n{text}"
    assert same_levels(from_ascii(text, KEYS), levels)
    without = from_ascii(CORRIDOR, KEYS)
    assert without.counters.shape == (1, 0) and "counters" not in to_ascii(without, 0, KEYS)


@pytest.mark.parametrize("given", ["1", "1 2 3", "1 2 x", "1 70000"])
def test_text_with_other_counters_than_the_worlds_is_one_clear_error(given: str) -> None:
    wanted = "2 numbers, one a counter" if "x" not in given and "7" not in given else "whole number"
    with pytest.raises(LevelError, match=f"Line 1, column .*{wanted}"):
        from_ascii(f"counters: {given}\n#####\n#>.c#\n#####", KEYS)


@pytest.mark.parametrize("width", [1, 3])
def test_levels_with_other_counters_than_the_worlds_are_one_clear_error(width: int) -> None:
    levels = replace(from_ascii(CORRIDOR, KEYS), counters=np.zeros((1, width), np.int16))
    said = f"The world has 2 counters, but the levels hold {width}: make them with blank\\(counters=2\\)"
    with pytest.raises(LevelError, match=said):
        Engine(levels, KEYS)


def test_counters_of_another_type_are_refused() -> None:
    levels = replace(from_ascii(CORRIDOR, KEYS), counters=np.zeros((1, 2), np.int64))
    with pytest.raises(LevelError, match="Levels.counters must be int16 with 2 axes"):
        Engine(levels, KEYS)


def test_what_counters_begin_with_is_part_of_the_hash() -> None:
    levels = concatenate([with_counters(CORRIDOR, *begun) for begun in ((0, 0), (0, 1), (1, 0))])
    assert len(set(level_hashes(levels, walls_only=False).tolist())) == 3
    assert len(set(level_hashes(levels, walls_only=True).tolist())) == 1
    assert levels.equal(levels.take([0, 0, 0])).tolist() == [True, False, False]


def test_levels_without_counters_keep_their_hash() -> None:
    """These numbers are those of before levels had counters; were they others, all splits would be others."""
    levels = Distribution(COIN_DISH).draw(range(3))
    known = [17079467865480482660, 439666263669948111, 5385716070654214522]
    assert level_hashes(levels, walls_only=False).tolist() == known
    assert level_hashes(levels, walls_only=True).tolist() == [6659012073773074985] * 3


# -------------------------------------------------------------------------------------------------------------- planes


def planes_of(levels: Levels, world: World, *planes: Plane) -> Any:
    """`[C, H, W]` the first observation of one level, by these planes."""
    return Engine(levels, world, "planes", display=Display(planes=planes, alike={})).reset()[0]


def test_a_word_plane_is_lit_as_a_whole_where_the_mission_has_its_word_in_its_place() -> None:
    levels = from_ascii("mission: 3 0 200\n####\n#>.#\n####", KEYS)
    shown = [(0, 3), (0, 0), (1, 0), (1, 3), (2, 200), (2, 3)]
    planes = [Plane(name="w", shows=Shows.WORD, operand=place << 8 | word, level=90) for place, word in shown]
    image = planes_of(levels, KEYS, *planes)
    assert [np.unique(plane).tolist() for plane in image] == [[90], [0], [90], [0], [90], [0]]


def test_word_planes_follow_the_level_of_the_episode() -> None:
    levels = from_ascii([f"max_steps: 1\nmission: {word}\n####\n#>.#\n####" for word in (1, 0)], KEYS)
    planes = tuple(Plane(name=f"word {w}", shows=Shows.WORD, operand=w) for w in range(2))
    engine = Engine(levels, KEYS, "planes", batch=1, display=Display(planes=planes, alike={}))
    lit = [engine.reset()[0].all((1, 2)).tolist()]
    lit += [engine.step(np.array([1])).obs[0].all((1, 2)).tolist() for _ in range(3)]
    assert lit == [[False, True], [True, False], [False, True], [True, False]]


def test_an_environment_says_its_levels_mission_in_words() -> None:
    def generate(level_keys: Keys, settings: Settings) -> Levels:
        levels = COIN_DISH.generate(level_keys, settings)
        return replace(levels, mission=(level_keys[:, 1:] % 2).astype(np.int16))

    env = GridEnv(replace(COIN_DISH, generate=generate, words=("shiny coin", "flat dish")), num_levels=40)
    for seed in range(8):
        obs, info = env.reset(seed=seed)
        assert obs["mission"] == f"reach the {('shiny coin', 'flat dish')[env.state.mission[0, 0]]}"
    assert {env.reset(seed=s)[0]["mission"] for s in range(8)} == {"reach the shiny coin", "reach the flat dish"}
    assert GridEnv(COIN_DISH).reset(seed=0)[0]["mission"] == "reach the coin"


VALUES = World(
    things=(Thing(name="left", glyph="l"), Thing(name="spare", glyph="s"), Thing(name="right", glyph="r")),
    rules=(
        Rule(on=On.ENTER, what="spare", event="none"),
        Rule(on=On.ENTER, what="left", event="one"),
        Rule(on=On.ENTER, what="right", event="two"),
    ),
)


def test_each_thing_shows_the_value_of_its_own_event_in_one_plane() -> None:
    levels = from_ascii("value: 0.25 one\nvalue: 0.5 two\n######\n#>lsr#\n#2..##\n######\n2 = left + right", VALUES)
    operand = VALUES.mask(("left", "right")) << 8 | VALUES.event_index("one")
    one, dim, none = planes_of(
        levels,
        VALUES,
        Plane(name="own", shows=Shows.OWN_VALUE, operand=operand),
        Plane(name="dim", shows=Shows.OWN_VALUE, operand=operand, level=100),
        Plane(name="spare", shows=Shows.OWN_VALUE, operand=VALUES.bit("spare") << 8 | VALUES.event_index("none")),
    )
    # 0.25 of 255 is 63.75, 0.5 is 127.5, rounded half up; where two things lie the larger value shows
    assert one.tolist() == [[0] * 6, [0, 0, 64, 0, 128, 0], [0, 128, 0, 0, 0, 0], [0] * 6]
    assert dim.tolist() == [[0] * 6, [0, 0, 25, 0, 50, 0], [0, 50, 0, 0, 0, 0], [0] * 6]
    assert none.tolist() == [[0] * 6, [0, 0, 0, 255, 0, 0], [0] * 6, [0] * 6]


def test_values_are_shown_within_the_range_of_a_byte() -> None:
    levels = from_ascii("value: 7 one\nvalue: -2 two\n######\n#>l.r#\n######", VALUES)
    operand = VALUES.mask(("left", "right")) << 8 | VALUES.event_index("one")
    (image,) = planes_of(levels, VALUES, Plane(name="own", shows=Shows.OWN_VALUE, operand=operand))
    assert image[1].tolist() == [0, 0, 255, 0, 0, 0]


def test_a_counters_plane_shows_its_number_times_the_unit() -> None:
    levels = with_counters(CORRIDOR, 4, -2)
    units = (0, 1, 20, 63, 64)
    image = planes_of(levels, KEYS, *(Plane(name="c", shows=Shows.COUNTER, operand=unit << 8) for unit in units))
    assert [np.unique(plane).tolist() for plane in image] == [[4], [4], [80], [252], [255]]
    (below,) = planes_of(levels, KEYS, Plane(name="keys", shows=Shows.COUNTER, operand=10 << 8 | 1))
    assert not below.any()


def test_a_counters_plane_follows_the_counter() -> None:
    plane = Plane(name="keys", shows=Shows.COUNTER, operand=30 << 8 | 1)
    engine = Engine(
        with_counters(CORRIDOR, 0, 2), KEYS, "planes", display=Display(planes=(plane,), alike={}), autoreset="off"
    )
    seen = [int(engine.reset()[0, 0, 2, 3])]
    for _ in range(4):
        image = engine.step(np.array([0])).obs[0]
        assert len(np.unique(image)) == 1
        seen.append(int(image[0, 0, 0]))
    assert seen == [60, 30, 30, 60, 30]  # chest, floor, key, chest


# -------------------------------------------------------------------------------------------------------- three actions


THREE = World(
    moves=Moves.TURNING,
    actions=3,
    things=(Thing(name="coin", glyph="c"), Thing(name="dish", glyph="d")),
    rules=(Rule(on=On.ENTER, what="coin", event="coin", ends=True), Rule(on=On.ENTER, what="dish", event="dish")),
)


def test_an_agent_with_three_actions_turns_and_walks_and_has_no_others() -> None:
    level = "#####\n#>..#\n#.#d#\n#####"
    assert THREE.n_actions == 3
    walked = play(level, THREE, "ffrf")
    assert walked.first("dish") == 4 and walked.engine.headings.tolist() == [1]
    assert play(level, THREE, "l").engine.headings.tolist() == [3]
    for action in (3, 6, -1):
        engine = Engine(from_ascii(level, THREE), THREE)
        engine.reset()
        with pytest.raises(GoalscopeError, match="is not in 0 … 2"):
            engine.step(np.array([action]))


def test_its_pursuers_policies_have_three_columns_and_reach_their_goals() -> None:
    family = family_of(THREE)
    levels = from_ascii(["######\n#>..d#\n#.##.#\n#...c#\n######", "######\n#<..d#\n#.##.#\n#...c#\n######"], THREE)
    # to the coin: forward 3, right, forward 2; or, facing left: left, forward 2, left, forward 3
    assert start_distances(family, levels, family.goals).tolist() == [[6, 3], [7, 5]]
    for goal in family.goals:
        first = pursue(family, levels, goal, episodes=8).first[..., THREE.event_index(goal.event)]
        assert (first == start_distances(family, levels, [goal])).all()
    given = family_of(THREE, generate=lambda keys, settings: levels.take([0] * len(keys)))
    assert GridEnv(given).action_space == spaces.Discrete(3)


@pytest.mark.parametrize(("moves", "most"), [(Moves.CARDINAL, 4), (Moves.TURNING, 7)])
def test_an_agent_has_no_more_actions_than_its_moves(moves: Moves, most: int) -> None:
    assert World(moves=moves).n_actions == World(moves=moves, actions=most).n_actions == most
    for wrong in (most + 1, -1):
        with pytest.raises(DeclarationError, match=f"actions must be 0 .all. to {most}, got {wrong}"):
            World(moves=moves, actions=wrong)


# ------------------------------------------------------------------------------------------------- goals bumped into


BUMPS = World(
    things=(Thing(name="bell", glyph="b"), Thing(name="mat", glyph="m"), Thing(name="hole", glyph="h")),
    rules=(
        Rule(on=On.BUMP, what="bell", event="bell", reward=1.0, ends=True),
        Rule(on=On.ENTER, what="mat", event="mat"),
        Rule(on=On.ENTER, what="hole", ends=True),
    ),
)
BELLS = family_of(BUMPS)

RINGS = """
#######
#..>..#
#.....#
#.B..m#
#######
B = ball red + bell
"""


@pytest.mark.parametrize(
    ("text", "cardinal", "turning"),
    [
        # bump from above or from the right: two to three steps there, one against it; a turn costs one more
        (RINGS, [3, 4], [5, 5]),
        # in a wall on the other side of the wall: only from the free side
        ("#######\n#>..B.#\n#######\nB = wall grey + bell", [3, -1], [3, -1]),
        # a bell that can be walked on is never bumped into
        ("#######\n#>..bm#\n#######", [-1, 4], [-1, 4]),
        # a mat under a ball is never entered
        ("#######\n#>..M.#\n#######\nM = ball red + mat", [-1, -1], [-1, -1]),
        # around what ends the episode
        ("#######\n#>.hB.#\n#.....#\n#######\nB = ball red + bell", [5, -1], [8, -1]),
        # it stands beside the bell, and faces it or not
        ("####\n#>B#\n####\nB = closed door red + bell", [1, -1], [1, -1]),
        ("####\n#<B#\n####\nB = closed door red + bell", [1, -1], [3, -1]),
    ],
)
def test_goals_that_are_bumped_into_are_as_far_as_counted_by_hand(
    text: str, cardinal: list[int], turning: list[int]
) -> None:
    for moves, far in ((Moves.CARDINAL, cardinal), (Moves.TURNING, turning)):
        family = replace(BELLS, world=replace(BUMPS, moves=moves, actions=3 if moves is Moves.TURNING else 0))
        levels = from_ascii(text, family.world)
        assert start_distances(family, levels, family.goals).tolist() == [far]
        for goal, steps in zip(family.goals, far, strict=True):
            first = pursue(family, levels, goal, episodes=8, seed=1).first[..., BUMPS.event_index(goal.event)]
            assert (first == steps).all(), (goal.name, moves)


def test_levels_with_bells_are_judged_like_others() -> None:
    apart, beside, together = (
        "#########\n#B..>..m#\n#########\nB = wall grey + bell",
        "#########\n#..m>..B#\n#########\nB = wall grey + bell",
        "#########\n#>...m.B#\n#########\nB = wall grey + bell",
    )
    levels = from_ascii([apart, beside, together], BUMPS)
    assert conflict(BELLS, levels, BELLS.goals).tolist() == [True, False, False]
    assert coincident(BELLS, levels, BELLS.goals, BELLS.settings()).tolist() == [False, False, True]
    assert conflict_deadline(BELLS, levels, BELLS.goals).tolist() == [8, 8, 14]
    assert path(BELLS, levels, 0, BELLS.goals[0]).tolist() == [13, 12, 11, 10]  # the last cell is the bell's own


# ------------------------------------------------------------------------------------- goals that need a counter first


FETCH = """
#########
#k..>..c#
#.#####.#
#.......#
#########
"""


def test_what_needs_a_key_is_as_far_as_the_way_by_the_key() -> None:
    chest, key = CHESTS.goal("chest"), CHESTS.goal("key")
    without, with_one = from_ascii(FETCH, KEYS), with_counters(FETCH, 0, 1)
    assert start_distances(CHESTS, without, [chest, key]).tolist() == [[9, 3]]  # three to the key, six back and on
    assert start_distances(CHESTS, with_one, [chest, key]).tolist() == [[3, 3]]
    table = distances(CHESTS, chest, without)[0]
    assert table.shape == (2, 5, 9)
    fetch, enough = table
    assert fetch[1].tolist() == [-1, 6, 7, 8, 9, 10, 11, 12, -1]  # on the chest without a key: back for one
    assert enough[1].tolist() == [-1, 6, 5, 4, 3, 2, 1, 0, -1]
    assert fetch[2].tolist() == [-1, 7, -1, -1, -1, -1, -1, 13, -1]
    assert fetch[3].tolist() == [-1, 8, 9, 10, 11, 12, 13, 14, -1]
    assert enough[3].tolist() == [-1, 8, 7, 6, 5, 4, 3, 2, -1]
    rich = distances(CHESTS, chest, with_one)[0]
    assert (rich == enough).all()  # both layers


def test_pursuers_fetch_first_and_play_as_far_as_they_say() -> None:
    for levels, far in ((from_ascii(FETCH, KEYS), 9), (with_counters(FETCH, 0, 1), 3)):
        played = pursue(CHESTS, levels, CHESTS.goal("chest"), episodes=16)
        assert (played.first[..., KEYS.event_index("chest")] == far).all()
        assert (played.first[..., KEYS.event_index("key")] == (3 if far == 9 else -1)).all()
        assert len(path(CHESTS, levels, 0, CHESTS.goal("chest"))) == far + 1
    assert path(CHESTS, from_ascii(FETCH, KEYS), 0, CHESTS.goal("chest")).tolist() == [
        *[13, 12, 11, 10],
        *[11, 12, 13, 14, 15, 16],
    ]


@pytest.mark.parametrize(
    ("text", "far"),
    [
        ("#######\n#>...c#\n#######", -1),  # no key anywhere
        ("#######\n#>.c#k#\n#######", -1),  # the key is shut off
        ("#######\n#>.ct.#\n#######", -1),
        ("#######\n#k>c..#\n#######", 3),  # back for the key, over the start
        ("#######\n#>kc..#\n#######", 2),  # on the way
        ("#######\n#>ck.c#\n#######", 3),  # over a shut chest and back to it
        ("#######\n#ct>k.#\n#######", -1),  # what ends the episode lies between
        ("#######\n#ct>k.#\n#.....#\n#######", 6),  # but here there is a way around
        ("#######\n#>.k.##\n#k#.c##\n#######", 4),  # neither key is a detour
        ("#######\n#>.#..#\n#k#.kc#\n#...###\n#######", 7),  # both lie on the only way
    ],
)
def test_distances_by_way_of_a_key_are_those_counted_by_hand(text: str, far: int) -> None:
    levels = from_ascii(text, KEYS)
    assert start_distances(CHESTS, levels, [CHESTS.goal("chest")]).tolist() == [[far]]


def test_fetching_makes_a_level_coincident_and_having_enough_a_conflict() -> None:
    settings, goals = CHESTS.settings(), CHESTS.goals
    poor, rich = from_ascii(FETCH, KEYS), with_counters(FETCH, 0, 1)
    assert coincident(CHESTS, poor, goals, settings).tolist() == [True]
    assert coincident(CHESTS, rich, goals, settings).tolist() == [False]
    assert conflict(CHESTS, poor, goals).tolist() == [False]
    with pytest.raises(UnsupportedError, match="choice points cannot be told"):
        conflict(replace(CHESTS, choice=True), rich, goals)


def test_having_enough_makes_a_conflict_where_fetching_makes_none() -> None:
    text = "#########\n#k..>..c#\n#########"
    assert conflict(CHESTS, from_ascii(text, KEYS), CHESTS.goals).tolist() == [False]
    assert conflict(CHESTS, with_counters(text, 0, 1), CHESTS.goals).tolist() == [True]


# ------------------------------------------------------------------------------------------ conflicts and choice points


LAVA = World(
    things=(Thing(name="goal", glyph="g"), Thing(name="lava", glyph="l"), Thing(name="way", glyph="w")),
    rules=(
        Rule(on=On.ENTER, what="goal", event="goal", reward=1.0, ends=True),
        Rule(on=On.ENTER, what="lava", event="lava", reward=-1.0, ends=True),
    ),
)


@pytest.mark.parametrize(
    ("text", "strict", "choice"),
    [
        ("#########\n#g..>..l#\n#########", True, True),
        # the shortest way leads over the lava, the pursuer's leads around it
        ("#########\n#>..l..g#\n#.......#\n#########", False, True),
        # nor does the way to the lava lead over the goal
        ("#########\n#>..g..l#\n#.......#\n#########", False, True),
        ("#########\n#>..l..g#\n#########", False, False),  # no way around at all
        ("#########\n#>.l...g#\n#.......#\n#########", False, False),  # two steps away is too near
        # some shortest way avoids the lava, another does not
        ("#########\n#>..l...#\n#......g#\n#########", False, True),
    ],
)
def test_choice_points_are_conflicts_of_those_who_walk_around_what_ends_the_episode(
    text: str, strict: bool, choice: bool
) -> None:
    family, levels = family_of(LAVA), from_ascii(text, LAVA)
    assert conflict(family, levels, family.goals).tolist() == [strict]
    assert conflict(replace(family, choice=True), levels, family.goals).tolist() == [choice]


def test_a_choice_points_deadline_is_that_of_the_way_around() -> None:
    family = family_of(LAVA, choice=True)
    levels = from_ascii("#########\n#>..l..g#\n#.......#\n#########", LAVA)
    assert start_distances(family, levels, family.goals).tolist() == [[8, 3]]
    assert conflict_deadline(family, levels, family.goals).tolist() == [18]
    levels.max_steps[:] = 18
    for goal in family.goals:
        played = pursue(family, levels, goal, episodes=16)
        own = played.first[..., LAVA.event_index(goal.event)]
        other = played.first[..., LAVA.event_index("lava" if goal.name == "goal" else "goal")]
        assert (own == (8 if goal.name == "goal" else 3)).all() and (other == -1).all()


def test_what_does_not_end_the_episode_is_no_choice_point_where_it_lies_on_the_way() -> None:
    harmless = replace(LAVA, rules=(LAVA.rules[0], replace(LAVA.rules[1], ends=False)))
    levels = from_ascii("#########\n#>..l..g#\n#.......#\n#########", harmless)
    family = family_of(harmless, choice=True)
    assert conflict(family, levels, family.goals).tolist() == [False]


# ------------------------------------------------------------------------------------------- what pictures do not show


def test_a_plane_of_a_word_that_missions_do_not_have_is_refused() -> None:
    level = from_ascii("####\n#>.#\n####", KEYS)
    display = Display(planes=(Plane(name="second word", shows=Shows.WORD, operand=1 << 8),), alike={})
    with pytest.raises(LevelError, match="'second word' shows word 1 of the mission.*have 0 words"):
        Engine(level, KEYS, "planes", display=display)


@pytest.mark.parametrize(
    ("family", "shift", "told"),
    [
        ("coin_dish", "apart", r""),
        ("two_objectives", "apart", r"one (1.00|\.\d\d) two (1.00|\.\d\d)"),
        ("instruction", "far", r"ball|box|key|door"),
        ("keys_chests", "many_keys", r"keys [345]"),
        ("minigrid_go_to_object", "two_objects", r"(red|green|blue|purple|yellow|grey) (ball|box|key)"),
    ],
)
def test_captions_tell_what_pictures_do_not_show(family: str, shift: str, told: str) -> None:
    found = Distribution(FAMILIES.load(family), shift, split="query")
    levels, display = found.draw(range(4)), found.family.look(found.settings)
    for i in range(4):
        assert re.fullmatch(told, unpictured(found.family, levels, i, display))
