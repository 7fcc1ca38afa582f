"""Levels as text: hand cases, errors that name the place, and exact round trips of random levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.codes import AGENT, LEFT, OBJECT_NAMES, UNSEEN, UP, WALL_CODE, code
from goalscope.envs.levels import Levels, blank, validate
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Thing, World
from goalscope.errors import LevelError

ZOO = World(
    moves=Moves.TURNING,
    things=(
        Thing(name="coin", glyph="c", shape="ball", colour="yellow"),
        Thing(name="marked corner", glyph="m"),
        Thing(name="key blue", glyph="k"),  # reads like an object
        Thing(name="a + b", glyph="="),  # reads like two
        Thing(name="mark 2", glyph="x"),  # reads like another's number
        Thing(name="sign", glyph="\u00a0", shape="box"),  # a glyph that cannot be seen
    ),
    rules=(
        Rule(on=On.ENTER, what="coin", event="coin", reward=1.0),
        Rule(on=On.ENTER, what="key blue", event="kind 1"),
        Rule(on=On.MEET, what="monster", event="eaten alive", ends=True),
    ),
    movers=(
        Mover(kind="monster", policy=Policy.RANDOM, glyph="M"),
        Mover(kind="leader of all", policy=Policy.SCRIPT, glyph="L"),
        Mover(kind="ghost", policy=Policy.RANDOM, glyph="c"),  # the coin's glyph
    ),
)
"""A world with every kind of name and glyph that a text could misread."""

PLAIN = World(things=(Thing(name="coin", glyph="c", shape="ball", colour="yellow"),))


def test_rows_alone_describe_a_level() -> None:
    levels = from_ascii(
        """
        #######
        #<...c#
        #..#..#
        #######
        """,
        PLAIN,
    )
    assert levels.canvas == (4, 7)
    assert levels.agent[0].tolist() == [1, 1, LEFT, 0]
    assert np.argwhere(levels.marks[0]).tolist() == [[1, 5]]
    assert np.argwhere(levels.walls[0][1:-1, 1:-1]).tolist() == [[1, 2]]
    assert levels.max_steps.tolist() == [100]
    assert to_ascii(levels, 0, PLAIN) == "#######\n#<...c#\n#..#..#\n#######"


def test_a_legend_character_says_all_that_lies_in_a_cell() -> None:
    levels = from_ascii(
        """
        ####
        #12#
        ####
        1 = box red holding key blue + coin
        2 = agent ^ + marked corner + door green
        """,
        ZOO,
    )
    assert levels.cells[0, 1, 1:3].tolist() == [code("box", "red"), code("door", "green")]
    assert levels.contents[0, 1, 1] == code("key", "blue")
    assert levels.marks[0, 1, 1:3].tolist() == [ZOO.bit("coin"), ZOO.bit("marked corner")]
    assert levels.agent[0, :3].tolist() == [2, 1, UP]


def test_headers_say_what_a_picture_cannot() -> None:
    levels = from_ascii(
        """
        max_steps: 7
        carried: box red holding ball green
        mission: 3 -1
        value: 0.5 coin
        quota: 2 eaten alive
        mover: monster at 2,1 dead
        mover: leader of all at 2,1 script 1,1 2,1 -
        key: 18446744073709551615 4
        ####
        #>.#
        ####
        """,
        ZOO,
    )
    assert levels.max_steps[0] == 7
    assert levels.agent[0, 3] == code("box", "red") and levels.carried_contents[0] == code("ball", "green")
    assert levels.mission[0].tolist() == [3, -1]
    assert levels.value[0].tolist() == [0.5, 1, 1] and levels.quota[0].tolist() == [-1, -1, 2]
    assert levels.movers[0].tolist() == [[2, 1, 0, 0], [2, 1, 1, 1]]
    assert levels.scripts[0].tolist() == [[-1, -1, -1], [5, 6, -1]]
    assert levels.key[0].tolist() == [2**64 - 1, 4]


def test_movers_may_stand_in_the_rows() -> None:
    text = "#####\n#M.L#\n#>.M#\n#####"
    levels = from_ascii(text, ZOO)
    assert levels.movers[0].tolist() == [[1, 1, 0, 1], [3, 1, 1, 1], [3, 2, 0, 1]]
    assert to_ascii(levels, 0, ZOO) == text


def test_movers_in_another_order_keep_it() -> None:
    levels = from_ascii("####\n#>M#\n####", ZOO)
    swapped = from_ascii("mover: monster at 2,1\nmover: ghost at 1,1\n####\n#>.#\n####", ZOO)
    assert "mover" not in to_ascii(levels, 0, ZOO)
    assert to_ascii(swapped, 0, ZOO).splitlines()[:2] == ["mover: monster at 2,1", "mover: ghost at 1,1"]


def test_several_texts_make_several_levels() -> None:
    levels = from_ascii(["####\n#>.#\n####", "####\n#.v#\n####"], PLAIN)
    assert len(levels) == 2
    assert to_ascii(levels, 1, PLAIN) == "####\n#.v#\n####"


def test_names_that_could_be_misread_are_numbered() -> None:
    levels = blank(1, (3, 6), events=3)
    levels.marks[0, 1, 1:5] = [ZOO.bit(n) for n in ("marked corner", "key blue", "a + b", "sign")]
    levels.marks[0, 1, 1:5] |= ZOO.bit("coin")
    levels.quota[0, 1] = 3
    legend = [line for line in to_ascii(levels, 0, ZOO).splitlines() if " = " in line]
    assert legend == [
        "1 = coin + marked corner + agent >",
        "2 = coin + mark 2",
        "3 = coin + mark 3",
        "4 = coin + sign",
    ]
    assert "quota: 3 event 1" in to_ascii(levels, 0, ZOO)


@pytest.mark.parametrize(
    ("text", "place", "expected", "got"),
    [
        ("####\n#>!#\n####", "Line 2, column 3", "a legend line", "'!'"),
        ("\n\n  ####\n  #>?#\n  ####", "Line 4, column 5", "a legend line", "'?'"),
        ("####\n#> #\n####", "Line 2, column 3", "a legend line", "' '"),
        ("#####\n#>.#\n#####", "Line 2, column 5", "a row of 5 characters", "4 characters"),
        ("####\n#>..#\n####", "Line 2, column 5", "a row of 4 characters", "5 characters"),
        ("#####\n#>v.#\n#####", "Line 2, column 3", "one agent, and it is on line 2, column 2", "'v'"),
        ("####\n#..#\n####", "Line 1, column 1", "an agent", "none"),
        ("", "Line 1, column 1", "rows of cells", "''"),
        ("max_steps: 3", "Line 1, column 1", "rows of cells", "'max_steps: 3'"),
        ("####\n#>.#\n\n####", "Line 4, column 1", "directly below", "'####'"),
        ("steps: 3\n####\n#>.#\n####", "Line 1, column 1", "a header", "'steps'"),
        ("max_steps: x\n####\n#>.#\n####", "Line 1, column 12", "a whole number", "'x'"),
        ("max_steps: 9999999999\n####\n#>.#\n####", "Line 1, column 12", "2147483647", "'9999999999'"),
        ("mission: 1 70000\n####\n#>.#\n####", "Line 1, column 12", "32767", "'70000'"),
        ("carried: bux\n####\n#>.#\n####", "Line 1, column 10", "an object", "'bux'"),
        ("value: 1 win\n####\n#>.#\n####", "Line 1, column 8", "event of this world ('coin'", "'1 win'"),
        ("value: x coin\n####\n#>.#\n####", "Line 1, column 8", "a number", "'x'"),
        ("value: 1e60 coin\n####\n#>.#\n####", "Line 1, column 8", "32 bits", "'1e60'"),
        ("quota: 3 event 9\n####\n#>.#\n####", "Line 1, column 8", "event of this world", "'3 event 9'"),
        ("mover: monster\n####\n#>.#\n####", "Line 1, column 8", "KIND at X,Y", "'monster'"),
        ("mover: dog at 1,1\n####\n#>.#\n####", "Line 1, column 8", "a kind of mover", "'dog'"),
        ("mover: monster at 1,99999\n####\n#>.#\n####", "Line 1, column 21", "a whole number", "'99999'"),
        ("mover: ghost at 1,1 script 1,1 9,1\n####\n#>.#\n####", "Line 1, column 32", "a cell", "'9,1'"),
        ("key: 1\n####\n#>.#\n####", "Line 1, column 6", "a stream and an index", "'1'"),
        ("####\n#>1#\n####\n1 = coin + bux", "Line 4, column 12", "an object", "'bux'"),
        ("####\n#>1#\n####\n1 = coin + coin", "Line 4, column 12", "each once", "'coin'"),
        ("####\n#>1#\n####\n1 = box red holding", "Line 4, column 5", "an object", "'box red holding'"),
        ("####\n#>1#\n####\n1 = box red holding sand", "Line 4, column 5", "an object", "'box red holding sand'"),
        ("####\n#>c#\n####\nc = key blue", "Line 4, column 1", "no meaning yet", "'c'"),
    ],
)
def test_an_error_names_the_place_what_was_expected_and_what_came(
    text: str, place: str, expected: str, got: str
) -> None:
    with pytest.raises(LevelError) as error:
        from_ascii(text, ZOO)
    message = str(error.value)
    assert message.startswith(f"{place}: expected ") and expected in message and message.endswith(f"got {got}.")


def test_an_error_in_one_of_several_texts_names_the_text() -> None:
    with pytest.raises(LevelError, match="Text 1 of 2: Line 2, column 3: expected"):
        from_ascii(["####\n#>.#\n####", "####\n#>!#\n####"], PLAIN)


def test_a_level_that_breaks_the_rules_of_levels_is_refused() -> None:
    with pytest.raises(LevelError, match="border"):
        from_ascii("####\n#>..\n####", PLAIN)
    with pytest.raises(LevelError, match="only a box can hold"):
        from_ascii("####\n#>1#\n####\n1 = key red holding key blue", PLAIN)


def test_a_world_with_other_events_cannot_name_a_level() -> None:
    with pytest.raises(LevelError, match="2 events, the world declares 0"):
        to_ascii(blank(1, (3, 4), events=2), 0, PLAIN)


CODES = [k | c << 4 for k in range(len(OBJECT_NAMES)) for c in range(6) if k not in (UNSEEN, AGENT)]
CARRIED = [code(kind, colour) for kind in ("key", "ball") for colour in ("red", "grey")]


@st.composite
def random_levels(draw: st.DrawFn, world: World) -> Levels:
    """Any valid level of a world: every code, mark, content, mover, script and number is possible."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.tuples(st.integers(3, 9), st.integers(3, 9)))
    n_movers = draw(st.integers(0, 3))
    levels = blank(
        1,
        (height, width),
        events=len(world.events),
        movers=n_movers,
        script=draw(st.integers(0, 3)) if n_movers else 0,
        mission=draw(st.integers(0, 3)),
        max_steps=draw(st.integers(1, 2**31 - 1)),
    )
    inner = (slice(0, 1), slice(1, -1), slice(1, -1))
    density = draw(st.sampled_from([0.0, 0.2, 1.0]))
    picked = rng.random(levels.cells[inner].shape) < density
    levels.cells[inner] = np.where(picked, rng.choice(CODES, picked.shape), levels.cells[inner])
    boxes = (levels.cells & 15) == OBJECT_NAMES.index("box")
    levels.contents[boxes] = rng.choice([0, *CODES], int(boxes.sum()))
    marked = rng.random(levels.marks.shape) < density / 2
    levels.marks[marked] = rng.integers(0, 2**16, int(marked.sum()))
    x, y = rng.integers(1, width - 1), rng.integers(1, height - 1)
    levels.cells[0, y, x], levels.contents[0, y, x] = code("floor", "blue") if rng.random() < 0.5 else 1, 0
    levels.agent[0] = x, y, rng.integers(4), rng.choice([0, *CARRIED])
    if rng.random() < 0.3:
        levels.agent[0, 3] = code("box", "purple")
        levels.carried_contents[0] = rng.choice([0, *CODES])
    levels.movers[..., 0] = rng.integers(1, width - 1, n_movers)
    levels.movers[..., 1] = rng.integers(1, height - 1, n_movers)
    levels.movers[..., 2] = rng.integers(0, len(world.movers) + 1, n_movers)
    levels.movers[..., 3] = rng.random(n_movers) < 0.8
    cells = np.arange(height * width).reshape(height, width)[1:-1, 1:-1].ravel()
    levels.scripts[:] = rng.choice(np.append(cells, -1), levels.scripts.shape)
    levels.mission[:] = rng.integers(-5, 30, levels.mission.shape)
    levels.value[:] = rng.choice([1, 0.1, -2, 1 / 3, 1e-30, np.inf], levels.value.shape)
    levels.quota[:] = rng.choice([-1, 0, 32767], levels.quota.shape)
    levels.key[:] = rng.choice(np.array([0, 1, 2**64 - 1], np.uint64), 2)
    return levels


@pytest.mark.parametrize("world", [ZOO, PLAIN], ids=["zoo", "plain"])
@given(data=st.data())
def test_text_and_back_is_the_same_level(world: World, data: st.DataObject) -> None:
    levels = data.draw(random_levels(world))
    validate(levels)
    again = from_ascii(to_ascii(levels, 0, world), world)
    assert again.equal(levels).all()
    assert (again.key == levels.key).all()


@given(st.text(alphabet="#.>vc1 =:+\nkey blue,-", max_size=80))
def test_any_text_is_a_level_or_one_level_error(text: str) -> None:
    try:
        levels = from_ascii(text, ZOO)
    except LevelError:
        return
    validate(levels)


@given(st.data())
def test_a_damaged_text_is_a_level_or_one_level_error(data: st.DataObject) -> None:
    text = to_ascii(data.draw(random_levels(ZOO)), 0, ZOO)
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    try:
        levels = from_ascii(damaged, ZOO)
    except LevelError:
        return
    validate(levels)


def test_more_kinds_of_cells_than_letters_and_digits_still_fit() -> None:
    levels = blank(1, (14, 14))
    levels.cells[0, 1:-1, 1:-1] = WALL_CODE
    levels.cells[0, 1, 1] = 1
    levels.marks[0, 1:-1, 1:-1] = np.arange(144).reshape(12, 12)
    assert from_ascii(to_ascii(levels, 0, PLAIN), PLAIN).equal(levels).all()
