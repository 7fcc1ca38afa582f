"""Pictures: MiniGrid's own where MiniGrid has one, and everything visible on a cell is drawn."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the environments)
import numpy as np
import pytest
from minigrid import wrappers
from minigrid.core.grid import Grid
from minigrid.core.world_object import Box
from numpy.typing import NDArray

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import AGENT, OBJECT_NAMES, UNSEEN
from goalscope.envs.engine import Engine
from goalscope.envs.grids import Stack, grid_of
from goalscope.envs.levels import Levels, blank
from goalscope.envs.minigrid import MINIGRID, from_minigrid
from goalscope.envs.render import GOAL_COLOURS, ansi, frame, sheet
from goalscope.envs.world import Mover, Policy, Thing, World
from goalscope.errors import LevelError

PARLOUR = World(
    things=(
        Thing(name="coin", glyph="c", shape="ball", colour="yellow", priority=2),
        Thing(name="dish", glyph="d", shape="goal", colour="blue", priority=3),
        Thing(name="corner", glyph="x"),
        Thing(name="key", glyph="k", shape="key"),
        Thing(name="red", glyph="r", colour="red"),
        Thing(name="green", glyph="g", colour="green", priority=1),
    ),
    movers=(Mover(kind="monster", policy=Policy.RANDOM, glyph="M", shape="box", colour="purple"),),
)
TILE = 32


def _tile(text: str, world: World = PARLOUR) -> NDArray[np.uint8]:
    """The picture of the cell right of the agent, `[32, 32, 3]`; the character 1 stands for what `text` says."""
    levels = from_ascii(f"####\n#>1#\n####\n1 = {text}", world)
    return frame(world, levels, 0, TILE)[TILE : 2 * TILE, 2 * TILE : 3 * TILE]


def _count(tile: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((tile == colour).all(-1).sum())


YELLOW, BLUE, GREEN, RED, PURPLE = (255, 255, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0), (112, 39, 195)


def _random_levels(world: World, n: int = 64) -> Levels:
    """Levels with any object, any marks and any movers everywhere inside."""
    rng = np.random.default_rng(0)
    levels = blank(n, (7, 8), movers=3)
    codes = [k | c << 4 for k in range(len(OBJECT_NAMES)) for c in range(6) if k not in (UNSEEN, AGENT)]
    levels.cells[:, 1:-1, 1:-1] = rng.choice(codes, (n, 5, 6))
    levels.marks[:] = rng.integers(0, 1 << len(world.things), levels.marks.shape) * (
        rng.random(levels.marks.shape) < 0.5
    )
    levels.cells[:, 1, 1] = 1
    levels.movers[..., 0], levels.movers[..., 1] = rng.integers(1, 7, (n, 3)), rng.integers(1, 6, (n, 3))
    levels.movers[..., 3] = rng.random((n, 3)) < 0.7
    return levels


def test_the_grid_encodes_what_the_engine_shows() -> None:
    levels = _random_levels(PARLOUR)
    shown = Engine(levels, PARLOUR, view="full").reset()
    env: Any = gymnasium.make("MiniGrid-Empty-5x5-v0").unwrapped
    wrapper: Any = wrappers.FullyObsWrapper
    for i in range(len(levels)):
        env.grid, env.agent_pos, env.agent_dir = grid_of(PARLOUR, levels, i), (1, 1), 0
        assert np.array_equal(wrapper(env).observation({})["image"], shown[i])


def _contents(grid: Grid) -> list[str | None]:
    boxes: list[Any] = [thing for thing in grid.grid if isinstance(thing, Box)]
    return [box.contains and box.contains.type for box in boxes]


@pytest.mark.parametrize("name", ["KeyCorridorS3R3", "ObstructedMaze-1Dlhb", "LavaGapS5"])
def test_a_minigrid_level_gives_minigrids_grid_and_picture_back(name: str) -> None:
    env: Any = gymnasium.make(f"MiniGrid-{name}-v0").unwrapped
    env.reset(seed=2)
    levels = from_minigrid(env)
    grid = grid_of(MINIGRID, levels, 0)
    assert grid == env.grid
    assert _contents(grid) == _contents(env.grid)
    assert np.array_equal(frame(MINIGRID, levels, 0, 16), env.get_frame(highlight=False, tile_size=16))


def test_highlighted_cells_are_brighter() -> None:
    levels = blank(1, (4, 5))
    mask = np.zeros((5, 4), bool)
    mask[3, 2] = True
    plain, lit = frame(MINIGRID, levels, 0, 8), frame(MINIGRID, levels, 0, 8, mask)
    assert np.unique(np.argwhere((plain != lit).any(-1)) // 8, axis=0).tolist() == [[2, 3]]
    assert lit.sum() > plain.sum()


def test_everything_visible_on_a_cell_is_drawn() -> None:
    tile = _tile("coin + dish")
    assert _count(tile, YELLOW) > 100 and _count(tile, BLUE) > 100
    tile = _tile("locked door green + coin")
    assert _count(tile, YELLOW) > 100 and _count(tile, GREEN) > 20
    tile = _tile("coin + key + green")
    assert _count(tile, YELLOW) > 30 and _count(tile, GREEN) > 20


def test_cells_that_encode_alike_are_drawn_each_in_its_own_way() -> None:
    assert not np.array_equal(_tile("dish"), _tile("dish + coin"))
    assert np.array_equal(_tile("dish + coin"), _tile("dish + coin"))
    levels = from_ascii("#####\n#>12#\n#####\n1 = dish\n2 = dish + coin", PARLOUR)
    grid = grid_of(PARLOUR, levels, 0).encode()
    assert np.array_equal(grid[2, 1, :2], [8, 2]) and grid[3, 1, 0] == 8


def test_a_shape_and_a_colour_on_one_cell_are_one_object() -> None:
    assert np.array_equal(_tile("key + green"), _tile("key green"))
    assert np.array_equal(_tile("green"), _tile("floor green"))
    assert np.array_equal(_tile("key"), _tile("key red"))


def test_invisible_marks_change_no_picture() -> None:
    assert np.array_equal(_tile("corner + coin"), _tile("coin"))
    levels = from_ascii("####\n#>x#\n####", PARLOUR)
    assert grid_of(PARLOUR, levels, 0).get(2, 1) is None


def test_movers_are_drawn_while_they_live() -> None:
    rows = "####\n#>.#\n####"
    for state, boxes in (("", 1), (" dead", 0)):
        picture = frame(PARLOUR, from_ascii(f"mover: monster at 2,1{state}\n{rows}", PARLOUR), 0)
        assert (_count(picture, PURPLE) > 0) == boxes


def test_a_stack_lets_through_what_its_object_lets_through() -> None:
    levels = from_ascii("######\n#>12.#\n######\n1 = closed door red + coin\n2 = door red + coin", PARLOUR)
    shut, open_ = (grid_of(PARLOUR, levels, 0).get(x, 1) for x in (2, 3))
    assert isinstance(shut, Stack) and not shut.can_overlap() and not shut.see_behind()
    assert isinstance(open_, Stack) and open_.can_overlap() and open_.see_behind()


def test_text_for_a_terminal_shows_two_characters_a_cell() -> None:
    levels = from_ascii("#####\n#v.x#\n#12M#\n#####\n1 = dish + coin\n2 = locked door red", PARLOUR)
    text = ansi(PARLOUR, levels, 0)
    bare = re.sub(r"\033\[[0-9;]*m", "", text)
    assert bare.split("\n") == ["          ", "  ▼ . x   ", "  dc% M   ", "          "]
    assert text.count("\033[0m") == 4


def test_a_sheet_shows_levels_captions_paths_and_a_legend() -> None:
    levels = from_ascii(["#####\n#>..#\n#..c#\n#####"] * 3, PARLOUR)
    paths = [{"coin": np.array([6, 7, 8, 13]), "corner": np.array([6, 6, 11])}] * 3
    plain = sheet(PARLOUR, levels, 2, 2, 32)
    drawn = sheet(PARLOUR, levels, 2, 2, 32, titles=["one", "a title far too long for its level", "three"], paths=paths)
    assert plain.size == (2 * (5 * 32 + 14) + 14, 2 * (4 * 32 + 14) + 14)
    assert drawn.width == plain.width and drawn.height > plain.height
    pixels = np.asarray(drawn)
    sky_blue, orange = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)
    assert GOAL_COLOURS[:2] == ("#56B4E9", "#E69F00")
    assert _count(pixels, sky_blue) > 180 and _count(pixels, orange) > 180
    assert _count(np.asarray(plain), sky_blue) == 0


def test_a_sheet_with_too_few_titles_is_refused() -> None:
    with pytest.raises(LevelError, match="3 levels needs as many titles, got 1"):
        sheet(PARLOUR, blank(3, (4, 4)), 2, 2, titles=["one"])
