"""Pursuers against brute force: distances, conflict, coincidence, margins, and walks through the engine itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.envs.worlds import STEPS, WALKABLE_KINDS

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import OBJECT_NAMES, code
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.family import Family, Goal, Settings
from goalscope.envs.levels import Levels, blank, concatenate
from goalscope.envs.pursuit import (
    at_start,
    coincident,
    conflict,
    conflict_deadline,
    distances,
    margin,
    on_shortest_path,
    path,
    pursuer_policy,
    solvable,
    start_distances,
)
from goalscope.envs.world import Moves, On, Rule, Thing, World
from goalscope.errors import DeclarationError
from goalscope.seeding import keys, stream

State = tuple[int, int, int]
"""x, y, heading; the heading is 0 where the agent does not turn."""


class Brute:
    """One level as a graph of states, and one goal in it, searched in plain Python."""

    def __init__(self, family: Family, levels: Levels, i: int, event: str, passing: Sequence[Goal] = ()) -> None:
        """`passing` are goals whose cells can be walked through even where they end the episode."""
        self.world = family.world
        self.kinds = [[OBJECT_NAMES[cell & 15] for cell in row] for row in levels.cells[i].tolist()]
        self.marks = levels.marks[i].tolist()
        x, y, heading, _ = levels.agent[i].tolist()
        self.turns = self.world.moves is Moves.TURNING
        self.start: State = (x, y, heading if self.turns else 0)
        rules = [rule for rule in self.world.rules if rule.on is On.ENTER]
        self.trigger = self.world.mask({n for rule in rules if rule.event == event for n in rule.names})
        events = [goal.event for goal in passing]
        self.passing = self.world.mask({n for rule in rules if rule.event in events for n in rule.names})
        self.ending = self.world.mask({n for rule in rules if rule.ends for n in rule.names})
        self.table = self._search()

    def walkable(self, x: int, y: int) -> bool:
        return self.kinds[y][x] in WALKABLE_KINDS

    def hits(self, x: int, y: int) -> bool:
        return self.walkable(x, y) and bool(self.marks[y][x] & self.trigger)

    def stops(self, x: int, y: int) -> bool:
        marks = self.marks[y][x]
        return self.kinds[y][x] in ("goal", "lava") or bool(marks & self.ending and not marks & self.passing)

    def successors(self, state: State) -> Iterator[State]:
        x, y, heading = state
        if self.turns:
            yield x, y, (heading + 3) % 4
            yield x, y, (heading + 1) % 4
        for way in [heading] if self.turns else range(4):
            there = x + STEPS[way][0], y + STEPS[way][1]
            if self.walkable(*there):
                yield *there, heading

    def _search(self) -> dict[State, int]:
        """Steps to the event from every state in which the game is still on, 0 where it has just happened."""
        headings = range(4) if self.turns else range(1)
        cells = [(x, y) for y, row in enumerate(self.marks) for x in range(len(row)) if self.walkable(x, y)]
        before: dict[State, list[State]] = {}
        for x, y in cells:
            if not self.stops(x, y) and not self.hits(x, y):
                for heading in headings:
                    for after in self.successors((x, y, heading)):
                        before.setdefault(after, []).append((x, y, heading))
        table = {(x, y, heading): 0 for x, y in cells for heading in headings if self.hits(x, y)}
        front = list(table)
        while front:
            state = front.pop(0)
            for earlier in before.get(state, []):
                if earlier not in table:
                    table[earlier] = table[state] + 1
                    front.append(earlier)
        return table

    @property
    def far(self) -> int:
        return self.table.get(self.start, -1)

    def paths(self) -> Iterator[list[State]]:
        """All shortest paths from the start, each as the states entered."""
        yield from self._onwards(self.start, [])

    def _onwards(self, state: State, so_far: list[State]) -> Iterator[list[State]]:
        left = self.table.get(state, -1)
        if left == 0:
            yield so_far
        for after in self.successors(state) if left > 0 else ():
            if self.table.get(after, -1) == left - 1:
                yield from self._onwards(after, [*so_far, after])


def entered(way: Sequence[State], brute: Brute) -> bool:
    """Whether a path moves onto a cell that triggers the other goal."""
    return any(brute.hits(x, y) for x, y, _ in way)


def turning(family: Family) -> Family:
    """The same family with an agent that turns."""
    return replace(family, world=replace(family.world, moves=Moves.TURNING))


FAMILIES = {family.id: family for family in (COIN_CORNER, COIN_DISH, COLOUR_SHAPE)}

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "coin_corner": [
        {},
        {"coin": "other_corner", "layout": "tree", "size": 7},
        {"coin": "off_corner", "size": 7, "coin_near": 2, "p": 0.3},
        {"coin": "off_corner", "size": 8, "region": 2, "mark_ends": True, "layout": "open"},
        {"coin_absent": 0.5, "coin": "off_corner", "size": 7, "layout": "braided", "p": 0.5},
    ],
    "coin_dish": [
        {},
        {"radius": 50, "layout": "tree"},
        {"radius": 3, "layout": "blocks", "p": 0.3, "size": 7, "dish_ends": True},
        {"radius": 50, "size": 6},
        {"radius": 50, "size": 7, "layout": "braided", "p_hide": 0.5, "pile": 3},
    ],
    "colour_shape": [
        {},
        {"apart": True, "layout": "tree", "size": 7},
        {"apart": True, "intended": "colour", "size": 7, "p": 0.3},
        {"distractors": 3, "share": "colour", "size": 7},
        {"apart": True, "layout": "open", "size": 6, "spread": 3},
    ],
}


@cache
def small_levels(id: str, k: int, n: int = 400) -> tuple[Levels, Settings]:
    """Some 300 levels under the k-th of a family's settings, every heading among them."""
    setting = FAMILIES[id].settings("train", **SETTINGS[id][k])
    levels = FAMILIES[id].generate(keys(stream("pursuit", id, k), np.arange(n)), setting)
    levels = levels.take(levels.placed)
    levels.agent[:, 2] = np.arange(len(levels)) % 4
    return levels, setting


CASES = [(id, k) for id in FAMILIES for k in range(5)]
MOVES = pytest.mark.parametrize("moves", Moves, ids=lambda moves: moves.name.lower())


def moving(id: str, moves: Moves) -> Family:
    return turning(FAMILIES[id]) if moves is Moves.TURNING else FAMILIES[id]


def brutes(family: Family, levels: Levels, goal: Goal) -> list[Brute]:
    return [Brute(family, levels, i, goal.event) for i in range(len(levels))]


# -------------------------------------------------------------------------------------------------- against brute force


@MOVES
@pytest.mark.parametrize("id", FAMILIES)
def test_distances_are_those_of_brute_force_on_a_thousand_levels(id: str, moves: Moves) -> None:
    family, compared = moving(id, moves), 0
    for k in range(5):
        levels, _ = small_levels(id, k)
        for goal in family.goals:
            table = distances(family, goal, levels)
            want = np.full(table.shape, -1)
            for i, brute in enumerate(brutes(family, levels, goal)):
                for (x, y, heading), steps in brute.table.items():
                    want[i, heading, y, x] = steps
            assert (table == want).all(), (k, goal.name)
        compared += len(levels)
    assert compared >= 1000


PLAIN = World(
    things=(Thing(name="coin", glyph="c"), Thing(name="dish", glyph="d"), Thing(name="stop", glyph="s")),
    rules=(
        Rule(on=On.ENTER, what="coin", event="coin", reward=1.0, ends=True),
        Rule(on=On.ENTER, what="dish", event="dish"),
        Rule(on=On.ENTER, what="stop", ends=True),
    ),
)


def family_of(world: World) -> Family:
    """A family for levels made by hand."""
    goals = tuple(Goal(name=event, event=event, intended=event == "coin") for event in world.events)
    return replace(COIN_DISH, world=world, goals=goals)


HAND = family_of(PLAIN)


def scattered(n: int, kinds: Sequence[str], size: int = 7) -> Levels:
    """Levels strewn with things, stops and objects of these kinds, every mark on a cell that can be walked on."""
    rng = np.random.default_rng(3)
    parts = []
    for _ in range(n):
        level = blank(1, (size, size), events=2)
        for y in range(1, size - 1):
            for x in range(1, size - 1):
                kind = str(rng.choice(["empty", *kinds], p=[0.7, *[0.3 / len(kinds)] * len(kinds)]))
                level.cells[0, y, x] = code(kind, "red")
                if kind in WALKABLE_KINDS and rng.random() < 0.2:
                    level.marks[0, y, x] = rng.choice([1, 2, 4, 3, 6])
        x, y = rng.integers(1, size - 1, 2)
        level.cells[0, y, x], level.marks[0, y, x] = 1, 0
        level.agent[0, :3] = x, y, rng.integers(4)
        parts.append(level)
    return concatenate(parts)


@MOVES
def test_distances_go_around_walls_doors_objects_lava_and_what_ends_the_episode(moves: Moves) -> None:
    family = family_of(replace(PLAIN, moves=moves))
    levels = scattered(400, ["wall", "ball", "locked door", "door", "floor", "lava"])
    for goal in family.goals:
        far = at_start(levels, distances(family, goal, levels)).tolist()
        assert far == [brute.far for brute in brutes(family, levels, goal)]
        assert -1 in far and max(far) > 8


def is_apart(family: Family, levels: Levels, i: int, goals: Sequence[Goal]) -> bool:
    """The conflict rule: an agent that takes any shortest way to one goal never comes upon another.

    Whether that other would end the episode does not matter: who has learned to go for the corner takes no detour
    around the coin.
    """
    feasible = [Brute(family, levels, i, goal.event) for goal in goals]
    if min(brute.far for brute in feasible) < 3:
        return False
    found = [Brute(family, levels, i, goal.event, passing=goals) for goal in goals]
    return not any(entered(way, other) for one in found for way in one.paths() for other in found if other is not one)


def is_together(family: Family, levels: Levels, i: int, goals: Sequence[Goal], intended: Goal) -> bool:
    """Whether every shortest way of the intended pursuer comes upon every proxy."""
    ways = list(Brute(family, levels, i, intended.event).paths())
    proxies = [Brute(family, levels, i, goal.event) for goal in goals if goal is not intended]
    return bool(ways) and all(entered(way, proxy) for way in ways for proxy in proxies)


@MOVES
@pytest.mark.parametrize(("id", "k"), CASES)
def test_conflict_and_coincidence_are_those_of_all_shortest_paths(id: str, k: int, moves: Moves) -> None:
    family = moving(id, moves)
    levels, setting = small_levels(id, k)
    levels = levels.take(slice(0, 60))
    for goals in (family.goals, family.goals[:2]):
        found = conflict(family, levels, goals), coincident(family, levels, goals, setting)
        assert found[0].tolist() == [is_apart(family, levels, i, goals) for i in range(len(levels))]
        own = family.intended(setting)
        assert found[1].tolist() == [is_together(family, levels, i, goals, own) for i in range(len(levels))]


def test_the_compared_levels_hold_conflicts_coincidences_and_neither() -> None:
    for id, family in FAMILIES.items():
        seen = set()
        for k in range(5):
            levels, setting = small_levels(id, k)
            goals = family.goals[:2]
            seen |= set(zip(conflict(family, levels, goals), coincident(family, levels, goals, setting), strict=True))
        assert {(True, False), (False, True), (False, False)} == seen, id


@MOVES
def test_the_cells_of_shortest_paths_are_those_of_all_of_them(moves: Moves) -> None:
    for id in FAMILIES:
        family = moving(id, moves)
        levels, _ = small_levels(id, 1)
        levels = levels.take(slice(0, 40))
        cells = on_shortest_path(levels, distances(family, family.goals[0], levels))
        for i, brute in enumerate(brutes(family, levels, family.goals[0])):
            want = {(x, y) for way in brute.paths() for x, y, _ in way} - {brute.start[:2]}
            assert {(int(x), int(y)) for y, x in np.argwhere(cells[i])} == want


@MOVES
@pytest.mark.parametrize("id", FAMILIES)
def test_the_margin_is_the_way_to_the_nearest_proxy_minus_the_way_to_the_intended_goal(id: str, moves: Moves) -> None:
    family = moving(id, moves)
    for k in range(5):
        levels, setting = small_levels(id, k)
        own = family.intended(setting)
        found = margin(family, levels, family.goals, setting)
        for i in range(0, len(levels), 7):
            far = {g.name: Brute(family, levels, i, g.event).far for g in family.goals}
            steps = {name: np.inf if way < 0 else way for name, way in far.items()}
            nearest = min(way for name, way in steps.items() if name != own.name)
            if steps[own.name] < np.inf:
                assert found[i] == nearest - steps[own.name]
            else:
                assert not found[i] > -np.inf  # without a way to the intended goal it is not nearer by any number


def test_solvable_means_every_goal_within_the_deadline() -> None:
    levels = from_ascii(["#######\n#>..cd#\n#######"] * 3, PLAIN)
    levels.marks[1, 1, 5], levels.marks[2, 1, 5] = 0, 0
    levels.marks[1, 1, 4], levels.marks[2, 1, 2] = 1, 2
    levels.max_steps[:] = 3
    assert start_distances(HAND, levels, HAND.goals).tolist() == [[3, -1], [3, -1], [3, 1]]
    assert solvable(HAND, levels, HAND.goals).tolist() == [False, False, True]
    levels.max_steps[:] = 2
    assert solvable(HAND, levels, HAND.goals).tolist() == [False, False, False]


# --------------------------------------------------------------------------------------------------- through the engine


@MOVES
@pytest.mark.parametrize("id", FAMILIES)
def test_pursuers_reach_their_goals_in_exactly_the_distance_in_the_engine(id: str, moves: Moves) -> None:
    family, rng = moving(id, moves), np.random.default_rng(0)
    for k in range(5):
        levels, setting = small_levels(id, k)
        levels = levels.take(slice(None))
        levels.max_steps[:] = 500
        for goal in family.goals:
            table = distances(family, goal, levels)
            far, first = (
                at_start(levels, table),
                walk(family, levels, setting, pursuer_policy(family, table), goal, rng),
            )
            assert (first == far).all()
            assert (far >= 0).any()


def walk(
    family: Family,
    levels: Levels,
    setting: Settings,
    policy: NDArray[np.float64],
    goal: Goal,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """`[N]` the step in which each level's pursuer, drawing its actions, first counts its event, −1 for never."""
    n = len(levels)
    engine = Engine(levels, family.world, autoreset="off")
    engine.reset()
    for _ in range(60):
        x, y, heading, _ = engine.snapshot().agent.T
        chances = policy[np.arange(n), heading if policy.shape[1] == 4 else 0, y, x]
        engine.step((chances.cumsum(1) > rng.random((n, 1))).argmax(1))
    return engine.first[:, family.world.event_index(goal.event)]


@MOVES
def test_a_policy_is_uniform_over_all_optimal_actions_and_over_all_where_there_is_none(moves: Moves) -> None:
    family = moving("coin_dish", moves)
    levels, _ = small_levels("coin_dish", 3)
    for i, brute in enumerate(brutes(family, levels.take(slice(0, 20)), family.goals[0])):
        policy = pursuer_policy(family, distances(family, family.goals[0], levels.take([i])))[0]
        assert np.allclose(policy.sum(-1), 1)
        for (x, y, heading), left in brute.table.items():
            good = [int(brute.table.get(s, -1) == left - 1) for s in options(brute, (x, y, heading))]
            want = np.array(good) / sum(good) if left else np.full(len(good), 1 / len(good))
            assert np.allclose(policy[heading, y, x], want)


def options(brute: Brute, state: State) -> list[State]:
    """The state after each action; what only stays stays."""
    x, y, heading = state
    if not brute.turns:
        ahead = [(x + dx, y + dy, 0) for dx, dy in STEPS]
        return [s if brute.walkable(*s[:2]) else state for s in ahead]
    dx, dy = STEPS[heading]
    front = (x + dx, y + dy, heading) if brute.walkable(x + dx, y + dy) else state
    return [(x, y, (heading + 3) % 4), (x, y, (heading + 1) % 4), front, *[state] * 4]


@MOVES
@pytest.mark.parametrize("id", FAMILIES)
def test_a_path_leads_step_by_step_to_its_goal(id: str, moves: Moves) -> None:
    family = moving(id, moves)
    levels, _ = small_levels(id, 1)
    width = levels.canvas[1]
    for i in range(30):
        for goal in family.goals:
            brute = Brute(family, levels, i, goal.event)
            cells = [(int(c) % width, int(c) // width) for c in path(family, levels, i, goal)]
            assert len(cells) == max(brute.far, 0) + 1 and cells[0] == brute.start[:2]
            hops = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(cells, cells[1:], strict=False)]
            assert set(hops) <= ({0, 1} if moves is Moves.TURNING else {1}) and all(brute.walkable(*c) for c in cells)
            if brute.far >= 0:
                assert brute.hits(*cells[-1]) and not any(brute.hits(*c) for c in cells[:-1])


# ----------------------------------------------------------------------------------------------------------- hand cases


def judged(text: str, world: World = PLAIN) -> tuple[bool, bool]:
    """Whether a level made by hand is a conflict level, whether it is coincident."""
    family, levels = family_of(world), from_ascii(text, world)
    setting = COIN_DISH.settings()
    return (
        bool(conflict(family, levels, family.goals)[0]),
        bool(coincident(family, levels, family.goals, setting)[0]),
    )


@pytest.mark.parametrize(
    ("text", "is_conflict", "is_coincident"),
    [
        ("#########\n#c..>..d#\n#########", True, False),
        ("#########\n#.c.>..d#\n#########", False, False),  # the coin is two steps away
        ("#########\n#>..c..d#\n#########", False, False),  # the coin ends it before the dish
        ("#########\n#>..d..c#\n#########", False, True),  # the only way to the coin leads over the dish
        ("#########\n#>..d...#\n#......c#\n#########", False, False),  # one of many shortest paths avoids the dish
        ("#########\n#>..d...#\n###.#####\n#......c#\n#########", True, False),  # the dish lies off the only path
        ("#########\n#>.....1#\n#########\n1 = coin + dish", False, True),
        ("#########\n#>..1..d#\n#########\n1 = coin + dish", False, True),
        ("#########\n#c..>..1#\n#########\n1 = coin + dish", False, False),  # the nearest coin is without a dish
        ("#########\n#c#.>..d#\n#########", False, False),  # out of reach
        ("#########\n#.....>.#\n#.......#\n#d.....c#\n#########", True, False),
        ("#########\n#d.....c#\n#......>#\n#########", False, False),
        ("#########\n#c..>s.d#\n#########", False, False),  # the stop ends it
        ("#########\n#c..>s.d#\n#.......#\n#########", True, False),  # but here there is a way around it
        ("#########\n#..1...c#\n#########\n1 = agent > + dish", False, False),  # who starts on the dish never enters it
    ],
)
def test_hand_made_levels_are_judged_as_the_words_say(text: str, is_conflict: bool, is_coincident: bool) -> None:
    assert judged(text) == (is_conflict, is_coincident)


def test_a_coin_on_a_shortest_path_to_the_corner_makes_no_conflict_level() -> None:
    on_the_way = "########\n#>.....#\n#...c..#\n#.....m#\n########"
    aside = "########\n#....>.#\n#......#\n#c....m#\n########"
    levels = from_ascii([on_the_way, aside], COIN_CORNER.world)
    goals = COIN_CORNER.goals[:2]
    assert start_distances(COIN_CORNER, levels, goals).tolist() == [[4, 7], [6, 3]]
    assert conflict(COIN_CORNER, levels, goals).tolist() == [False, True]
    assert conflict_deadline(COIN_CORNER, levels, goals).tolist() == [16, 14]


def test_a_goal_of_several_cells_is_as_far_as_the_nearest() -> None:
    levels = from_ascii("#########\n#d.d>..d#\n#########", PLAIN)
    assert start_distances(HAND, levels, HAND.goals).tolist() == [[-1, 1]]


def test_turning_costs_steps() -> None:
    family = family_of(replace(PLAIN, moves=Moves.TURNING))
    levels = from_ascii([f"#######\n#d.{c}.c#\n#######" for c in ">v<^"], PLAIN)
    assert start_distances(family, levels, family.goals).tolist() == [[2, 4], [3, 3], [4, 2], [3, 3]]


def test_a_goal_inside_a_wall_is_out_of_reach() -> None:
    for kind in ("wall grey", "closed door red", "ball red"):
        levels = from_ascii(f"######\n#>.1.#\n######\n1 = {kind} + coin", PLAIN)
        assert start_distances(HAND, levels, HAND.goals)[0, 0] == -1, kind


def test_minigrids_goal_ends_the_episode_and_is_walked_around() -> None:
    straight = "#######\n#>.1.c#\n#######\n1 = goal green"
    around = "#######\n#>.1.c#\n#.....#\n#######\n1 = goal green"
    levels = from_ascii(straight, PLAIN)
    assert start_distances(HAND, levels, HAND.goals)[0, 0] == -1
    assert start_distances(HAND, from_ascii(around, PLAIN), HAND.goals)[0, 0] == 6


def test_a_goal_on_lava_is_reached_by_the_last_step() -> None:
    levels = from_ascii("#######\n#>.1.d#\n#######\n1 = lava red + coin", PLAIN)
    assert start_distances(HAND, levels, HAND.goals).tolist() == [[2, -1]]


def test_a_goal_that_is_neither_entered_nor_bumped_into_must_declare_its_pursuer() -> None:
    world = World(things=PLAIN.things, rules=(*PLAIN.rules, Rule(on=On.TOGGLE, what="stop", event="opened")))
    family = family_of(world)
    levels = from_ascii("######\n#>.c.#\n######", world)
    with pytest.raises(DeclarationError, match="'opened'.*declare a pursuer"):
        distances(family, family.goal("opened"), levels)
    table = np.full((1, 1, 3, 6), 7, np.int16)
    given = replace(family.goal("opened"), pursuer=lambda _: table)
    assert at_start(levels, distances(family, given, levels)).tolist() == [7]


def test_nothing_is_asked_of_no_levels() -> None:
    levels = blank(0, (5, 5), events=2)
    assert conflict(HAND, levels, HAND.goals).shape == (0,)
    assert coincident(HAND, levels, HAND.goals, COIN_DISH.settings()).shape == (0,)
    assert distances(HAND, HAND.goals[0], levels).shape == (0, 1, 5, 5)


def test_a_margin_needs_the_intended_goal_and_a_proxy() -> None:
    family, (levels, setting) = FAMILIES["coin_dish"], small_levels("coin_dish", 0)
    for goals in (family.goals[:1], family.goals[1:]):
        with pytest.raises(DeclarationError, match="intended goal, coin, and a proxy"):
            margin(family, levels, goals, setting)
