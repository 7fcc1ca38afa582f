"""The command line: what it prints, what it writes, and what it says when it is asked for something impossible."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.command import complaint, goalscope, output

from goalscope import __version__
from goalscope.cli.keys import keys_in
from goalscope.envs.ascii import from_ascii
from goalscope.envs.sampling import Distribution
from goalscope.errors import GoalscopeError, UnknownNameError
from goalscope.files import write_whole
from goalscope.registry import DETECTORS, FAMILIES, RECIPES, SUITES, Registry

HEAVY = ("goalscope.envs", "matplotlib", "minigrid", "numba", "rich", "scipy", "torch")
BROKEN = """
[goalscope.envs]
leaky = leaky_package
"""


def process(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )


# The front door


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from goalscope.cli import main\n"
        "sys.argv = ['goalscope', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = process("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_and_knows_its_version() -> None:
    done = process("-m", "goalscope", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"goalscope {__version__}\n", "")


@pytest.mark.parametrize("command", [[], ["list"], ["check"], ["new"]], ids=lambda c: " ".join(c) or "goalscope")
def test_a_command_that_needs_another_shows_its_help(command: list[str]) -> None:
    assert "Usage: " in goalscope(*command).output


def test_debug_raises_what_would_be_one_line() -> None:
    assert isinstance(goalscope("--debug", "levels", "nowhere").exception, UnknownNameError)


# list


def test_families_are_listed_for_people() -> None:
    printed = output("list", "envs")
    for name in FAMILIES.names():
        assert name in printed
        assert FAMILIES.load(name).sentence.split()[-1] in printed
    assert "goalscope/CoinCorner-v0" in printed


def test_families_are_listed_for_programs() -> None:
    entries = json.loads(output("list", "envs", "--json"), parse_constant=pytest.fail)
    assert [entry["id"] for entry in entries] == FAMILIES.names()
    for entry in entries:
        assert_is_family_entry(entry)


def assert_is_family_entry(entry: dict[str, Any]) -> None:
    family = FAMILIES.load(entry["id"])
    keys = [
        "id",
        "gym_id",
        "version",
        "distribution",
        "source",
        "goals",
        "shifts",
        "knobs",
        "factors",
        "sentence",
        "paper",
    ]
    assert list(entry) == keys
    assert [goal["intended"] for goal in entry["goals"]] == [True] + [False] * (len(family.goals) - 1)
    assert {goal["name"]: goal["event"] for goal in entry["goals"]} == {g.name: g.event for g in family.goals}
    assert [(s["name"], s["strength"], s["goals"]) for s in entry["shifts"]] == [
        (s.name, s.strength, list(s.goals)) for s in family.shifts
    ]
    for knob, entry_ in zip(family.knobs, entry["knobs"], strict=True):
        assert list(entry_) == ["name", "type", "default", "low", "high", "choices", "doc"]
        assert (entry_["name"], entry_["default"]) == (knob.name, knob.default)
        assert entry_["high"] == (knob.high if math.isfinite(knob.high) else None)


@pytest.mark.parametrize(
    ("kind", "registry"), [("detectors", DETECTORS), ("suites", SUITES), ("recipes", RECIPES)], ids=lambda x: str(x)[:9]
)
def test_other_kinds_are_listed_too(kind: str, registry: Registry[Any]) -> None:
    assert [entry["id"] for entry in json.loads(output("list", kind, "--json"))] == registry.names()
    printed = output("list", kind)
    expected = registry.names() or [f"No {kind} are installed."]
    assert all(words in printed for words in expected)


def test_a_broken_plugin_warns_and_the_rest_is_listed(tmp_path: Path) -> None:
    info = tmp_path / "leaky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(BROKEN)
    (tmp_path / "leaky_package.py").write_text("raise RuntimeError('a pipe burst')\n")
    done = process("-m", "goalscope", "list", "envs", "--json", environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Warning: Left out family 'leaky' of distribution 'leaky': ")
    assert "a pipe burst" in done.stderr and len(done.stderr.splitlines()) == 1
    assert [entry["id"] for entry in json.loads(done.stdout)] == FAMILIES.names()


# levels

IMPOSSIBLE = {
    "unknown family": (["coin_korner"], "Did you mean 'coin_corner'"),
    "missing file": (["./nowhere.py"], "nowhere.py"),
    "unknown shift": (["coin_dish", "--shift", "neer"], "Did you mean 'near'"),
    "unknown split": (["coin_dish", "--split", "test"], "Known: query, reference, train"),
    "unknown knob": (["coin_dish", "--knob", "siz=9"], "Did you mean 'size'"),
    "knob without value": (["coin_dish", "--knob", "size"], "NAME=VALUE"),
    "knob without name": (["coin_dish", "--knob", "=9"], "NAME=VALUE"),
    "knob of another type": (["coin_dish", "--knob", "size=big"], "an integer from 5 to 25"),
    "knob out of bounds": (["coin_dish", "--knob", "size=99"], "an integer from 5 to 25"),
    "knobs that disagree": (["coin_dish", "--knob", "size=8", "--knob", "layout=tree"], "odd"),
    "grid of one number": (["coin_dish", "--grid", "4"], "ROWSxCOLS"),
    "empty grid": (["coin_dish", "--grid", "0x4"], "ROWSxCOLS"),
    "endless grid": (["coin_dish", "--grid", "4x1000"], "20x20"),
    "paths without a picture": (["coin_dish", "--paths"], "--out"),
    "picture without extension": (["coin_dish", "--out", "levels"], ".png"),
    "picture of unknown format": (["coin_dish", "--out", "levels.xyz"], ".png"),
    "picture in no folder": (["coin_dish", "--out", "nowhere/levels.png"], "no folder nowhere"),
}


@pytest.mark.parametrize(("arguments", "hint"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_levels_answers_what_it_cannot_do_in_one_line(
    arguments: list[str], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hint in complaint("levels", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_levels_refuses_to_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "levels.png").mkdir()
    assert "it is a folder" in complaint("levels", "coin_dish", "--out", tmp_path / "levels.png")


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_picture_grows_with_the_grid_and_changes_with_paths_and_seed(tmp_path: Path) -> None:
    def draw(name: str, *arguments: str) -> np.ndarray[Any, Any]:
        output("levels", "coin_dish", "--shift", "apart", *arguments, "--out", tmp_path / name)
        return pixels(tmp_path / name)

    small, tall, wide = draw("a.png", "--grid", "1x1"), draw("b.png", "--grid", "2x1"), draw("c.png", "--grid", "1x2")
    assert tall.shape[0] > 1.5 * small.shape[0] and tall.shape[1] == small.shape[1]
    assert wide.shape[1] > 1.5 * small.shape[1] and wide.shape[0] == small.shape[0]
    assert (draw("d.png", "--grid", "1x1") == small).all()
    assert (draw("e.png", "--grid", "1x1", "--seed", "1") != small).any()
    with_paths = draw("f.png", "--grid", "1x1", "--paths")
    assert (with_paths[: small.shape[0] - 20, : small.shape[1]] != small[: small.shape[0] - 20]).any()


@pytest.mark.parametrize("name", ["levels.PNG", "levels.jpg", "levels.webp", "levels.gif", "levels.pdf"])
def test_the_extension_says_the_format(name: str, tmp_path: Path) -> None:
    output("levels", "coin_dish", "--grid", "1x1", "--out", tmp_path / name)
    magic = {".PNG": b"\x89PNG", ".jpg": b"\xff\xd8", ".webp": b"RIFF", ".gif": b"GIF8", ".pdf": b"%PDF"}
    assert (tmp_path / name).read_bytes().startswith(magic[Path(name).suffix])


def test_a_picture_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(self: Image.Image, path: Path, format: str) -> None:
        path.write_bytes(b"half a pict")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    (tmp_path / "levels.png").write_bytes(b"yesterday's")
    assert "No space left on device" in complaint("levels", "coin_dish", "--out", tmp_path / "levels.png")
    assert [path.name for path in tmp_path.iterdir()] == ["levels.png"]
    assert (tmp_path / "levels.png").read_bytes() == b"yesterday's"


def test_a_failure_that_is_no_system_error_leaves_nothing_either(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "file.txt", fail)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(GoalscopeError, match="Cannot write"):
        write_whole(tmp_path / "in the way" / "file.txt", lambda partial: partial.write_text("x"))


def test_levels_without_a_terminal_are_text_from_which_they_can_be_read() -> None:
    source = Distribution(FAMILIES.load("coin_corner"), "off_corner", {"size": 7}, "query", 3)
    printed = output(
        *("levels", "coin_corner", "--shift", "off_corner", "--split", "query", "--grid", "2x2"),
        *("--seed", "3", "--knob", "size=7"),
    )
    blocks = [block.partition("\n") for block in printed.strip().split("\n\n")]
    assert [caption.split("  margin ")[0] for caption, _, _ in blocks] == ["#0", "#1", "#2", "#3"]
    drawn = source.draw(range(4))
    for i, (_, _, text) in enumerate(blocks):
        assert from_ascii(text, source.family.world).equal(drawn.take([i])).all()


def test_a_family_in_a_file_can_be_drawn(tmp_path: Path) -> None:
    output("new", "env", "harbour", "--out", tmp_path)
    assert output("levels", tmp_path / "harbour.py", "--grid", "1x1").startswith("#0  margin 0\n")


# Keys


def test_keys_are_told_apart_even_when_several_arrive_at_once() -> None:
    assert list(keys_in("\x1b[A\x1b[B\x1bOC\x1b[1;5D")) == ["up", "down", "right", "left"]
    assert list(keys_in("wW\r \x1b[3~Ä")) == ["w", "w", "enter", "space", "ä"]
    assert list(keys_in("\xe0H\x00M")) == ["up", "right"]
    assert list(keys_in("\x03")) == list(keys_in("\x1b")) == ["q"]
