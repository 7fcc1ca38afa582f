"""The same seed gives the same bytes: on any number of threads, in any order, in any subset, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.envs.worlds import random_levels, same_levels

from goalscope import seeding
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.family import Family
from goalscope.envs.levels import Levels
from goalscope.envs.sampling import Distribution, draw_twins
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, Where, World

FAMILIES = {family.id: family for family in (COIN_CORNER, COIN_DISH, COLOUR_SHAPE)}

WILD = World(
    moves=Moves.TURNING,
    things=(
        Thing(name="apple", glyph="a", shape="ball", colour="green"),
        Thing(name="coin", glyph="c", shape="ball", colour="yellow"),
    ),
    movers=(
        Mover(kind="ghost", policy=Policy.RANDOM, glyph="G", p_double=0.3),
        Mover(kind="dog", policy=Policy.CHASE, glyph="D", temperature=2.0, p_reliable=0.8),
        Mover(kind="leader", policy=Policy.SCRIPT, glyph="L", p_reliable=0.9),
    ),
    spawns=(Spawn(thing="apple", p=(0.5, 0.2), where=Where.SAME), Spawn(thing="coin", p=(0.3, 0.1), where=Where.FREE)),
    rules=(
        Rule(on=On.ENTER, what="apple", event="eat", reward=1.0, then=Then.REMOVE),
        Rule(on=On.ENTER, what="coin", event="coin", reward=0.5, then=Then.RESPAWN),
        Rule(on=On.MEET, what="ghost", event="met", reward=-1.0, then=Then.RESPAWN),
        Rule(on=On.MEET, what="dog", event="bitten", ends=True),
    ),
)
"""Everything that draws lots is in here."""


def wild_levels(n: int) -> Levels:
    """Levels of the wild world, each with three movers of mixed kinds."""
    rng = np.random.default_rng(1)
    levels = random_levels(rng, WILD, 1, (9, 9))
    while levels.movers.shape[1] != 3:
        levels = random_levels(rng, WILD, n, (9, 9))
    return levels


def plan(n: int, steps: int) -> NDArray[np.int64]:
    """`[steps, n]` actions, mostly forwards."""
    rng = np.random.default_rng(2)
    return rng.choice([0, 1, 2, 2, 2, 2, 3, 5], (steps, n))


def record(engine: Engine, actions: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """All that an engine gives over some steps, `[B, steps, …]` each."""
    rows: dict[str, list[NDArray[Any]]] = {}
    rows["obs"] = [engine.reset().copy()]
    for action in actions:
        step = engine.step(action)
        for name in ("obs", "reward", "terminated", "truncated"):
            rows.setdefault(name, []).append(getattr(step, name).copy())
        for name in ("counts", "first", "slots", "episodes"):
            rows.setdefault(name, []).append(getattr(engine, name).copy())
        rows.setdefault("ended with", []).append(engine.last_episodes.count.copy())
    return {name: np.stack(arrays, 1) for name, arrays in rows.items()}


def equal(a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------------------------------------- stepping


@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_a_wild_world_is_the_same_again_on_one_thread_and_on_two(view: str) -> None:
    levels, actions = wild_levels(37), plan(37, 120)
    runs = [record(Engine(levels, WILD, view, threads=threads, seed=5), actions) for threads in (1, 1, 2)]
    assert runs[0]["episodes"].max() >= 3 and (runs[0]["ended with"].max((0, 1)) > 0).all()
    assert equal(runs[0], runs[1]) and equal(runs[0], runs[2])


def test_another_seed_is_another_course_of_events() -> None:
    levels, actions = wild_levels(16), plan(16, 40)
    a, b = (record(Engine(levels, WILD, seed=seed), actions) for seed in (5, 6))
    assert not equal(a, b)


def test_two_environments_on_one_level_differ_by_their_streams_alone() -> None:
    levels = wild_levels(1)
    actions = np.repeat(plan(1, 60), 3, axis=1)
    run = record(Engine(levels, WILD, batch=3, streams=np.array([4, 4, 5])), actions)
    assert np.array_equal(run["obs"][0], run["obs"][1]) and not np.array_equal(run["obs"][0], run["obs"][2])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_permuted_batch_gives_permuted_results(threads: int) -> None:
    levels, actions = wild_levels(24), plan(24, 80)
    order = np.random.default_rng(3).permutation(24)
    straight = record(Engine(levels, WILD, seed=1), actions)
    permuted = record(Engine(levels, WILD, starts=order, streams=order, seed=1, threads=threads), actions[:, order])
    assert equal({name: array[order] for name, array in straight.items()}, permuted)


def test_an_environment_does_not_depend_on_those_beside_it() -> None:
    levels, actions = wild_levels(24), plan(24, 80)
    together = record(Engine(levels, WILD, seed=1), actions)
    for b in (0, 7, 23):
        alone = record(
            Engine(levels, WILD, batch=1, starts=np.array([b]), streams=np.array([b]), stride=24, seed=1),
            actions[:, [b]],
        )
        assert equal({name: array[[b]] for name, array in together.items()}, alone)


def test_a_second_reset_repeats_the_first() -> None:
    engine = Engine(wild_levels(16), WILD, seed=9)
    assert equal(record(engine, plan(16, 60)), record(engine, plan(16, 60)))


def test_other_actions_elsewhere_change_nothing_here() -> None:
    levels, actions = wild_levels(8), plan(8, 60)
    other = actions.copy()
    other[:, 4:] = np.random.default_rng(8).integers(0, 7, (60, 4))
    a, b = record(Engine(levels, WILD), actions), record(Engine(levels, WILD), other)
    assert equal({k: v[:4] for k, v in a.items()}, {k: v[:4] for k, v in b.items()})
    assert not equal(a, b)


def test_views_and_displays_change_nothing_in_the_world() -> None:
    levels, actions = wild_levels(16), plan(16, 60)
    runs = [record(Engine(levels, WILD, view), actions) for view in ("full", "ego", "planes")]
    for run in runs:
        del run["obs"]
    assert equal(runs[0], runs[1]) and equal(runs[0], runs[2])


# --------------------------------------------------------------------------------------------------------------- levels


def settings_of(family: Family) -> list[tuple[str, str]]:
    return [(shift.name, split) for shift in family.shifts for split in ("train", "reference", "query")]


@pytest.mark.parametrize("id", FAMILIES)
def test_levels_are_the_same_in_any_subset_and_order(id: str) -> None:
    for shift, split in settings_of(FAMILIES[id]):
        if (shift, split) == ("train", "query"):
            continue  # what coincides is no conflict
        distribution = Distribution(FAMILIES[id], shift, split=split, seed=3)
        every = distribution.draw(range(40))
        chosen = [33, 5, 5, 0, 39]
        assert same_levels(distribution.draw(chosen), every.take(chosen)), (shift, split)
        assert same_levels(distribution.draw(np.arange(20, 40)), every.take(slice(20, 40)))
        assert same_levels(Distribution(FAMILIES[id], shift, split=split, seed=3).draw(range(40)), every)


@pytest.mark.parametrize("id", FAMILIES)
def test_seeds_splits_and_knobs_give_other_levels(id: str) -> None:
    family = FAMILIES[id]
    base = Distribution(family, split="train", seed=0).draw(range(30))
    for other in (
        Distribution(family, split="train", seed=1),
        Distribution(family, split="reference", seed=0),
        Distribution(family, knobs={"max_steps": 77}),
    ):
        levels = other.draw(range(30))
        assert (base.agent != levels.agent).any(1).mean() > 0.7


@pytest.mark.parametrize("id", FAMILIES)
def test_mixtures_and_twins_are_the_same_in_any_subset(id: str) -> None:
    family = FAMILIES[id]
    mixture = Distribution(family, alpha=0.3, alpha_shift=family.shifts[-1].name, seed=2)
    every, chosen = mixture.draw(range(60)), [59, 3, 17, 4]
    assert same_levels(mixture.draw(chosen), every.take(chosen))
    shifted = Distribution(family, family.shifts[-1].name, split="query", seed=2)
    levels = shifted.draw(range(30))
    for factor in family.factors:
        twins = draw_twins(shifted, levels, factor)
        assert same_levels(draw_twins(shifted, levels.take([8, 2]), factor), twins.take([8, 2]))


def test_an_index_may_be_any_size() -> None:
    distribution = Distribution(COIN_DISH)
    far = distribution.draw([2**40, 2**62, 7])
    assert same_levels(far.take([2]), distribution.draw([7]))
    assert far.key[:, 1].tolist() == [2**40, 2**62, 7] and not far.take([0]).equal(far.take([1])).any()


# ------------------------------------------------------------------------------------------------------------ processes


def digest_of_everything() -> str:
    """A hash over levels of all families and over play in a wild world."""
    hashed = blake2b(digest_size=16)
    for family in FAMILIES.values():
        shift = family.shifts[-1].name
        for split in ("train", "query"):
            levels = Distribution(family, shift, split=split, seed=4).draw(range(10))
            for f in fields(Levels):
                hashed.update(np.ascontiguousarray(getattr(levels, f.name)).tobytes())
            hashed.update(repr(draw_twins(Distribution(family, shift), levels, "agent").agent.tolist()).encode())
    run = record(Engine(wild_levels(8), WILD, "ego", seed=3), plan(8, 40))
    for name in sorted(run):
        hashed.update(np.ascontiguousarray(run[name]).tobytes())
    hashed.update(seeding.generator("a", 1).bytes(8))
    return hashed.hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_process_gives_the_same_bytes(hash_seed: str, request: pytest.FixtureRequest) -> None:
    script = "from tests.envs.test_determinism import digest_of_everything; print(digest_of_everything())"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(request.config.rootpath)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == digest_of_everything()


# -------------------------------------------------------------------------------------------------------------- seeding


def test_streams_depend_on_every_part_and_on_no_order_of_keys() -> None:
    assert seeding.stream("a", {"x": 1, "y": 2}) == seeding.stream("a", {"y": 2, "x": 1})
    parts: list[tuple[Any, ...]] = [("a", 1), ("a", 2), ("b", 1), ("a", "1"), ("a1",), ("a", 1, 0), ("a", {"x": 1})]
    assert len({seeding.stream(*p) for p in parts}) == len(parts)


def test_draws_of_different_keys_and_tags_are_independent_and_uniform() -> None:
    keys = seeding.keys(seeding.stream("test"), np.arange(20_000))
    a, b = seeding.uniform(keys, 1), seeding.uniform(keys, 2)
    assert abs(a.mean() - 0.5) < 0.01 and abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(seeding.uniform(seeding.substream(keys, 1), 5), a)[0, 1]) < 0.03
    counts = np.bincount(seeding.integers(keys, 3, 7), minlength=7)
    assert len(counts) == 7 and (abs(counts - 20_000 / 7) < 250).all()
    assert len(np.unique(seeding.bits(keys, 1))) == 20_000
