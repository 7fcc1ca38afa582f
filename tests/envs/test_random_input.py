"""Anything at all as knobs or as text: valid levels that play, or one error that helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.envs.worlds import random_levels, random_world

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.family import Family, Knob
from goalscope.envs.levels import Levels, validate
from goalscope.envs.sampling import Distribution
from goalscope.envs.world import Moves, World
from goalscope.errors import GoalscopeError, KnobError, LevelError, SamplingError

FAMILIES = {family.id: family for family in (COIN_CORNER, COIN_DISH, COLOUR_SHAPE)}

relaxed = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# --------------------------------------------------------------------------------------------------------------- knobs


def legal(knob: Knob) -> st.SearchStrategy[Any]:
    """Values within a knob's bounds, the bounds themselves often."""
    if knob.choices:
        return st.sampled_from(knob.choices)
    if knob.kind is bool:
        return st.booleans()
    low, high = knob.low, knob.high
    if knob.kind is int:
        near = st.integers(int(low), min(int(high), int(low) + 12))
        return st.one_of(near, st.sampled_from([int(low), int(high)]), st.integers(int(low), int(high)))
    return st.one_of(st.sampled_from([low, high]), st.floats(low, high))


def knob_settings(family: Family) -> st.SearchStrategy[dict[str, Any]]:
    """A few knobs of a family turned anywhere within their bounds, and small levels mostly."""
    turned = st.fixed_dictionaries({}, optional={knob.name: legal(knob) for knob in family.knobs})
    small = st.fixed_dictionaries({"size": st.integers(5, 11), "canvas": st.just(0)})
    return st.tuples(turned, st.one_of(small, small, st.just({}))).map(lambda both: {**both[0], **both[1]})


def draw_or_say_why(family: Family, shift: str, knobs: dict[str, Any], split: str) -> bool:
    """Draw a few levels and play them; whether there were any. Every error but the two expected ones goes through."""
    try:
        distribution = Distribution(family, shift, knobs, split)
        levels = distribution.draw(range(2))
    except (KnobError, SamplingError) as error:
        assert is_helpful(error, family), error
        return False
    validate(levels)
    plays(levels, family)
    return True


def is_helpful(error: GoalscopeError, family: Family) -> bool:
    """Whether the message names the knob, what it must be and what came, or the distribution and what refused."""
    text = str(error)
    if isinstance(error, KnobError):
        return any(f"{knob.name!r}" in text for knob in family.knobs) and "must be" in text and "got" in text
    return text.startswith("No ") and family.id in text and "refused" in text


def plays(levels: Levels, world: World | Family, steps: int = 5) -> None:
    """Step through the levels in every view, at random."""
    rng = np.random.default_rng(0)
    for view in ("full", "ego", "planes"):
        engine = Engine(levels, world, view)
        engine.reset()
        for _ in range(steps):
            engine.step(rng.integers(0, engine.world.n_actions, engine.batch))


def try_any_setting(id: str, examples: int) -> int:
    """Turn knobs at random; returns how many settings gave levels."""
    family, found = FAMILIES[id], 0

    @settings(max_examples=examples, suppress_health_check=relaxed, database=None, derandomize=True)
    @given(
        knobs=knob_settings(family),
        shift=st.sampled_from([shift.name for shift in family.shifts]),
        split=st.sampled_from(["train", "train", "train", "query"]),
    )
    def turn(knobs: dict[str, Any], shift: str, split: str) -> None:
        nonlocal found
        found += draw_or_say_why(family, shift, knobs, split)

    Distribution(family, family.shifts[-1].name, split="query").draw(range(2))  # compiles, before time counts
    turn()
    return found


@pytest.mark.parametrize("id", FAMILIES)
def test_any_setting_gives_levels_or_one_helpful_error(id: str) -> None:
    assert try_any_setting(id, 30) > 8


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("id", FAMILIES)
def test_a_great_many_settings_give_levels_or_one_helpful_error(id: str) -> None:
    assert try_any_setting(id, 900) > 250


GARBAGE = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.complex_numbers(),
    st.sampled_from(
        ["1e400", "nan", "-0", "0x10", "9" * 400, 10**400, np.float32(2.5), np.int8(3), np.nan, " 7 ", "٣"]
    ),
)


@pytest.mark.parametrize("id", FAMILIES)
def test_any_value_of_any_knob_is_taken_or_refused_by_the_knob_itself(id: str) -> None:
    family = FAMILIES[id]

    @settings(max_examples=700, database=None, derandomize=True)
    @given(knob=st.sampled_from(family.knobs), value=GARBAGE)
    def turn(knob: Knob, value: Any) -> None:
        try:
            taken = family.settings(**{knob.name: value})[knob.name]
        except KnobError as error:
            assert f"{knob.name!r} must be {knob.expected}, got " in str(error)
        else:
            again: dict[str, Any] = {knob.name: taken}
            assert type(taken) is knob.kind and family.settings(**again)[knob.name] == taken

    turn()


@pytest.mark.parametrize("id", FAMILIES)
def test_a_knob_takes_its_value_as_text_too(id: str) -> None:
    for knob in FAMILIES[id].knobs:
        for text in (str(knob.default), str(knob.default).lower()):
            given_as_text: dict[str, Any] = {knob.name: text}
            assert FAMILIES[id].settings(**given_as_text)[knob.name] == knob.default


# ---------------------------------------------------------------------------------------------------------------- text

RNG = np.random.default_rng(1)
WORLDS = [COIN_CORNER.world, *(random_world(RNG, moves=Moves(k % 2)) for k in range(6))]
PIECES = [
    *"#.>v<^ abcdABCDcmkM!1\n",
    "\n####\n",
    "#>.#",
    "mover: ",
    "kind A",
    " at 1,1",
    " script 1,1 9,9",
    "quota: 3 ",
    "value: nan ",
    "value: 1e38 ",
    "max_steps: 0",
    "1 = ",
    "box red holding key blue",
    " + ",
    "agent >",
    "carried: ",
    "key: 1 2",
    "lava red",
]


def read_or_say_where(text: str, world: World) -> bool:
    """Read a text and play what it describes; whether it was a level."""
    try:
        levels = from_ascii(text, world)
    except LevelError as error:
        assert len(str(error)) > 20
        return False
    validate(levels)
    try:
        plays(levels, world, steps=3)
    except LevelError as error:  # a level of another world, such as one with marks that this one lacks
        assert len(str(error)) > 20
        return False
    again = from_ascii(to_ascii(levels, 0, world), world)
    assert again.equal(levels).all()
    return True


def texts(rng: np.random.Generator, world: World) -> str:
    """A level of the world, damaged here and there, or scraps."""
    if rng.random() < 0.3:
        return "".join(rng.choice(PIECES, int(rng.integers(0, 40))))
    text = to_ascii(random_levels(rng, world, 1, (int(rng.integers(4, 7)), int(rng.integers(5, 7)))), 0, world)
    for _ in range(rng.integers(0, 4)):
        at, cut = rng.integers(0, len(text) + 1), rng.integers(0, 4)
        text = text[:at] + str(rng.choice(PIECES)) + text[at + cut :]
    return text


def try_any_text(n: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    return sum(read_or_say_where(texts(rng, world), world) for world in (WORLDS[k % 7] for k in range(n)))


def test_any_text_is_a_level_that_plays_or_one_helpful_error() -> None:
    assert try_any_text(1700, seed=0) > 200


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_great_many_texts_are_levels_that_play_or_one_helpful_error() -> None:
    assert try_any_text(8000, seed=1) > 1000
