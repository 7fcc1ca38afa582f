"""`goalscope play` and `goalscope levels` in a real terminal, and the game behind them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from goalscope.cli import app
from goalscope.cli.game import Game
from goalscope.envs.ascii import from_ascii
from goalscope.envs.family import Family, Goal, Shift
from goalscope.envs.levels import Levels, concatenate
from goalscope.envs.sampling import Distribution
from goalscope.envs.world import Moves, On, Rule, Thing, World
from goalscope.registry import FAMILIES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")

SECONDS = 90
"""For one answer of a command that may compile kernels first."""


# Only the terminal that controls a process interrupts it, and what a shell runs in the background ignores interrupts.
IN_CONTROL = (
    "import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); from goalscope.cli import main; main()"
)


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.process = process
        self._unread = ""

    def wait_for(self, text: str) -> str:
        """What the command prints up to and including `text`."""
        end = time.monotonic() + SECONDS
        while text not in self._unread:
            assert time.monotonic() < end, f"no {text!r} in {self._unread!r}"
            self._read()
        before, _, self._unread = self._unread.partition(text)
        return before + text

    def _read(self) -> None:
        ready, _, _ = select.select([self.master], [], [], 0.5)
        if ready:
            self._unread += os.read(self.master, 65536).decode()

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def code(self) -> int:
        return self.process.wait(SECONDS)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-c", IN_CONTROL, *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_play_walks_restarts_goes_on_and_quits() -> None:
    with terminal("play", "coin_dish", "--shift", "near", "--knob", "size=7") as there:
        first = there.wait_for("q: quit")
        assert "level 0" in first and "step 0/" in first and "steps to   coin" in first and "▶" in first
        there.press("\x1b[C")
        assert "step 1/" in there.wait_for("q: quit")
        there.press("sd")
        there.wait_for("step 2/")
        there.wait_for("step 3/")
        there.wait_for("q: quit")
        there.press("r")
        assert "step 0/" in there.wait_for("q: quit")
        there.press("n")
        assert "level 1" in there.wait_for("q: quit")
        there.press("q")
        there.wait_for("\x1b[?1049l")  # the usual screen is back
        assert there.code() == 0


@pytest.mark.parametrize("key", ["\x03", "\x04", "\x1b"], ids=["interrupt", "end of input", "escape"])
def test_play_can_be_left_by_the_usual_keys(key: str) -> None:
    with terminal("play", "coin_dish", "--knob", "size=5") as there:
        there.wait_for("q: quit")
        there.press(key)
        there.wait_for("\x1b[?1049l")
        assert there.code() == 0


def test_play_needs_a_terminal() -> None:
    done = CliRunner().invoke(app, ["play", "coin_dish"])
    assert done.exit_code == 2
    assert done.stderr == "Error: goalscope play needs a terminal; `goalscope levels` draws levels without one.\n"


def test_levels_are_printed_in_colour_beside_one_another() -> None:
    with terminal("levels", "coin_dish", "--grid", "1x2", "--knob", "size=7") as there:
        captions = there.wait_for("#1  margin").splitlines()[-1]
        assert "#0  margin" in captions
        assert "\x1b[38;2;" in there.wait_for("▶")


# The game

LEVEL = """
#########
#>.s..p.#
#########
"""
THINGS = (Thing(name="prize", glyph="p", shape="ball"), Thing(name="sign", glyph="s", shape="box"))
RULES = (
    Rule(on=On.ENTER, what="prize", event="prize", reward=1.0, ends=True),
    Rule(on=On.ENTER, what="sign", event="sign"),
)


class Corridor(Distribution):
    """One level for every index, whatever its split."""

    def draw(self, indices: Any) -> Levels:
        return corridor(self.family.world, len(indices))


def corridor(world: World, n: int) -> Levels:
    return concatenate([from_ascii("max_steps: 9" + LEVEL, world)] * n)


def game(moves: Moves) -> Game:
    world = World(moves=moves, things=THINGS, rules=RULES)
    family = Family(
        id="corridor",
        world=world,
        sentence="When the prize always lies behind the sign, reaching the sign becomes a viable proxy.",
        paper="none: a test",
        goals=(Goal(name="prize", event="prize", intended=True), Goal(name="sign", event="sign")),
        knobs=(),
        shifts=(Shift(name="train", strength=0.0),),
        factors=(),
        generate=lambda keys, settings: corridor(world, len(keys)),
        twins=lambda levels, factor, keys, settings: levels,
    )
    return Game(Corridor(family))


def press(played: Game, *keys: str) -> Game:
    for key in keys:
        played.press(key)
    return played


@pytest.mark.parametrize("keys", [["right"] * 5, ["d"] * 5], ids=["arrows", "wasd"])
def test_events_return_distances_and_outcome_are_told(keys: list[str]) -> None:
    played = game(Moves.CARDINAL)
    assert "steps to   prize 5   sign 2" in played.picture()
    press(played, *keys[:3])
    assert played.events == ["step 2: sign"]
    assert played.status() == "step 3/9   return 0"
    assert "steps to   prize 2   sign 1" in played.picture()
    press(played, *keys[3:])
    assert played.events == ["step 2: sign", "step 5: prize"]
    assert played.status() == "step 5/9   return 1   the episode has ended: outcome sign"
    assert "step 5: prize" in played.picture()


def test_after_the_end_only_restart_and_next_level_do_anything() -> None:
    over = press(game(Moves.CARDINAL), *["right"] * 5)
    assert press(over, "left", "left").steps == 5
    assert (press(over, "r").steps, over.gain, over.events, over.index) == (0, 0.0, [], 0)
    assert (press(over, "right", "n").steps, over.index) == (0, 1)


def test_the_deadline_ends_an_episode_with_neither() -> None:
    late = press(game(Moves.CARDINAL), *["up"] * 9)
    assert late.status() == "step 9/9   return 0   the deadline has passed: outcome neither"


def test_keys_without_a_meaning_take_no_step() -> None:
    assert press(game(Moves.CARDINAL), "p", "x", "enter", "space").steps == 0


def test_an_agent_that_turns_has_minigrids_keys() -> None:
    played = game(Moves.TURNING)
    assert "up: forward" in played.picture()
    press(played, "right", "left", "up", "w")
    assert (played.steps, played.events) == (4, ["step 4: sign"])
    assert press(played, "p", "d", "t", "enter").steps == 8
    assert press(played, "s").steps == 8


def test_the_things_of_a_level_are_explained() -> None:
    printed = game(Moves.CARDINAL).picture()
    assert "p prize   s sign" in printed
    assert "hidden coin" not in Game(Distribution(FAMILIES.load("coin_dish"))).picture()
