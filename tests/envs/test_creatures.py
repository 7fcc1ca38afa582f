"""Movers and spawns: where they go, how often, whom they meet, and that all of it can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from tests.envs.worlds import draw_ego, draw_full, draw_planes, marked, play

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import PICKUP, code, minigrid_triple
from goalscope.envs.engine import Engine
from goalscope.envs.levels import Levels, blank
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, Where, World

MANY = 8000
RIGHT, DOWN, LEFT, UP = range(4)
COIN = Thing(name="coin", glyph="c", shape="ball", colour="yellow")
APPLE = Thing(name="apple", glyph="a", shape="ball", colour="green")


def world_with(policy: Policy, *rules: Rule, **numbers: Any) -> World:
    """A world with one kind of ghost."""
    return World(things=(COIN, APPLE), movers=(Mover(kind="ghost", policy=policy, glyph="G", **numbers),), rules=rules)


def after_steps(text: str, world: World, steps: int = 1, n: int = MANY, action: int = UP) -> NDArray[np.int16]:
    """`[n, M, 4]` the movers of n copies of a level after some steps, in which the agent bumps into a wall above it."""
    engine = Engine(from_ascii(text, world), world, batch=n, autoreset="off", seed=3)
    engine.reset()
    for _ in range(steps):
        engine.step(np.full(n, action))
    return engine.snapshot().movers


def shares(movers: NDArray[np.int16], cells: list[tuple[int, int]]) -> list[int]:
    """How many of the first movers are on each of the cells; nowhere else may any be."""
    found = [tuple(place) for place in movers[:, 0, :2].tolist()]
    assert set(found) <= set(cells), set(found)
    return [found.count(cell) for cell in cells]


def fits(counts: list[int], chances: list[float]) -> bool:
    """Whether counts are as likely as not to come from these chances (chi-square, p > 1e-4)."""
    expected = np.array(chances) / sum(chances) * sum(counts)
    certain = expected == 0
    assert not np.array(counts)[certain].any()
    return bool(chisquare(np.array(counts)[~certain], expected[~certain]).pvalue > 1e-4)


ROOM = "#######\n#>....#\n#.....#\n#..G..#\n#.....#\n#######"
AROUND = [(4, 3), (3, 4), (2, 3), (3, 2)]

# ------------------------------------------------------------------------------------------------------------- policies


def test_a_random_mover_goes_every_way_equally_often() -> None:
    movers = after_steps(ROOM, world_with(Policy.RANDOM))
    assert fits(shares(movers, AROUND), [1, 1, 1, 1])


def test_a_random_mover_stays_as_often_as_its_ways_are_blocked() -> None:
    movers = after_steps("#####\n#>..#\n#.###\n#.G1#\n#####\n1 = ball red", world_with(Policy.RANDOM))
    assert fits(shares(movers, [(1, 3), (2, 3)]), [1, 3])


@pytest.mark.parametrize("tile", ["wall grey", "closed door red", "key blue", "box red"])
def test_movers_do_not_walk_on_what_blocks_the_agent(tile: str) -> None:
    movers = after_steps(f"####\n#>1#\n#1G#\n####\n1 = {tile}", world_with(Policy.RANDOM), n=100)
    assert shares(movers, [(2, 2)]) == [100]


@pytest.mark.parametrize("tile", ["door red", "floor blue", "lava red", "goal green"])
def test_movers_walk_on_what_the_agent_walks_on(tile: str) -> None:
    movers = after_steps(f"####\n#>1#\n##G#\n####\n1 = {tile}", world_with(Policy.RANDOM), n=400)
    assert fits(shares(movers, [(2, 2), (2, 1)]), [3, 1])


def path_lengths(level: Levels, target: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Steps to the target from every cell that is no wall, by flooding."""
    free = {(int(x), int(y)) for y, x in np.argwhere(~level.walls[0])}
    lengths, front = {target: 0}, [target]
    while front:
        x, y = front.pop(0)
        for there in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            if there in free and there not in lengths:
                lengths[there] = lengths[(x, y)] + 1
                front.append(there)
    return lengths


CHASES = [
    ROOM,
    "#######\n#>#...#\n#.#.#.#\n#...G.#\n#######",
    "########\n#>.....#\n####.#.#\n#....G.#\n#.##.#.#\n#......#\n########",
]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("text", CHASES)
def test_a_chaser_draws_its_way_by_the_softmax_of_path_lengths(text: str, temperature: float) -> None:
    world = world_with(Policy.CHASE, temperature=temperature)
    level = from_ascii(text, world)
    lengths = path_lengths(level, (1, 1))
    x, y = level.movers[0, 0, :2].tolist()
    ways = [cell for cell in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)) if cell in lengths]
    chances = [float(np.exp(-lengths[cell] / temperature)) for cell in ways]
    assert fits(shares(after_steps(text, world), ways), chances)


@pytest.mark.parametrize("text", CHASES)
def test_a_chaser_at_a_small_temperature_is_greedy(text: str) -> None:
    world = world_with(Policy.CHASE, temperature=1e-3)
    level = from_ascii(text, world)
    lengths = path_lengths(level, (1, 1))
    for steps in (1, 2, 3):
        movers = after_steps(text, world, steps=steps, n=200)
        left = {lengths[(x, y)] for x, y in movers[:, 0, :2].tolist()}
        assert left == {max(0, lengths[tuple(level.movers[0, 0, :2].tolist())] - steps)}


def test_a_chaser_that_cannot_reach_the_agent_stays() -> None:
    text = "#####\n#>#.#\n###G#\n#####"
    assert shares(after_steps(text, world_with(Policy.CHASE), n=100), [(3, 2)]) == [100]


def test_a_chaser_follows_the_agent_that_moves() -> None:
    text = "#######\n#G...>#\n#.....#\n#######"
    movers = after_steps(text, world_with(Policy.CHASE, temperature=1e-3), steps=1, n=400, action=DOWN)
    assert fits(shares(movers, [(2, 1), (1, 2)]), [1, 1])  # the agent is now 4 right and 1 down of it


def test_an_external_mover_goes_where_it_is_pushed_and_stays_where_it_cannot() -> None:
    world = world_with(Policy.EXTERNAL)
    text = "#####\n#>..#\n#.G.#\n#####"
    for push, place in ((">", (3, 2)), ("v", (2, 2)), ("<", (1, 2)), ("^", (2, 1)), (".", (2, 2))):
        assert play(text, world, "^", push).engine.snapshot().movers[0, 0, :2].tolist() == list(place)
    engine = Engine(from_ascii(text, world), world)
    engine.reset()
    engine.step(np.array([UP]))  # nobody pushes
    assert engine.snapshot().movers[0, 0, :2].tolist() == [2, 2]


@pytest.mark.parametrize("policy", [Policy.RANDOM, Policy.CHASE, Policy.SCRIPT])
def test_only_external_movers_can_be_pushed(policy: Policy) -> None:
    world = world_with(policy)
    text = "#######\n#>....#\n#.....#\n#..G..#\n#######"
    levels = from_ascii(text, world)
    engines = [Engine(levels, world, batch=200, autoreset="off") for _ in range(2)]
    for engine, push in zip(engines, (RIGHT, LEFT), strict=True):
        engine.reset()
        engine.step(np.full(200, UP), external=np.full((200, 1), push))
    assert engines[0].snapshot().equal(engines[1].snapshot()).all()


def test_a_mover_moves_twice_with_its_probability() -> None:
    level = "######\n###.>#\n#G...#\n######"
    world = world_with(Policy.CHASE, p_double=0.2, temperature=1e-3)
    counts = shares(after_steps(level, world), [(2, 2), (3, 2)])
    assert binomtest(counts[1], MANY, 0.2).pvalue > 1e-4
    level = "########\n#G....>#\n########"
    always = world_with(Policy.CHASE, p_double=1.0, temperature=1e-3)
    assert shares(after_steps(level, always, n=50, steps=2), [(5, 1)]) == [50]


def test_an_unreliable_mover_goes_a_random_way_in_its_share_of_moves() -> None:
    world = world_with(Policy.CHASE, p_reliable=0.6, temperature=1e-3)
    text = "#######\n#.....#\n#>.G..#\n#.....#\n#######"
    ways = [(4, 2), (3, 3), (2, 2), (3, 1)]
    assert fits(shares(after_steps(text, world, action=LEFT), ways), [0.1, 0.1, 0.7, 0.1])


def test_movers_do_not_share_a_cell_with_one_another() -> None:
    world = world_with(Policy.CHASE, temperature=1e-3)
    movers = after_steps("#######\n#>.GG.#\n#######", world, steps=1, n=20)
    assert (movers[:, :, 0] == [2, 3]).all()  # the first makes way for the second
    movers = after_steps("#######\n#>.GGG#\n#######", world, steps=4, n=20)
    assert all(len(set(row)) == 3 for row in movers[:, :, 0].tolist())


def test_a_mover_walks_over_one_that_is_dead() -> None:
    world = world_with(Policy.CHASE, temperature=1e-3)
    movers = after_steps("mover: ghost at 2,1 dead\nmover: ghost at 3,1\n#####\n#>..#\n#####", world, n=5)
    assert (movers[:, 1, 0] == 2).all() and (movers[:, 0] == [2, 1, 0, 0]).all()


# ------------------------------------------------------------------------------------------------------------- scripts

LEAD = World(movers=(Mover(kind="leader", policy=Policy.SCRIPT, glyph="L", shape="ball", colour="blue"),))


def walk(text: str, steps: int, world: World = LEAD, n: int = 1, m: int = 0) -> NDArray[np.int64]:
    """`[n, steps + 1, 2]` where mover m goes while the agent bumps."""
    engine = Engine(from_ascii(text, world), world, batch=n, autoreset="off")
    engine.reset()
    places = [engine.snapshot().movers[:, m, :2]]
    for _ in range(steps):
        engine.step(np.full(n, UP))
        places.append(engine.snapshot().movers[:, m, :2])
    return np.stack(places, 1).astype(np.int64)


def test_a_leader_walks_its_script_and_not_the_beacons_in_the_order_of_their_numbers() -> None:
    # Follow Me of jaxgmg sent the leader to beacon k instead of beacon script[k]: here that would be left first.
    text = "mover: leader at 4,1 script 7,1 1,1 5,1\n#########\n#.......#\n#######>#\n#########"
    xs = walk(text, 16)[0, :, 0].tolist()
    assert xs == [4, 5, 6, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 5, 5, 5]


def test_a_leader_walks_exact_shortest_paths_around_walls() -> None:
    text = "mover: leader at 1,1 script 5,1 1,1\n#######\n#.#...#\n#.#.#.#\n#...#>#\n#######"
    places = walk(text, 16, n=50)
    level = from_ascii(text, LEAD)
    to_first, back = path_lengths(level, (5, 1)), path_lengths(level, (1, 1))
    assert to_first[(1, 1)] == 8
    for places_of_one in places.tolist():
        assert [to_first[tuple(place)] for place in places_of_one[:9]] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert [back[tuple(place)] for place in places_of_one[8:]] == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_a_leader_takes_every_shortest_path() -> None:
    places = walk("mover: leader at 1,1 script 2,2\n#####\n#...#\n#..>#\n#####", 2, n=4000)
    assert (places[:, 2] == [2, 2]).all()
    assert fits([int((places[:, 1] == [2, 1]).all(1).sum()), int((places[:, 1] == [1, 2]).all(1).sum())], [1, 1])


def test_a_leader_skips_the_beacon_it_stands_on_and_stops_at_a_gap() -> None:
    xs = walk("mover: leader at 2,1 script 2,1 2,1 3,1 - 1,1\n#####\n#...#\n###>#\n#####", 4)[0, :, 0].tolist()
    assert xs == [2, 3, 3, 3, 3]


def test_a_leader_with_nowhere_to_go_stays() -> None:
    assert (walk("mover: leader at 1,1 script 3,1\n#####\n#.#.#\n###>#\n#####", 3)[0] == [1, 1]).all()
    assert (walk("mover: leader at 1,1 script -\n#####\n#...#\n###>#\n#####", 3)[0] == [1, 1]).all()


def test_each_leader_has_a_script_of_its_own_and_starts_it_again_with_each_episode() -> None:
    text = """
    max_steps: 3
    mover: leader at 1,1 script 3,1
    mover: leader at 3,2 script 1,2
    ######
    #...>#
    #....#
    ######
    """
    engine = Engine(from_ascii(text, LEAD), LEAD)
    engine.reset()
    for _ in range(3):
        xs = []
        for _ in range(3):
            xs.append(engine.snapshot().movers[0, :, 0].tolist())
            engine.step(np.array([UP]))
        assert xs == [[1, 3], [2, 2], [3, 1]]


def test_a_snapshot_of_a_leader_goes_on_where_it_was_in_its_script() -> None:
    text = "mover: leader at 2,1 script 3,1 1,1\n#####\n#...#\n###>#\n#####"
    engine = Engine(from_ascii(text, LEAD), LEAD)
    engine.reset()
    for _ in range(2):
        engine.step(np.array([UP]))
    twin = Engine(engine.snapshot(), LEAD)
    twin.reset()
    assert engine.snapshot().movers[0, 0, :2].tolist() == [2, 1]
    for each in (engine, twin):
        each.step(np.array([UP]))
        assert each.snapshot().movers[0, 0, :2].tolist() == [1, 1]


def test_an_unreliable_leader_comes_back_to_its_script() -> None:
    world = World(movers=(Mover(kind="leader", policy=Policy.SCRIPT, glyph="L", p_reliable=0.7),))
    places = walk("mover: leader at 1,1 script 4,1\n######\n#....#\n####>#\n######", 60, world, n=300)
    reached = (places[:, :, 0] == 4).any(1) & (places[:, :, 1] == 1).any(1)
    assert reached.all()
    step = places[:, 1, 0] - places[:, 0, 0]  # forwards .7 + .3 / 4, else it bumps (left, up and down are walls)
    assert binomtest(int((step == 1).sum()), 300, 0.775).pvalue > 1e-4


# -------------------------------------------------------------------------------------------------------------- contact


def meeting(*rules: Rule, **numbers: Any) -> World:
    return world_with(
        Policy.EXTERNAL, *(rules or (Rule(on=On.MEET, what="ghost", event="met", reward=-1.0),)), **numbers
    )


CONTACTS = {
    "the agent moves onto the mover": ("#####\n#>G.#\n#####", ">", ".", [-1]),
    "the mover moves onto the agent": ("#####\n#>G.#\n#####", "^", "<", [-1]),
    "they swap": ("#####\n#>G.#\n#####", ">", "<", [-1]),
    "they meet halfway": ("#####\n#>.G#\n#####", ">", "<", [-1]),
    "they only pass by": ("#####\n#>..#\n#G..#\n#####", ">", "^", [0]),
    "the mover comes after the agent has left": ("#####\n#.>G#\n#####", "<", "<", [0]),
    "they stay together": ("#####\n#>G.#\n#####", ">^", "..", [-1, -1]),
    "nobody moves": ("#####\n#>G.#\n#####", "^", ".", [0]),
}


@pytest.mark.parametrize("case", CONTACTS)
def test_contact_is_made_however_the_two_come_together(case: str) -> None:
    text, actions, pushes, rewards = CONTACTS[case]
    assert play(text, meeting(), actions, pushes).reward == rewards


def test_a_dead_mover_neither_moves_nor_meets() -> None:
    trace = play("mover: ghost at 2,1 dead\n#####\n#>..#\n#####", meeting(), ">>", ">>")
    assert trace.reward == [0, 0] and trace.engine.snapshot().movers[0, 0].tolist() == [2, 1, 0, 0]


SHIELD = (
    Rule(on=On.ENTER, what="coin", add=("shield", 1), then=Then.REMOVE),
    Rule(on=On.MEET, what="ghost", event="kill", need=("shield", 1, 99), add=("shield", -1), then=Then.REMOVE),
    Rule(on=On.MEET, what="ghost", event="hurt", reward=-1.0),
)


def test_the_first_meeting_rule_that_applies_fires_alone() -> None:
    ghost = Mover(kind="ghost", policy=Policy.EXTERNAL, glyph="G")
    world = World(things=(COIN,), movers=(ghost,), rules=SHIELD, counters=("shield",))
    trace = play("######\n#>cG.#\n######", world, ">>>", "...")
    assert trace.reward == [0, 0, 0] and (trace.count("kill"), trace.count("hurt")) == (1, 0)
    assert trace.engine.snapshot().movers[0, 0, 3] == 0 and trace.engine.counters.tolist() == [[0]]
    trace = play("######\n#>.G.#\n######", world, ">>^", "...")
    assert trace.reward == [0, -1, -1] and trace.count("kill") == 0


def test_a_kind_answers_to_its_own_rules_only() -> None:
    movers = tuple(Mover(kind=k, policy=Policy.EXTERNAL, glyph=g) for k, g in (("ghost", "G"), ("dog", "D")))
    rules = (
        Rule(on=On.MEET, what="dog", reward=1.0),
        Rule(on=On.MEET, what="ghost", reward=-1.0),
        Rule(on=On.MEET, what=("ghost", "dog"), reward=9.0),
    )
    world = World(movers=movers, rules=rules)
    assert play("#####\n#>DG#\n#####", world, ">>").reward == [1, -1]


def test_a_met_mover_respawns_on_a_free_cell() -> None:
    world = world_with(Policy.EXTERNAL, Rule(on=On.MEET, what="ghost", then=Then.RESPAWN))
    level = from_ascii("######\n#>Gc.#\n#..#.#\n######", world)
    engine = Engine(level, world, batch=4000)
    engine.reset()
    engine.step(np.zeros(4000, int))
    assert fits(shares(engine.snapshot().movers, [(1, 1), (4, 1), (1, 2), (2, 2), (4, 2)]), [1, 1, 1, 1, 1])


def test_nothing_comes_to_lie_on_an_open_edge_from_which_it_could_leave_the_grid() -> None:
    rules = Rule(on=On.MEET, what="ghost", then=Then.RESPAWN), Rule(on=On.ENTER, what="coin", then=Then.RESPAWN)
    world = replace(world_with(Policy.EXTERNAL, *rules), spawns=(Spawn(thing="apple", p=(1.0,), where=Where.FREE),))
    text = ".......\n.#####.\n.#>1.#.\n.#####.\n.......\n1 = coin"
    levels = from_ascii("mover: ghost at 3,2\n" + text, world)
    engine = Engine(levels, world, batch=300)
    engine.reset()
    engine.step(np.zeros(300, int))
    now = engine.snapshot()
    assert set(now.movers[:, 0, 1].tolist()) == {2} and set(np.argwhere(now.marks)[:, 1].tolist()) == {2}


def test_contact_can_end_the_episode() -> None:
    trace = play("#####\n#>G.#\n#####", meeting(Rule(on=On.MEET, what="ghost", ends=True)), ">")
    assert trace.terminated == [True]


def test_a_double_move_can_make_contact_in_its_first_half() -> None:
    rule = Rule(on=On.MEET, what="ghost", event="met", then=Then.REMOVE)
    world = world_with(Policy.CHASE, rule, p_double=1.0, temperature=1e-3)
    assert play("#####\n#>G.#\n#####", world, "^").count("met") == 1
    assert play("######\n#>.G.#\n######", world, "^").count("met") == 1


# --------------------------------------------------------------------------------------------------------------- spawns


def spawning(p: tuple[float, ...], where: Where, *rules: Rule) -> World:
    return World(things=(COIN, APPLE), spawns=(Spawn(thing="apple", p=p, where=where),), rules=rules)


def apples(text: str, world: World, steps: int = 1, n: int = MANY, action: int = UP) -> list[list[tuple[int, int]]]:
    """Where the apples of n copies of a level are after some steps."""
    engine = Engine(from_ascii(text, world), world, batch=n, autoreset="off")
    engine.reset()
    for _ in range(steps):
        engine.step(np.full(n, action))
    now = engine.snapshot()
    return [marked(now, world.bit("apple"), b) for b in range(n)]


EAT = Rule(on=On.ENTER, what="apple", event="eat", reward=1.0, then=Then.REMOVE)


@pytest.mark.parametrize(("alive", "p"), [(0, 0.05), (1, 0.3), (2, 0.6), (3, 0.6), (4, 0.6)])
def test_the_chance_of_a_spawn_depends_on_the_number_alive(alive: int, p: float) -> None:
    text = "#######\n#>....#\n#" + "a" * alive + "." * (5 - alive) + "#\n#######"
    found = apples(text, spawning((0.05, 0.3, 0.6), Where.FREE))
    grown = sum(len(cells) == alive + 1 for cells in found)
    assert all(len(cells) in (alive, alive + 1) for cells in found)
    assert binomtest(grown, MANY, p).pvalue > 1e-4


def test_a_free_spawn_is_uniform_over_free_cells() -> None:
    found = apples("######\n#>.c1#\n#..#.#\n######\n1 = floor red", spawning((1.0,), Where.FREE))
    cells = [(2, 1), (1, 2), (2, 2), (4, 2)]
    assert fits([found.count([cell]) for cell in cells], [1] * 4) and sum(map(len, found)) == MANY


def test_a_same_spawn_grows_back_where_the_level_began_with_one_and_not_under_the_agent() -> None:
    world = spawning((1.0,), Where.SAME, EAT)
    text = "######\n#>aa.#\n######"
    assert apples(text, world, action=RIGHT, n=20) == [[(3, 1)]] * 20  # the agent stands where one was
    engine = Engine(from_ascii(text, world), world, autoreset="off")
    engine.reset()
    seen = []
    for action in (RIGHT, RIGHT, RIGHT, LEFT):
        reward = engine.step(np.array([action])).reward[0]
        seen.append((float(reward), marked(engine.snapshot(), 2)))
    assert seen == [(1, [(3, 1)]), (1, [(2, 1)]), (0, [(2, 1), (3, 1)]), (1, [(2, 1)])]


def test_a_same_spawn_is_uniform_over_what_is_missing() -> None:
    world = spawning((1.0, 0.0, 0.0, 0.0), Where.SAME, Rule(on=On.STEP))
    level = from_ascii("######\n#>...#\n#aaa.#\n######", world)
    engine = Engine(level, world, batch=3000)
    engine.reset()
    engine._state.world[:] &= 0xFFFF  # all are gone at once
    engine.step(np.full(3000, UP))
    now = engine.snapshot()
    found = [marked(now, 2, b) for b in range(3000)]
    assert fits([found.count([(x, 2)]) for x in (1, 2, 3)], [1, 1, 1])


def test_nothing_spawns_where_there_is_no_place() -> None:
    assert apples("####\n#>c#\n####", spawning((1.0,), Where.FREE), steps=3, n=5) == [[]] * 5
    assert apples("####\n#>.#\n####", spawning((1.0,), Where.SAME), steps=3, n=5) == [[]] * 5


# ----------------------------------------------------------------------------------------------------------- to be seen

SEEN = World(
    moves=Moves.TURNING,
    things=(COIN,),
    movers=(
        Mover(kind="ghost", policy=Policy.EXTERNAL, glyph="G", shape="box", colour="purple"),
        Mover(kind="dog", policy=Policy.EXTERNAL, glyph="D", shape="key", colour="green"),
    ),
    rules=(Rule(on=On.MEET, what="dog", then=Then.REMOVE),),
)
SCENE = "#######\n#>GcD.#\n#.....#\n#######"


@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_movers_show_in_every_view_and_vanish_when_they_die(view: str) -> None:
    levels = from_ascii(SCENE, SEEN)
    assert levels.movers[0].tolist() == [[2, 1, 0, 1], [4, 1, 1, 1]]
    dead = levels.take([0])
    dead.movers[0, 1, 3] = 0
    for level in (levels, dead):
        engine = Engine(level, SEEN, view)
        obs = engine.reset()[0]
        want = {
            "full": draw_full(SEEN, engine.display, level, 0),
            "ego": draw_ego(SEEN, engine.display, level, 0),
            "planes": draw_planes(engine.display, level, 0),
        }[view]
        assert (obs == want).all()


def test_a_mover_is_drawn_over_marks_and_under_the_agent() -> None:
    engine = Engine(from_ascii(SCENE, SEEN), SEEN, "full")
    assert engine.reset()[0, 2, 1].tolist() == list(minigrid_triple(code("box", "purple")))
    push = np.array([[RIGHT, -1]])
    assert engine.step(np.array([0]), external=push).obs[0, 3, 1].tolist() == list(
        minigrid_triple(code("box", "purple"))
    )
    engine = Engine(from_ascii("mover: ghost at 1,1\n#####\n#>.c#\n#####", SEEN), SEEN, "full")
    assert engine.reset()[0, 1, 1].tolist() == [10, 0, 0]


def test_each_kind_has_a_plane_of_its_own() -> None:
    engine = Engine(from_ascii(SCENE, SEEN), SEEN, "planes")
    obs = engine.reset()[0]
    planes = {plane.name: obs[c] for c, plane in enumerate(engine.display.planes)}
    assert np.argwhere(planes["ghost"]).tolist() == [[1, 2]] and np.argwhere(planes["dog"]).tolist() == [[1, 4]]
    assert planes["ghost"].max() == 255 and np.argwhere(planes["coin"]).tolist() == [[1, 3]]


@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_a_mover_that_dies_where_the_agent_stays_vanishes_at_once(view: str) -> None:
    text = "mover: dog at 1,1\n#####\n#>..#\n#####"
    engine = Engine(from_ascii(text, SEEN), SEEN, view)
    engine.reset()
    obs = engine.step(np.array([PICKUP])).obs  # picks up nothing: the agent's cell does not change
    assert engine.snapshot().movers[0, 0, 3] == 0
    fresh = Engine(engine.snapshot(), SEEN, view).reset()
    assert (obs == fresh).all()


def test_movers_do_not_hide_what_is_behind_them() -> None:
    level = blank(1, (9, 9), movers=1)
    level.agent[0] = 4, 7, UP, 0
    level.movers[0, 0] = 4, 6, 0, 1
    level.marks[0, 4, 4] = 1
    obs = Engine(level, SEEN, "ego").reset()[0]
    assert obs[3, 5].tolist() == list(minigrid_triple(code("box", "purple")))
    assert obs[3, 3].tolist() == list(minigrid_triple(code("ball", "yellow")))
