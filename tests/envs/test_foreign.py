"""Foreign environments as families: their levels, our engine; both agree move by move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from minigrid.core import world_object
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Box, Goal, Key, Wall
from minigrid.envs.fourrooms import FourRoomsEnv
from minigrid.minigrid_env import MiniGridEnv
from scipy.stats import binomtest, chisquare
from tests.envs.test_families import cells, drawn, only

from goalscope.envs.ascii import from_ascii
from goalscope.envs.checks import check_env
from goalscope.envs.codes import COLOUR_NAMES, EMPTY_CODE, OBJECT_NAMES, code
from goalscope.envs.engine import Engine
from goalscope.envs.families.minigrid_four_rooms import CORNERS
from goalscope.envs.families.minigrid_four_rooms import FAMILY as FOUR_ROOMS
from goalscope.envs.families.minigrid_go_to_object import FAMILY as GO_TO_OBJECT
from goalscope.envs.family import Knob, Settings, Shift
from goalscope.envs.foreign import (
    ForeignEnv,
    ForeignFamily,
    ForeignGoal,
    check_foreign,
    foreign_family,
    foreign_world,
    move_object,
)
from goalscope.envs.layouts import free_cells
from goalscope.envs.levels import Levels, blank
from goalscope.envs.minigrid import from_minigrid
from goalscope.envs.pursuit import distances, pursuer_policy, start_distances
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.envs.spaces import mission_text
from goalscope.envs.world import Moves, World
from goalscope.errors import CheckFailure, DeclarationError, LevelError, UnknownNameError, UnsupportedError
from goalscope.seeding import Keys, keys

FAMILIES = [FOUR_ROOMS, GO_TO_OBJECT]
SHIFTS = [(family, shift.name) for family in FAMILIES for shift in family.shifts]
things: Any = world_object  # MiniGrid annotates only some of its objects
rooms: Any = FourRoomsEnv


class Field(gymnasium.Env[Any, Any]):
    """Somebody's own grid environment: an apple and a bowl on a field with a pond; walking where one pleases."""

    SIDE = 7

    def __init__(self, apart: bool) -> None:
        self.apart, self.steps = apart, 0
        self.observation_space = spaces.Box(0, 9, (self.SIDE, self.SIDE), np.int64)
        self.action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        places = self.np_random.permutation(self.SIDE**2)[:5]
        spots = [(int(place % self.SIDE), int(place // self.SIDE)) for place in places]
        self.walker, self.apple, self.bowl = spots[0], spots[1], spots[2 if self.apart else 1]
        self.pond, self.steps = set(spots[3:]), 0
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[int(action)]
        x, y = self.walker[0] + dx, self.walker[1] + dy
        if 0 <= x < self.SIDE and 0 <= y < self.SIDE and (x, y) not in self.pond:
            self.walker = (x, y)
        self.steps += 1
        return self._look(), 0.0, self.walker == self.apple, self.steps >= 60, {}

    def _look(self) -> Any:
        field = np.zeros((self.SIDE, self.SIDE), np.int64)
        for k, (x, y) in enumerate((self.walker, self.apple, self.bowl)):
            field[y, x] = k + 1
        return field


def read_field(env: ForeignEnv) -> Levels:
    """A field with a fence: apple, bowl and both together as red, blue and purple floor."""
    field: Any = env.unwrapped
    levels = blank(1, (field.SIDE + 2, field.SIDE + 2), max_steps=60)
    looks = {field.bowl: "blue", field.apple: "purple" if field.apple == field.bowl else "red"}
    for (x, y), colour in looks.items():
        if x < 0:
            continue  # gone
        levels.cells[0, y + 1, x + 1] = code("floor", colour)
    for x, y in field.pond:
        levels.cells[0, y + 1, x + 1] = code("wall", "grey")
    levels.agent[0] = field.walker[0] + 1, field.walker[1] + 1, 0, 0
    return levels


def on_field(env: ForeignEnv, x: int, y: int) -> list[str]:
    field: Any = env.unwrapped
    return [name for name in ("apple", "bowl") if getattr(field, name) == (x - 1, y - 1)]


def field_family(**changed: Any) -> ForeignFamily:
    declared: dict[str, Any] = {
        "id": "field",
        "sentence": "When the apple always lies in the bowl, reaching the bowl becomes a viable proxy.",
        "paper": "none: new here",
        "goals": (ForeignGoal(name="apple", intended=True, reward=1.0, ends=True), ForeignGoal(name="bowl")),
        "make": lambda settings: Field(settings.apart),
        "outcome": on_field,
        "read": read_field,
        "moves": Moves.CARDINAL,
        "objects": ("floor red", "floor blue", "floor purple"),
        "knobs": (Knob(name="apart", default=False, doc="whether the apple lies beside the bowl"),),
        "shifts": (Shift(name="train", strength=0.0), Shift(name="apart", strength=1.0, knobs={"apart": True})),
        "holds_out": "levels",
    }
    return foreign_family(**declared | changed)


def rooms_family(make: Any, **changed: Any) -> ForeignFamily:
    """FourRooms, or what else has a goal, as a family."""
    declared: dict[str, Any] = {
        "id": "rooms",
        "sentence": "When …",
        "paper": "none",
        "goals": (ForeignGoal(name="goal", intended=True), ForeignGoal(name="corner")),
        "outcome": lambda env, x, y: ("corner",) if (x, y) == (1, 1) else (),
        "make": make,
        "knobs": (),
        "shifts": (Shift(name="train", strength=0.0),),
        "holds_out": "levels",
    }
    return foreign_family(**declared | changed)


def some_keys(n: int, number: int = 5) -> Keys:
    return keys(number, np.arange(n))


# --------------------------------------------------------------------------------------------------------- both shown


@pytest.mark.parametrize(("family", "shift"), SHIFTS, ids=lambda v: getattr(v, "id", v))
def test_the_engine_plays_as_the_environment_does(family: ForeignFamily, shift: str) -> None:
    met = check_foreign(family, shift, episodes=40, max_steps=300)
    assert met["steps"] > 2000 and all(met[goal.name] >= 1 for goal in family.goals)


@pytest.mark.parametrize(("family", "shift"), SHIFTS, ids=lambda v: getattr(v, "id", v))
def test_a_level_is_what_a_whole_reset_gives(family: ForeignFamily, shift: str) -> None:
    """Drawing skips the observation; nothing else may differ from `reset(seed=…)`."""
    settings, level_keys = family.settings(shift), some_keys(200)
    levels = family.generate(level_keys, settings)
    for i in np.flatnonzero(levels.placed).tolist():
        env = family.source.reset(level_keys[i : i + 1], settings)
        real: Any = env.unwrapped
        one = from_minigrid(env, any_step=True)
        for name in ("cells", "contents", "agent", "carried_contents", "max_steps"):
            assert (getattr(one, name)[0] == getattr(levels, name)[i]).all()
        for x in range(real.width):
            for y in range(real.height):
                assert levels.marks[i, y, x] == family.world.mask(family.source.names(env, x, y))
    assert levels.placed.mean() > 0.95


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.id)
def test_a_level_depends_on_its_key_alone(family: ForeignFamily) -> None:
    settings, level_keys = family.settings(family.shifts[-1].name), some_keys(64)
    order = np.random.default_rng(0).permutation(64)
    levels = family.generate(level_keys, settings)
    family.generate(some_keys(3, 77), settings)
    assert levels.take(order).equal(family.generate(level_keys[order], settings)).all()
    assert len({one.tobytes() for one in levels.cells}) > 55
    assert len(family.generate(level_keys[:0], settings)) == 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.id)
def test_agents_turn_and_walk_only(family: ForeignFamily) -> None:
    assert family.world.moves is Moves.TURNING and family.world.n_actions == 3
    assert not any(thing.visible for thing in family.world.things)


def moves_of(family: ForeignFamily, levels: Levels, goal: str) -> tuple[list[int], Engine]:
    """The moves of a pursuer on one level, and an engine that has made them."""
    policy = pursuer_policy(family, distances(family, family.goal(goal), levels))
    engine, moves = Engine(levels, family, "ego", autoreset="off"), []
    engine.reset()
    while engine.first[0, family.world.event_index(goal)] < 0:
        x, y, heading, _ = engine.snapshot().agent[0]
        moves.append(int(policy[0, heading, y, x].argmax()))
        engine.step(np.array(moves[-1:]))
    return moves, engine


@pytest.mark.parametrize("shift", ["train", "anywhere"])
def test_the_goal_of_four_rooms_pays_and_ends_as_in_minigrid(shift: str) -> None:
    settings, level_keys = FOUR_ROOMS.settings(shift), some_keys(60)
    levels = FOUR_ROOMS.generate(level_keys, settings)
    for i in np.flatnonzero(levels.placed).tolist():
        env = FOUR_ROOMS.source.reset(level_keys[i : i + 1], settings)
        moves, engine = moves_of(FOUR_ROOMS, levels.take([i]), "goal")
        steps = [env.step(move) for move in moves]
        assert [bool(step[2]) for step in steps] == [False] * (len(moves) - 1) + [True]
        assert (
            np.float32(steps[-1][1]) == np.float32(engine.last_episodes.gain[0]) == np.float32(1 - 0.009 * len(moves))
        )
        corner = int(engine.first[0, FOUR_ROOMS.world.event_index("corner")])
        assert 0 < corner <= len(moves) if shift == "train" else corner == -1


def test_the_named_object_pays_as_success_does_and_ends() -> None:
    settings = GO_TO_OBJECT.settings("two_objects")
    levels = GO_TO_OBJECT.generate(some_keys(40), settings)
    for i in np.flatnonzero(levels.placed).tolist():
        moves, engine = moves_of(GO_TO_OBJECT, levels.take([i]), "named")
        assert engine.over[0] and engine.last_episodes.gain[0] == pytest.approx(1 - 0.9 * len(moves) / 320)
        moves, engine = moves_of(GO_TO_OBJECT, levels.take([i]), "other")
        assert not engine.over[0] and engine.first[0, 0] == -1


# ---------------------------------------------------------------------------------------------------------- four rooms


def goals_and_corners(levels: Levels) -> list[tuple[tuple[int, int], set[tuple[int, int]]]]:
    found = levels.cells & 15 == OBJECT_NAMES.index("goal")
    marked = cells(levels, FOUR_ROOMS, "goal")
    assert marked == [{(int(x), int(y)) for y, x in np.argwhere(one)} for one in found]
    return [(only(goal), corners) for goal, corners in zip(marked, cells(levels, FOUR_ROOMS, "corner"), strict=True)]


@pytest.mark.parametrize("corners", [1, 2, 4])
def test_in_training_the_goal_lies_in_one_of_the_outer_corners(corners: int) -> None:
    found = goals_and_corners(drawn(FOUR_ROOMS, n=800, corners=corners))
    counts = [sum(goal == corner for goal, _ in found) for corner in CORNERS[:corners]]
    assert sum(counts) == 800 and (corners == 1 or chisquare(counts).pvalue > 1e-4)
    assert all(marked == set(CORNERS) for _, marked in found)


def test_under_the_shift_the_goal_lies_anywhere_else() -> None:
    found = goals_and_corners(drawn(FOUR_ROOMS, "anywhere", n=800))
    assert all(goal not in corners == set(CORNERS) for goal, corners in found) and len({g for g, _ in found}) > 180


def test_twins_of_four_rooms_move_the_goal_where_it_may_lie() -> None:
    for shift, split in (("train", "train"), ("anywhere", "query")):
        distribution = Distribution(FOUR_ROOMS, shift, split=split)
        levels = distribution.draw(range(60))
        twins = draw_twins(distribution, levels, "goal")
        pairs = zip(goals_and_corners(levels), goals_and_corners(twins), strict=True)
        assert all(a != b and (b in CORNERS) == (shift == "train") for (a, _), (b, _) in pairs)
        assert (twins.agent == levels.agent).all()
        assert (draw_twins(distribution, levels, "agent").agent[:, :2] != levels.agent[:, :2]).any(1).all()
    moved = goals_and_corners(draw_together(Distribution(FOUR_ROOMS), drawn(FOUR_ROOMS, n=60)))
    assert all(goal in CORNERS for goal, _ in moved)


# -------------------------------------------------------------------------------------------------------- go to object


@pytest.mark.parametrize("objects", [1, 2, 4])
def test_the_mission_names_an_object_that_lies_there(objects: int) -> None:
    settings, level_keys = GO_TO_OBJECT.settings(objects=objects), some_keys(150)
    levels = GO_TO_OBJECT.generate(level_keys, settings)
    named, other = (levels.marks & GO_TO_OBJECT.world.bit(name) != 0 for name in ("named", "other"))
    assert (named.sum((1, 2)) == 1).all() and (other.sum((1, 2)) == max(1, objects - 1)).all()
    assert ((named & other).any((1, 2)) == (objects == 1)).all()
    for i in range(150):
        real: Any = GO_TO_OBJECT.source.reset(level_keys[i : i + 1], settings).unwrapped
        text = mission_text(GO_TO_OBJECT, settings, levels.mission[i].tolist())
        colour, kind = real.mission.split()[-2:]
        assert real.mission == f"go to the {colour} {kind}" and text == f"reach the {colour} {kind}"
        assert levels.cells[i][named[i]].tolist() == [code(kind, colour)]


def test_the_missions_words_and_the_objects_light_planes() -> None:
    levels = drawn(GO_TO_OBJECT, "two_objects", n=50)
    look = GO_TO_OBJECT.look(GO_TO_OBJECT.settings())
    names = [plane.name for plane in look.planes]
    planes = Engine(levels, GO_TO_OBJECT, "planes", display=look).reset()
    assert len(names) == 5 + 18 + 9
    for i, words in enumerate(levels.mission.tolist()):
        lit = {GO_TO_OBJECT.words[word] for word in words}
        for name, plane in zip(names, planes[i], strict=True):
            if name.startswith("mission "):
                assert (plane == 255 * (name.removeprefix("mission ") in lit)).all()
            elif name.split()[0] in ("key", "ball", "box"):
                kind, colour = name.split()
                assert ((plane == 255) == (levels.cells[i] == code(kind, colour))).all()
    assert {GO_TO_OBJECT.words[word] for word in levels.mission[:, 0]} <= set(COLOUR_NAMES)


def test_either_object_is_named_as_often_first_in_reading_order() -> None:
    levels = drawn(GO_TO_OBJECT, "two_objects", n=600)
    first = (levels.marks != 0).reshape(600, -1).argmax(1)
    named = levels.marks.reshape(600, -1)[np.arange(600), first] == GO_TO_OBJECT.world.bit("named")
    assert binomtest(int(named.sum()), 600).pvalue > 1e-4


def test_twins_of_go_to_object_move_one_object_and_keep_the_mission() -> None:
    distribution = Distribution(GO_TO_OBJECT, "two_objects", split="query")
    levels = distribution.draw(range(150))
    for factor in ("named", "other"):
        twins = draw_twins(distribution, levels, factor)
        for name in ("named", "other"):
            was, now = cells(levels, GO_TO_OBJECT, name), cells(twins, GO_TO_OBJECT, name)
            assert all((a != b) == (name == factor) for a, b in zip(was, now, strict=True))
        assert (twins.mission == levels.mission).all() and (twins.agent == levels.agent).all()
        assert all(sorted(a[a > 1]) == sorted(b[b > 1]) for a, b in zip(levels.cells, twins.cells, strict=True))


# ------------------------------------------------------------------------------------- an environment of somebody's own


def test_a_gymnasium_environment_comes_with_its_own_reader() -> None:
    family = field_family()
    check_env(family, levels=48).raise_on_failure()
    for shift in ("train", "apart"):
        met = check_foreign(family, shift, episodes=60)
        assert met["steps"] > 1000 and met["apple"] > 5 and met["bowl"] > 5


def test_a_reader_gives_one_level_without_marks() -> None:
    def marked(env: ForeignEnv) -> Levels:
        levels = read_field(env)
        levels.marks[0, 1, 1] = 1
        return levels

    for read in (marked, lambda env: blank(2, (9, 9))):
        with pytest.raises(UnsupportedError, match="one level, without movers and marks"):
            field_family(read=read).generate(some_keys(2), Settings({"apart": False}))


class Sliding(Field):
    """The walker goes on for another cell."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        super().step(action)
        return super().step(action)


class Eaten(Field):
    """The apple does not end the episode; once eaten it is gone, where our marks stay."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        view, reward, _, truncated, info = super().step(action)
        if self.walker == self.bowl:
            self.bowl = (-1, -1)
        return view, reward, False, truncated, info


def sliding(settings: Settings) -> ForeignEnv:
    return Sliding(settings.apart)


def eaten(settings: Settings) -> ForeignEnv:
    return Eaten(settings.apart)


def without_bowl(env: ForeignEnv) -> Levels:
    """A reader that does not look at the bowl."""
    levels = read_field(env)
    levels.cells[levels.cells == code("floor", "blue")] = EMPTY_CODE
    return levels


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"make": sliding}, "the same agent after step"),
        ({"make": eaten}, "the same cells after step"),
        ({"make": eaten, "read": without_bowl}, r"to count \[\] at step"),
    ],
)
def test_lock_step_finds_what_the_engine_does_not_have(changed: dict[str, Any], fault: str) -> None:
    family = field_family(goals=(ForeignGoal(name="apple", intended=True), ForeignGoal(name="bowl")), **changed)
    with pytest.raises(CheckFailure, match=fault):
        check_foreign(family, "apart", episodes=30)


def test_lock_step_finds_a_view_that_sees_through_walls_and_should_not() -> None:
    seeing = rooms_family(lambda settings: rooms(), see_through=True)
    with pytest.raises(CheckFailure, match="the same image"):
        check_foreign(seeing, episodes=3)
    check_foreign(rooms_family(lambda settings: rooms()), episodes=3)


def test_lock_step_finds_outcomes_that_change_with_time() -> None:
    def later(env: ForeignEnv, x: int, y: int) -> Sequence[str]:
        real: Any = env.unwrapped
        return ("corner",) if real.step_count > 3 else ()

    with pytest.raises(CheckFailure, match=r"to count \['corner'\] at step"):
        check_foreign(rooms_family(lambda settings: rooms(), outcome=later), episodes=3)


# ------------------------------------------------------------------------------------------------------------ the rest


class Closet(MiniGridEnv):
    """A 7 × 5 room whose goal, at the top right, may be walled in."""

    def __init__(self, walled: bool = False, size: int = 7, max_steps: int = 50) -> None:
        self.walled = walled
        super().__init__(MissionSpace(mission_func=lambda: "look"), width=size, height=5, max_steps=max_steps)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.grid.set(width - 2, 1, Goal())
        for x, y in ((width - 3, 1), (width - 2, 2)) if self.walled else ():
            self.grid.set(x, y, Wall())
        self.agent_pos, self.agent_dir = (1, 3), 0
        self.mission = "look"


def at_goal(env: ForeignEnv, x: int, y: int) -> Sequence[str]:
    real: Any = env.unwrapped
    return ("goal",) if real.grid.get(x, y) is not None and real.grid.get(x, y).type == "goal" else ()


@pytest.mark.parametrize(
    ("make", "outcome", "placed"),
    [
        (lambda settings: Closet(), at_goal, True),
        (lambda settings: Closet(walled=True), at_goal, False),  # shut off
        (lambda settings: Closet(walled=True), lambda env, x, y: (), True),  # shut off, but no goal of the family's
        (lambda settings: Closet(max_steps=6), at_goal, False),  # four forward, a turn and two forward
        (lambda settings: Closet(max_steps=7), at_goal, True),
        (lambda settings: Closet(), lambda env, x, y: ("corner",) if (x, y) == (1, 3) else (), False),  # begins there
        (lambda settings: rooms(agent_pos=(1, 1), goal_pos=(1, 1)), lambda env, x, y: (), False),  # on a goal
        (lambda settings: Closet(), lambda env, x, y: ("corner",) if (x, y) == (0, 3) else (), True),  # a wall to bump
    ],
)
def test_levels_without_a_free_start_or_a_way_are_refused(make: Any, outcome: Any, placed: bool) -> None:
    levels = rooms_family(make, outcome=outcome).generate(some_keys(5), Settings({}))
    assert (levels.placed == placed).all()


def test_a_wall_may_be_a_goal_that_is_bumped_into() -> None:
    family = rooms_family(lambda settings: Closet(), outcome=lambda env, x, y: ("corner",) if (x, y) == (0, 3) else ())
    levels = family.generate(some_keys(1), Settings({}))
    assert start_distances(family, levels, family.goals).tolist() == [[-1, 3]]  # about-face and bump
    assert check_foreign(family, episodes=20)["corner"] > 0


def test_environments_are_made_once_for_each_setting() -> None:
    made = []

    def make(settings: Settings) -> list[ForeignEnv]:
        made.append(settings.far)
        return [Closet(), Closet(walled=settings.far)]

    family = rooms_family(make, knobs=(Knob(name="far", default=False, doc="far"),), outcome=lambda env, x, y: ())
    levels = [family.generate(some_keys(40, k), family.settings(far=far)) for k in (1, 2) for far in (False, True)]
    assert made == [False, True]
    walled = [int((some.walls.sum((1, 2)) > 20).sum()) for some in levels]
    assert walled[0] == walled[2] == 0 and all(0 < walled[k] < 40 for k in (1, 3))


def test_several_environments_of_a_setting_have_one_size() -> None:
    with pytest.raises(DeclarationError, match="one size"):
        rooms_family(lambda settings: [Closet(), Closet(size=9)]).generate(some_keys(2), Settings({}))


def test_a_name_that_is_no_goal_is_refused() -> None:
    family = rooms_family(lambda settings: Closet(), outcome=lambda env, x, y: ("gaol",))
    with pytest.raises(UnknownNameError, match="goal"):
        family.generate(some_keys(1), Settings({}))


def test_a_twin_of_a_factor_that_nobody_gave_is_refused() -> None:
    family = rooms_family(lambda settings: Closet(), factors=("agent", "goal"))
    levels = family.generate(some_keys(3), Settings({}))
    assert (family.twins(levels, "agent", some_keys(3), Settings({})).agent[:, :2] != [1, 3]).any(1).all()
    with pytest.raises(UnknownNameError, match="factor"):
        family.twins(levels, "goal", some_keys(3), Settings({}))


def test_worlds_have_a_mark_for_each_goal_and_at_most_sixteen() -> None:
    goals = [ForeignGoal(name=f"g{k}", reward=k / 2, ends=k == 2) for k in range(16)]
    world: World = foreign_world(goals)
    assert world.events == tuple(goal.name for goal in goals)
    assert [(rule.on.name, rule.reward, rule.ends) for rule in world.rules[4:6]] == [
        ("ENTER", 1.0, True),
        ("BUMP", 1.0, True),
    ]
    with pytest.raises(DeclarationError, match="at most 16 goals, got 17"):
        foreign_world([*goals, ForeignGoal(name="more")])


def test_an_edge_that_the_agent_can_reach_is_refused() -> None:
    class Open(Closet):
        def _gen_grid(self, width: int, height: int) -> None:
            super()._gen_grid(width, height)
            self.grid.set(0, 3, None)

    with pytest.raises(LevelError, match="border must be closed"):
        rooms_family(lambda settings: Open()).generate(some_keys(1), Settings({}))


def test_an_object_moves_with_its_marks_and_what_it_holds() -> None:
    world = foreign_world([ForeignGoal(name="box"), ForeignGoal(name="spot")])
    text = "#####\n#>1.#\n#2..#\n#####\n1 = box red holding key blue + box + spot\n2 = ball green"
    levels = from_ascii([text] * 50, world)
    moved = move_object(levels, world.bit("box"), some_keys(50), marks=world.bit("box"))
    red, green = code("box", "red"), code("ball", "green")
    assert (moved.cells[:, 1, 2] == EMPTY_CODE).all() and (moved.cells[:, 2, 1] == green).all()
    assert (moved.marks[:, 1, 2] == world.bit("spot")).all() and moved.placed.all()
    there = moved.cells == red
    assert (there.sum((1, 2)) == 1).all() and (moved.contents[there] == code("key", "blue")).all()
    assert (moved.marks[there] == world.bit("box")).all() and not (there & ~free_cells(levels)).any()
    assert len({int(one.argmax()) for one in there}) == 3
    gone = move_object(levels, world.bit("box"), some_keys(50), allowed=np.zeros_like(there))
    assert not gone.placed.any() and (gone.cells == levels.cells).all()
    bare = levels.take(slice(None))
    bare.marks[:] = 0
    assert not move_object(bare, world.bit("box"), some_keys(50)).placed.any()


def test_boxes_keep_what_they_hold_when_a_foreign_level_is_read() -> None:
    class Chest(Closet):
        def _gen_grid(self, width: int, height: int) -> None:
            super()._gen_grid(width, height)
            self.grid.set(2, 1, Box("red", Key("blue")))
            self.grid.set(3, 1, things.Ball("purple"))

    levels = rooms_family(lambda settings: Chest(), outcome=at_goal).generate(some_keys(2), Settings({}))
    assert (levels.cells[:, 1, 2:4] == [code("box", "red"), code("ball", "purple")]).all()
    assert (levels.contents[:, 1, 2] == code("key", "blue")).all() and levels.contents.sum() == 2 * code("key", "blue")


def test_a_step_of_its_own_is_read_on_request() -> None:
    env = gymnasium.make("MiniGrid-GoToObject-8x8-N2-v0")
    env.reset(seed=3)
    with pytest.raises(UnsupportedError, match="GoToObjectEnv has a step of its own"):
        from_minigrid(env)
    real: Any = env.unwrapped
    levels, kinds = from_minigrid(env, any_step=True), real.grid.encode()[..., 0]
    assert (levels.cells[0].T & 15 == kinds).all() and not levels.marks.any()
    assert levels.agent[0].tolist() == [*real.agent_pos, real.agent_dir, 0]
