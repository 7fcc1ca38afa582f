"""The engine's rules in hand-computed cases, its episodes, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare
from tests.envs.simulator import Simulator
from tests.envs.worlds import draw_full, marked, play, random_levels, random_world

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import BOX, EMPTY, GOAL, KEY, code
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.levels import Levels, blank, concatenate
from goalscope.envs.sampling import Distribution
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, World
from goalscope.errors import DeclarationError, GoalscopeError, LevelError, UnknownNameError

COIN = Thing(name="coin", glyph="c", shape="ball", colour="yellow")
BELL = Thing(name="bell", glyph="b", shape="floor", colour="blue")


def world_of(*rules: Rule, **options: Any) -> World:
    """A world with coins and bells."""
    return World(things=(COIN, BELL), rules=rules, **options)


# ------------------------------------------------------------------------------------------------ what rules fire on


def test_an_enter_rule_fires_each_time_the_agent_moves_onto_the_mark() -> None:
    trace = play("####\n#>c#\n####", world_of(Rule(on=On.ENTER, what="coin", event="coin", reward=1.0)), ">><>")
    assert trace.reward == [1, 0, 0, 1]  # in the second step the agent bumps into the wall and enters nothing
    assert (trace.count("coin"), trace.first("coin")) == (2, 1)


def test_an_enter_rule_does_not_fire_where_the_agent_starts() -> None:
    world = world_of(Rule(on=On.ENTER, what="coin", event="coin", reward=1.0))
    trace = play("####\n#1.#\n####\n1 = agent > + coin", world, "v>")
    assert trace.reward == [0, 0] and (trace.count("coin"), trace.first("coin")) == (0, -1)


def test_a_bump_rule_fires_on_a_blocked_cell_with_the_mark_and_nowhere_else() -> None:
    world = world_of(Rule(on=On.BUMP, what="bell", event="ring", reward=2.0))
    trace = play("#####\n#.>1#\n#####\n1 = wall grey + bell", world, ">^>><")
    assert trace.reward == [2, 0, 2, 2, 0] and trace.count("ring") == 3


def test_a_bump_rule_does_not_fire_on_a_free_cell_and_an_enter_rule_not_on_a_blocked_one() -> None:
    rules = Rule(on=On.BUMP, what="bell", reward=1.0), Rule(on=On.ENTER, what="bell", reward=10.0)
    trace = play("#####\n#1>b#\n#####\n1 = ball red + bell", world_of(*rules), "<>")
    assert trace.reward == [1, 10]


def test_a_turning_agent_bumps_only_forwards() -> None:
    world = world_of(Rule(on=On.BUMP, what="bell", reward=1.0), moves=Moves.TURNING)
    trace = play("####\n#1>#\n####\n1 = closed door red + bell", world, "llfftf")
    assert trace.reward == [0, 0, 1, 1, 0, 0]  # the last step goes through the door, now open


PICK = world_of(
    Rule(on=On.PICKUP, what="coin", event="took", reward=1.0),
    Rule(on=On.DROP, what="bell", event="laid", reward=5.0),
    moves=Moves.TURNING,
)


def test_a_pickup_rule_fires_only_when_something_was_picked_up() -> None:
    trace = play("#####\n#>12#\n#####\n1 = key blue + coin\n2 = key red + coin", PICK, "ppffp")
    assert trace.reward == [1, 0, 0, 0, 0]  # the hands are full
    assert trace.engine.snapshot().agent[0].tolist() == [2, 1, 0, code("key", "blue")]


def test_a_pickup_rule_needs_the_mark() -> None:
    assert play("####\n#>1#\n####\n1 = key blue", PICK, "p").reward == [0]


def test_a_drop_rule_fires_where_the_object_lands() -> None:
    trace = play("carried: key blue\n#####\n#.>b#\n#####", PICK, "dpdlld")
    assert trace.reward == [5, 0, 5, 0, 0, 0]  # the cell behind has no mark, and the hands are empty by then
    world = trace.engine.snapshot()
    assert world.cells[0, 1].tolist()[1:4] == [EMPTY, EMPTY, code("key", "blue")] and world.agent[0, 3] == 0


def test_a_drop_rule_does_not_fire_on_a_blocked_cell() -> None:
    trace = play("carried: key blue\n####\n#>1#\n####\n1 = ball red + bell", PICK, "d")
    assert trace.reward == [0] and trace.engine.snapshot().agent[0, 3] == code("key", "blue")


TOGGLE = world_of(Rule(on=On.TOGGLE, what="bell", event="click", reward=1.0), moves=Moves.TURNING)


def test_a_toggle_rule_fires_on_opening_and_on_closing() -> None:
    assert play("####\n#>1#\n####\n1 = closed door red + bell", TOGGLE, "ttt").reward == [1, 1, 1]


@pytest.mark.parametrize(("carried", "pay"), [("key blue", 0), ("key red", 1), ("ball red", 0)])
def test_a_locked_door_opens_for_the_key_of_its_colour_alone(carried: str, pay: int) -> None:
    trace = play(f"carried: {carried}\n####\n#>1#\n####\n1 = locked door red + bell", TOGGLE, "t")
    assert trace.reward == [pay]


def test_opening_a_box_leaves_its_contents_and_the_mark() -> None:
    trace = play("####\n#>1#\n####\n1 = box red holding key blue + bell", TOGGLE, "tt")
    after = trace.engine.snapshot()
    assert trace.reward == [1, 0]  # a key cannot be toggled
    assert (after.cells[0, 1, 2], after.contents[0, 1, 2]) == (code("key", "blue"), 0) and marked(after, 2) == [(2, 1)]


def test_a_carried_box_keeps_what_it_holds() -> None:
    trace = play("####\n#>1#\n####\n1 = box red holding key blue", PICK, "p")
    assert trace.engine.snapshot().carried_contents[0] == code("key", "blue")
    trace = play("####\n#>1#\n####\n1 = box red holding key blue", PICK, "pd")
    assert trace.engine.snapshot().contents[0, 1, 2] == code("key", "blue")


def test_a_step_rule_fires_every_step() -> None:
    trace = play("####\n#>.#\n####", world_of(Rule(on=On.STEP, event="tick", reward=-0.25)), ">>>")
    assert trace.reward == [-0.25] * 3 and (trace.count("tick"), trace.first("tick")) == (3, 1)


QUOTA = (
    Rule(on=On.ENTER, what="coin", event="coin", then=Then.REMOVE),
    Rule(on=On.QUOTA, what="coin", event="done", reward=3.0, ends=True),
)


def test_a_quota_rule_fires_once_when_the_count_reaches_the_quota() -> None:
    world = world_of(QUOTA[0], replace(QUOTA[1], ends=False))
    trace = play("quota: 2 coin\n######\n#>ccc#\n######", world, ">>>")
    assert trace.reward == [0, 3, 0] and (trace.count("done"), trace.first("done")) == (1, 2)


def test_a_quota_rule_can_end_the_episode() -> None:
    trace = play("quota: 1 coin\n######\n#>ccc#\n######", world_of(*QUOTA), ">")
    assert trace.reward == [3] and trace.terminated == [True]


@pytest.mark.parametrize("quota", ["", "quota: 4 coin\n", "quota: 0 coin\n", "quota: -1 coin\n"])
def test_a_quota_rule_never_fires_without_its_quota(quota: str) -> None:
    assert play(f"{quota}######\n#>ccc#\n######", world_of(*QUOTA), ">>>").reward == [0, 0, 0]


def test_a_quota_passed_by_two_events_in_one_step_was_reached_too() -> None:
    twice = (Rule(on=On.ENTER, what="bell", event="coin"), Rule(on=On.ENTER, what="bell", event="coin"))
    world = world_of(QUOTA[0], *twice, replace(QUOTA[1], ends=False))
    trace = play("quota: 2 coin\n#####\n#>cb#\n#####", world, ">>")
    assert trace.count("coin") == 3
    assert trace.reward == [0, 3]


def test_a_quota_counts_step_events_too() -> None:
    world = world_of(Rule(on=On.STEP, event="tick"), Rule(on=On.QUOTA, what="tick", reward=1.0))
    assert play("quota: 3 tick\n####\n#>.#\n####", world, ">>>>").reward == [0, 0, 1, 0]


def test_a_quota_of_several_events_watches_each() -> None:
    rules = (
        Rule(on=On.ENTER, what="coin", event="coin"),
        Rule(on=On.ENTER, what="bell", event="bell"),
        Rule(on=On.QUOTA, what=("coin", "bell"), reward=1.0),
    )
    trace = play("quota: 1 coin\nquota: 2 bell\n#####\n#>cb#\n#####", world_of(*rules), ">><>")
    assert trace.reward == [1, 0, 0, 1]


# ---------------------------------------------------------------------------------- counters, pay, ends, what follows

CHEST = world_of(
    Rule(on=On.ENTER, what="coin", event="key", add=("purse", 1), then=Then.REMOVE),
    Rule(on=On.ENTER, what="bell", event="chest", reward=1.0, need=("purse", 1, 9), add=("purse", -1)),
    counters=("purse",),
)


def test_a_chest_opens_only_with_a_key_and_uses_it_up() -> None:
    trace = play("######\n#b>cc#\n######", CHEST, "<>>><<<<")
    assert trace.reward == [0, 0, 0, 0, 0, 0, 1, 0]
    trace = play("#####\n#b>c#\n#####", CHEST, "<>><<<>><")
    assert trace.reward == [0, 0, 0, 0, 1, 0, 0, 0, 0]  # entered twice, with one key
    assert trace.engine.counters.tolist() == [[0]] and trace.count("chest") == 1


@pytest.mark.parametrize(("held", "pay"), [(0, 0), (1, 1), (2, 1), (3, 0)])
def test_both_ends_of_a_needed_range_count(held: int, pay: int) -> None:
    world = world_of(
        Rule(on=On.ENTER, what="coin", add=("purse", 1)),
        Rule(on=On.ENTER, what="bell", reward=1.0, need=("purse", 1, 2)),
        counters=("purse",),
    )
    trace = play("#" * (held + 4) + "\n#>" + "c" * held + "b#\n" + "#" * (held + 4), world, ">" * (held + 1))
    assert trace.engine.counters[0, 0] == held and sum(trace.reward) == pay


def test_a_counter_that_one_rule_fills_opens_the_next_rule_in_the_same_step() -> None:
    fill = Rule(on=On.ENTER, what="coin", add=("purse", 1))
    use = Rule(on=On.ENTER, what="coin", reward=1.0, need=("purse", 1, 1))
    level = "####\n#>c#\n####"
    assert play(level, world_of(fill, use, counters=("purse",)), ">").reward == [1]
    assert play(level, world_of(use, fill, counters=("purse",)), ">").reward == [0]


def test_the_value_of_an_event_scales_its_rewards() -> None:
    rules = (
        Rule(on=On.ENTER, what="coin", event="coin", reward=2.0),
        Rule(on=On.ENTER, what="coin", reward=10.0),  # no event, no value
        Rule(on=On.ENTER, what="bell", event="bell", reward=-1.0),
    )
    trace = play("value: 0.25 coin\nvalue: 3 bell\n#####\n#>cb#\n#####", world_of(*rules), ">>")
    assert trace.reward == [10.5, -3]


def test_a_reward_decays_over_the_episode() -> None:
    world = world_of(Rule(on=On.ENTER, what="coin", reward=1.0, decay=0.9))
    assert play("max_steps: 10\n#####\n#>.c#\n#####", world, ">>").reward == [0, 0.82]  # 1 - .9 · 2 / 10


def test_every_rule_of_a_cell_fires_even_if_the_first_takes_the_mark_away() -> None:
    rules = (
        Rule(on=On.ENTER, what="coin", reward=1.0, then=Then.REMOVE),
        Rule(on=On.ENTER, what=("coin", "bell"), reward=10.0, ends=True),
    )
    trace = play("####\n#>c#\n####", world_of(*rules), ">")
    assert trace.reward == [11] and trace.terminated == [True]


def test_removal_takes_the_named_marks_only() -> None:
    world = world_of(Rule(on=On.ENTER, what="coin", then=Then.REMOVE))
    after = play("####\n#>1#\n####\n1 = coin + bell", world, ">").engine.snapshot()
    assert marked(after, world.bit("coin")) == [] and marked(after, world.bit("bell")) == [(2, 1)]


def test_an_unmet_need_leaves_the_mark() -> None:
    world = world_of(Rule(on=On.ENTER, what="coin", need=("purse", 1, 1), then=Then.REMOVE), counters=("purse",))
    assert marked(play("####\n#>c#\n####", world, ">").engine.snapshot(), 1) == [(2, 1)]


RESPAWN = world_of(Rule(on=On.ENTER, what="coin", event="coin", then=Then.RESPAWN))


def test_a_thing_respawns_on_the_only_free_cell() -> None:
    trace = play("####\n#>c#\n####", RESPAWN, "><><")
    assert trace.count("coin") == 4
    assert marked(trace.engine.snapshot(), 1) == [(2, 1)]


def test_a_thing_respawns_uniformly_on_free_cells_and_nowhere_else() -> None:
    level = from_ascii("#####\n#>c.#\n#1b.#\n#...#\n#####\n1 = floor red", RESPAWN)
    engine = Engine(level, RESPAWN, batch=6000, autoreset="off")
    engine.reset()
    engine.step(np.zeros(6000, int))
    now = engine.snapshot()
    where = [marked(now, 1, b) for b in range(6000)]
    assert all(len(cells) == 1 for cells in where)
    free = [(1, 1), (3, 1), (3, 2), (1, 3), (2, 3), (3, 3)]
    assert chisquare([where.count([cell]) for cell in free]).pvalue > 1e-4 and {c[0] for c in where} == set(free)


def test_a_thing_that_finds_no_free_cell_stays() -> None:
    trace = play("####\n#1c#\n####\n1 = floor red + agent >", RESPAWN, ">")
    assert marked(trace.engine.snapshot(), 1) == [(2, 1)]


# ------------------------------------------------------------------------------------------------------- how it ends

ENDING = world_of(
    Rule(on=On.ENTER, what="coin", event="coin", reward=1.0, ends=True), Rule(on=On.ENTER, what="bell", event="bell")
)


def test_an_end_terminates_and_a_deadline_truncates() -> None:
    trace = play("max_steps: 3\n#####\n#>bc#\n#####", ENDING, ">>")
    assert trace.terminated == [False, True] and trace.truncated == [False, False]
    trace = play("max_steps: 3\n#####\n#>bc#\n#####", ENDING, "<<<")
    assert trace.terminated == [False] * 3 and trace.truncated == [False, False, True]


def test_an_end_in_the_last_step_both_terminates_and_truncates() -> None:
    trace = play("max_steps: 2\n#####\n#>bc#\n#####", ENDING, ">>")
    assert (trace.reward[-1], trace.terminated[-1], trace.truncated[-1]) == (1, True, True)


@pytest.mark.parametrize(("tile", "pay"), [("goal green", 1 - 0.9 / 100), ("lava red", 0)])
def test_goals_pay_and_end_and_lava_ends(tile: str, pay: float) -> None:
    trace = play(f"####\n#>1#\n####\n1 = {tile} + bell", ENDING, ">")
    assert trace.terminated == [True] and trace.reward == [pytest.approx(pay)]
    assert trace.count("bell") == 1  # the marks of the cell count all the same


def test_without_autoreset_an_ended_episode_stays_as_it_is() -> None:
    trace = play("#####\n#>cb#\n#####", ENDING, ">>>")
    assert trace.reward == [1, 0, 0] and trace.terminated == [True] * 3
    assert trace.engine.snapshot().agent[0, :2].tolist() == [2, 1]
    assert trace.engine.episodes.tolist() == [1]
    assert (trace.count("coin"), trace.count("bell")) == (1, 0)


TWO = ["#####\n#>bc#\n#####", "max_steps: 3\n#####\n#c.<#\n#####"]


def test_same_step_autoreset_shows_the_next_level_and_keeps_the_final_observation() -> None:
    levels = from_ascii(TWO, ENDING)
    engine = Engine(levels, ENDING, batch=1, keep_final=True)
    first = engine.reset().copy()
    engine.step(np.array([0]))
    step = engine.step(np.array([0]))
    assert step.terminated[0] and step.reward[0] == 1
    end = levels.take([0])
    end.agent[0, 0] = 3
    assert (engine.final[0] == draw_full(ENDING, engine.display, end, 0)).all()
    assert (step.obs[0] == draw_full(ENDING, engine.display, levels, 1)).all() and not (step.obs[0] == first).all()
    assert engine.slots.tolist() == [1] and engine.episodes.tolist() == [1]
    assert engine.counts.tolist() == [[0, 0]] and engine.first.tolist() == [[-1, -1]]
    last = engine.last_episodes
    assert (last.length[0], last.slot[0], last.gain[0]) == (2, 0, 1)
    assert last.count.tolist() == [[1, 1]] and last.first.tolist() == [[2, 1]]
    step = engine.step(np.array([0]))
    assert not step.terminated[0] and step.reward[0] == 0 and engine.slots.tolist() == [1]


def test_same_step_autoreset_after_a_deadline_starts_over_with_a_full_deadline() -> None:
    engine = Engine(from_ascii(TWO[1], ENDING), ENDING)
    engine.reset()
    flags = [bool(engine.step(np.array([1])).truncated[0]) for _ in range(9)]
    assert flags == [False, False, True] * 3 and engine.episodes.tolist() == [3]
    assert engine.last_episodes.count.tolist() == [[0, 0]] and engine.last_episodes.length.tolist() == [3]


def test_next_step_autoreset_shows_the_end_first_and_resets_in_the_step_after() -> None:
    levels = from_ascii(TWO, ENDING)
    engine = Engine(levels, ENDING, batch=1, autoreset="next")
    engine.reset()
    engine.step(np.array([0]))
    step = engine.step(np.array([0]))
    end = levels.take([0])
    end.agent[0, 0] = 3
    assert step.terminated[0] and (step.obs[0] == draw_full(ENDING, engine.display, end, 0)).all()
    assert engine.counts.tolist() == [[1, 1]]
    step = engine.step(np.array([2]))  # the action is not played
    assert (step.reward[0], bool(step.terminated[0]), bool(step.truncated[0])) == (0, False, False)
    assert (step.obs[0] == draw_full(ENDING, engine.display, levels, 1)).all()
    assert engine.counts.tolist() == [[0, 0]] and engine.last_episodes.gain.tolist() == [1]
    step = engine.step(np.array([2]))
    step = engine.step(np.array([2]))
    assert step.terminated[0] and step.reward[0] == 1 and engine.last_episodes.slot.tolist() == [1]


def test_environments_go_through_the_pool_by_their_stride() -> None:
    levels = concatenate([from_ascii("max_steps: 1\n####\n#>.#\n####", ENDING)] * 7)
    for options, want in (
        ({"batch": 2}, [[0, 1], [2, 3], [4, 5], [6, 0], [1, 2]]),
        ({"batch": 2, "stride": 3}, [[0, 1], [3, 4], [6, 0], [2, 3], [5, 6]]),
        ({"batch": 2, "stride": 0}, [[0, 1]] * 5),
        ({"batch": 1, "starts": np.array([5]), "stride": 1}, [[5], [6], [0], [1], [2]]),
    ):
        settings: dict[str, Any] = options
        engine = Engine(levels, ENDING, **settings)
        engine.reset()
        seen = []
        for _ in range(5):
            seen.append(engine.slots.tolist())
            engine.step(np.zeros(engine.batch, int))
        assert seen == want, options


def test_reset_starts_every_environment_afresh() -> None:
    levels = from_ascii(TWO, ENDING)
    engine = Engine(levels, ENDING, batch=1)
    first = engine.reset().copy()
    for _ in range(3):
        engine.step(np.array([0]))
    assert (engine.reset() == first).all() and engine.slots.tolist() == [0] and engine.episodes.tolist() == [0]


def test_the_return_adds_up_the_rewards_of_the_episode() -> None:
    world = world_of(Rule(on=On.STEP, reward=-0.25), Rule(on=On.ENTER, what="coin", reward=1.0, ends=True))
    assert play("#####\n#>.c#\n#####", world, ">>").engine.last_episodes.gain.tolist() == [0.5]


# --------------------------------------------------------------------------------------------- pools and snapshots


def engine_on(texts: list[str], **options: Any) -> Engine:
    engine = Engine(from_ascii(texts, ENDING), ENDING, **options)
    engine.reset()
    return engine


def test_a_replaced_level_is_played_when_its_turn_comes() -> None:
    engine = engine_on(TWO, batch=1)
    fresh = from_ascii("value: 0.5 coin\n#####\n#..>#\n#####", ENDING)
    fresh.marks[0, 1, 1] = 1
    engine.replace_levels(np.array([1]), fresh)
    engine.step(np.array([0]))
    obs = engine.step(np.array([0])).obs
    assert (obs[0] == draw_full(ENDING, engine.display, fresh, 0)).all()
    engine.step(np.array([2]))
    assert engine.step(np.array([2])).reward.tolist() == [0.5]
    assert engine.snapshot().value[0].tolist() == [1, 1]  # back on level 0


@pytest.mark.parametrize("slot", [0])
def test_a_level_that_is_being_played_cannot_be_replaced(slot: int) -> None:
    engine = engine_on(TWO, batch=1)
    with pytest.raises(LevelError, match="cannot be replaced while"):
        engine.replace_levels(np.array([slot]), from_ascii(TWO[1], ENDING))


def test_a_replacement_must_be_a_valid_level() -> None:
    engine = engine_on(TWO, batch=1)
    broken = from_ascii(TWO[1], ENDING)
    broken.cells[:] = 1
    with pytest.raises(LevelError, match="border"):
        engine.replace_levels(np.array([1]), broken)


@pytest.mark.parametrize("text", ["######\n#>...#\n######", "###\n#>#\n#.#\n#.#\n###"])
def test_a_replacement_must_have_the_pools_canvas(text: str) -> None:
    engine = engine_on(TWO, batch=1)
    with pytest.raises(LevelError):
        engine.replace_levels(np.array([1]), from_ascii(text, ENDING))


def test_replacing_needs_one_level_a_slot_of_the_pool() -> None:
    engine = engine_on(TWO, batch=1)
    with pytest.raises(LevelError):
        engine.replace_levels(np.array([2]), from_ascii(TWO[1], ENDING))
    with pytest.raises(LevelError):
        engine.replace_levels(np.array([1]), from_ascii(TWO, ENDING))


def test_an_engine_neither_changes_nor_watches_the_levels_it_was_made_from() -> None:
    levels = from_ascii(TWO, ENDING)
    before = levels.take(slice(None))
    engine = Engine(levels, ENDING, batch=1)
    engine.reset()
    engine.replace_levels(np.array([1]), from_ascii("value: 7 coin\n#####\n#>.c#\n#####", ENDING))
    assert levels.equal(before).all()
    levels.value[:] = 9
    levels.marks[:] = 0
    engine.step(np.array([0]))
    assert engine.step(np.array([0])).reward.tolist() == [1]


def test_a_snapshot_plays_on_like_the_engine_itself() -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        world = random_world(rng, moves=Moves(int(rng.integers(2))), chance=False)
        world = replace(
            world, counters=(), rules=tuple(replace(r, need=None, add=None, decay=0.0) for r in world.rules)
        )
        levels = random_levels(rng, world, 8, (6, 7))
        levels.max_steps[:], levels.quota[:] = 1000, -1
        levels.cells[levels.cells & 15 == GOAL] = EMPTY  # a goal pays by the time that has passed
        engine = Engine(levels, world, autoreset="off", view="ego")
        engine.reset()
        for _ in range(10):
            engine.step(rng.integers(0, world.n_actions, 8))
        running = ~engine.step(rng.integers(0, world.n_actions, 8)).terminated.copy()
        twin = Engine(engine.snapshot(), world, autoreset="off", view="ego")
        assert (twin.reset() == engine.observations).all()
        for _ in range(10):
            actions = rng.integers(0, world.n_actions, 8)
            a, b = engine.step(actions), twin.step(actions)
            for mine, theirs in ((a.obs, b.obs), (a.reward, b.reward), (a.terminated, b.terminated)):
                assert (mine[running] == theirs[running]).all()


def test_a_snapshot_after_an_end_is_of_the_level_that_ended() -> None:
    engine = engine_on(
        ["value: 0.5 coin\nkey: 1 2\n" + TWO[0], "value: 0.25 coin\nkey: 3 4\n" + TWO[1]], batch=1, autoreset="next"
    )
    engine.step(np.array([0]))
    assert engine.step(np.array([0])).terminated[0]
    now = engine.snapshot()
    assert now.agent[0, :2].tolist() == [3, 1] and marked(now, 1) == [(3, 1)]
    assert now.value[0, 0] == 0.5 and now.key[0].tolist() == [1, 2]


def test_there_is_no_snapshot_before_the_first_reset() -> None:
    with pytest.raises(GoalscopeError, match=r"reset\(\)"):
        Engine(from_ascii(TWO, ENDING), ENDING).snapshot()


# ------------------------------------------------------------------------------------------------------------ errors


def test_step_before_reset_is_refused() -> None:
    with pytest.raises(GoalscopeError, match=r"Call reset\(\) before step\(\)"):
        Engine(from_ascii(TWO, ENDING), ENDING).step(np.zeros(2, int))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 4], "Action 4 of environment 1 is not in 0 … 3"),
        ([-1, 0], "Action -1 of environment 0 is not in 0 … 3"),
        ([0], r"actions must be integers of shape \(2,\), got int64 \(1,\)"),
        ([[0, 0]], r"actions must be integers of shape \(2,\), got int64 \(1, 2\)"),
        ([0.5, 1.7], "integers"),
        ([float("nan"), 0.0], "integers"),
    ],
)
def test_wrong_actions_are_refused_in_words(actions: Any, message: str) -> None:
    engine = engine_on(TWO)
    with pytest.raises(GoalscopeError, match=message):
        engine.step(np.array(actions))


def test_refused_actions_change_nothing() -> None:
    engine = engine_on(TWO)
    before = engine.snapshot()
    with pytest.raises(GoalscopeError):
        engine.step(np.array([0, 9]))
    assert engine.snapshot().equal(before).all()


def test_actions_of_any_integer_type_are_the_same() -> None:
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.uint64):
        engine = engine_on(TWO)
        engine.step(np.array([0, 2], dtype))
        assert engine.snapshot().agent[:, 0].tolist() == [2, 2]


PUSHED = World(movers=(Mover(kind="ghost", policy=Policy.EXTERNAL, glyph="G"),))


@pytest.mark.parametrize("external", [[[4]], [[7]], [0], [[0, 0]], [[0.5]]])
def test_wrong_directions_of_external_movers_are_refused(external: Any) -> None:
    engine = Engine(from_ascii("#####\n#>.G#\n#...#\n#####", PUSHED), PUSHED)
    engine.reset()
    with pytest.raises(GoalscopeError, match="external"):
        engine.step(np.array([0]), external=np.array(external))


OUTS: dict[str, Callable[[tuple[int, ...]], NDArray[Any]]] = {
    "shape": lambda shape: np.zeros((*shape, 1), np.uint8),
    "batch": lambda shape: np.zeros((shape[0] + 1, *shape[1:]), np.uint8),
    "dtype": lambda shape: np.zeros(shape, np.float32),
    "order": lambda shape: np.zeros(shape[::-1], np.uint8).T,
    "gaps": lambda shape: np.zeros((shape[0], 2, *shape[1:]), np.uint8)[:, 0],
    "read-only": lambda shape: np.zeros(shape, np.uint8),
}


@pytest.mark.parametrize("fault", OUTS)
def test_wrong_out_buffers_are_refused(fault: str) -> None:
    engine = engine_on(TWO)
    out = OUTS[fault]((2, *engine.obs_shape))
    out.flags.writeable = fault != "read-only"
    with pytest.raises(GoalscopeError, match="out must be"):
        engine.step(np.zeros(2, int), out=out)
    with pytest.raises(GoalscopeError, match="out must be"):
        engine.reset(out=out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "fulll"}, "Did you mean 'full'"),
        ({"autoreset": "nextt"}, "Did you mean 'next'"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"starts": np.array([0])}, "starts must be 2 indices from 0 to 1"),
        ({"starts": np.array([0, 2])}, "starts must be 2 indices from 0 to 1"),
        ({"starts": np.array([-1, 0])}, "starts must be 2 indices from 0 to 1"),
        ({"streams": np.array([1])}, "streams"),
        ({"streams": np.array([1, 2, 3])}, "streams"),
        ({"keep_final": True, "autoreset": "next"}, "keep_final"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GoalscopeError, match=message):
        Engine(from_ascii(TWO, ENDING), ENDING, **options)


def test_the_final_observation_must_be_asked_for() -> None:
    with pytest.raises(GoalscopeError, match="keep_final"):
        _ = engine_on(TWO).final


def unplaced(levels: Levels) -> None:
    levels.agent[1, 0] = -1


def foreign_mark(levels: Levels) -> None:
    levels.marks[0, 1, 1] = 4


def open_border(levels: Levels) -> None:
    levels.cells[0, 0, 1] = 1


def contained_in_a_key(levels: Levels) -> None:
    levels.cells[0, 1, 2], levels.contents[0, 1, 2] = KEY, BOX


def endless(levels: Levels) -> None:
    levels.max_steps[0] = 0


@pytest.mark.parametrize("fault", [unplaced, foreign_mark, open_border, contained_in_a_key, endless])
def test_levels_that_do_not_fit_the_world_are_refused(fault: Callable[[Levels], None]) -> None:
    levels = from_ascii(TWO, ENDING)
    fault(levels)
    with pytest.raises(LevelError):
        Engine(levels, ENDING)


def test_levels_with_other_events_are_refused() -> None:
    with pytest.raises(LevelError, match="2 events.*blank"):
        Engine(blank(1, (4, 4), events=1), ENDING)


def test_no_levels_are_refused() -> None:
    with pytest.raises(LevelError, match="at least one level"):
        Engine(blank(0, (4, 4), events=2), ENDING)


LEADER = World(movers=(Mover(kind="leader", policy=Policy.SCRIPT, glyph="L"),))


@pytest.mark.parametrize("cell", [0, 4, 19, 20, 25])
def test_a_script_that_names_a_cell_on_or_beyond_the_border_is_refused(cell: int) -> None:
    levels = blank(1, (4, 5), movers=1, script=1)
    levels.movers[0, 0] = 2, 1, 0, 1
    levels.scripts[0, 0, 0] = cell
    with pytest.raises(LevelError, match="script"):
        Engine(levels, LEADER)


def test_a_family_plays_under_its_own_display_without_being_told() -> None:
    levels = Distribution(COIN_CORNER).draw(range(3))
    for view in ("full", "ego", "planes"):
        engine = Engine(levels, COIN_CORNER, view)
        assert engine.reset().shape == (3, *engine.obs_shape)


# ---------------------------------------------------------------------------------- worlds that contradict themselves


def mover(**numbers: float) -> Mover:
    return Mover(**{"kind": "ghost", "policy": Policy.RANDOM, "glyph": "G", **numbers})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "parts",
    [
        {"rules": (Rule(on=On.ENTER, what="coins"),)},
        {"rules": (Rule(on=On.ENTER),)},
        {"rules": (Rule(on=On.STEP, what="coin"),)},
        {"rules": (Rule(on=On.STEP, then=Then.REMOVE),)},
        {"rules": (Rule(on=On.MEET, what="coin"),)},
        {"rules": (Rule(on=On.QUOTA, what="coin"),)},
        {"rules": (Rule(on=On.STEP, event="e"), Rule(on=On.QUOTA, what="e", then=Then.REMOVE))},
        {"rules": (Rule(on=On.STEP, need=("purse", 0, 1)),)},
        {"rules": (Rule(on=On.STEP, add=("purse", 1)),)},
        {"rules": (Rule(on=On.STEP, reward=float("nan")),)},
        {"spawns": (Spawn(thing="gold", p=(0.5,)),)},
        {"spawns": (Spawn(thing="coin", p=()),)},
        {"spawns": (Spawn(thing="coin", p=(1.5,)),)},
        {"movers": (mover(), mover())},
        {"movers": (mover(temperature=0.0),)},
        {"movers": (mover(p_double=1.5),)},
        {"movers": (mover(p_reliable=-0.1),)},
    ],
)
def test_worlds_that_contradict_themselves_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises((DeclarationError, UnknownNameError)):
        World(things=(COIN, BELL), **parts)


# ------------------------------------------------------------------------------------------------ against slow Python


def agree(rng: np.random.Generator, world: World, n: int, steps: int) -> int:
    """Play random levels in the engine and in the simulator; returns how many steps were compared."""
    levels = random_levels(rng, world, n, (int(rng.integers(4, 8)), int(rng.integers(4, 8))))
    engine = Engine(levels, world, autoreset="off")
    engine.reset()
    games = [Simulator(world, levels.take([b])) for b in range(n)]
    running, compared = np.ones(n, bool), 0
    for _ in range(steps):
        actions = rng.integers(0, world.n_actions, n)
        pushes = rng.integers(-1, 4, (n, levels.movers.shape[1]))
        step = engine.step(actions, external=pushes)
        now = engine.snapshot()
        for b in np.flatnonzero(running).tolist():
            game = games[b]
            game.step(int(actions[b]), pushes[b].tolist())
            compared += 1
            assert step.reward[b] == pytest.approx(game.reward, abs=1e-5)
            assert (step.terminated[b], step.truncated[b]) == (game.ended, game.truncated)
            assert now.take([b]).equal(game.level).all()
            assert engine.counts[b].tolist() == list(game.count.values())
            assert engine.first[b].tolist() == list(game.first.values())
            assert engine.counters[b].tolist() == list(game.counters.values())
            running[b] = not (game.ended or game.truncated)
    return compared


@pytest.mark.parametrize("moves", Moves)
def test_random_worlds_without_chance_play_as_in_plain_python(moves: Moves) -> None:
    rng = np.random.default_rng(1 + moves)
    compared = sum(agree(rng, random_world(rng, moves=moves, chance=False), 8, 25) for _ in range(40))
    assert compared > 3000


@pytest.mark.slow
@pytest.mark.parametrize("moves", Moves)
def test_a_great_many_random_worlds_play_as_in_plain_python(moves: Moves) -> None:
    rng = np.random.default_rng(100 + moves)
    for _ in range(1000):
        agree(rng, random_world(rng, moves=moves, chance=False), 8, 40)


def test_a_world_counts_no_more_events_than_it_can_tell_apart() -> None:
    rules = tuple(Rule(on=On.STEP, event=f"event {k}") for k in range(31))
    assert len(World(rules=rules[:30]).events) == 30
    with pytest.raises(DeclarationError, match="at most 30 events, got 31"):
        World(rules=rules)
