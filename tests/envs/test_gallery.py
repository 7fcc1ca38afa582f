"""The gallery: pages say what the reports say, the same command writes the same bytes, and links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from tests.command import complaint, output

from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.gallery import Card, MeasuredAgent, Sizes, collect, read_pilots, write_index, write_page
from goalscope.envs.gallery.card import strip
from goalscope.envs.gallery.measured import by_setting
from goalscope.envs.gallery.page import BESIDE, bounds, number, paper, render_page, signed, vacuous
from goalscope.envs.gallery.pictures import WIDTH, draw_strip
from goalscope.envs.render import GOAL_COLOURS
from goalscope.envs.reports import null_report
from goalscope.envs.sampling import Distribution
from goalscope.errors import StorageError, UnknownNameError
from goalscope.registry import FAMILIES

SMALL = ("--training", "200", "--queries", "16", "--episodes", "4")
SIZES = Sizes(training=200, queries=16, episodes=4)
HEADER = "family,setting,seed,competence,intended,proxies,neither,excess,conditional,return,minutes"


@pytest.fixture(scope="module")
def dish() -> Card:
    return collect("coin_dish", sizes=SIZES)


@pytest.fixture(scope="module")
def corner() -> Card:
    return collect("coin_corner", sizes=SIZES)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def cells(line: str) -> list[str]:
    """Of a row of a table, without its outer bars."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table's rows, the line under its header among them."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        yield [cells(line) for line in block.splitlines()]


def row(text: str, start: str) -> list[str]:
    """The first row that begins with this cell."""
    return next(found for table in tables(text) for found in table if found[0] == start)


# Bytes and links


def test_the_same_command_writes_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    output("docs", "coin_dish", "--out", tmp_path / "a", *SMALL)
    command = [sys.executable, "-m", "goalscope", "docs", "coin_dish", "--out", str(tmp_path / "b"), *SMALL]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    )
    first = contents(tmp_path / "a")
    names = {f"images/coin_dish/{shift.name}.png" for shift in COIN_DISH.shifts}
    assert set(first) == {"coin_dish.md"} | names
    assert first == contents(tmp_path / "b")


def test_pictures_hold_nothing_but_pixels(tmp_path: Path, dish: Card) -> None:
    write_page(dish, tmp_path)
    for path in tmp_path.rglob("*.png"):
        data, at, chunks = path.read_bytes(), 8, set()
        while at < len(data):
            chunks.add(data[at + 4 : at + 8])
            at += 12 + int.from_bytes(data[at : at + 4])
        assert chunks <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def test_every_link_leads_somewhere_and_every_table_is_a_rectangle(tmp_path: Path, dish: Card, corner: Card) -> None:
    for card in (dish, corner):
        write_page(card, tmp_path)
    write_index([dish, corner] * BESIDE, tmp_path)  # more than a row of thumbnails
    linked = set()
    for page in tmp_path.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert all(len({len(found) for found in table}) == 1 for table in tables(text)), page.name
        linked |= {tmp_path / target for target in re.findall(r"\]\(((?!https:)[^)]+)\)", text)}
    assert {path.name for path in linked} >= {"README.md", "coin_dish.md", "coin_dish.png", "other_corner.png"}
    assert {path for path in linked if not path.is_file()} == set()
    assert {path for path in tmp_path.rglob("*.png")} <= linked


# What a page says


def test_a_page_says_what_the_reports_say(dish: Card) -> None:
    text = render_page(dish)
    assert text.startswith("# `coin_dish`\n\n> When the coin always lies on the dish")
    assert "one pair alone is the negative control" in " ".join(text.split()).lower()
    null = null_report(COIN_DISH, "near", levels=16, episodes=4).null
    assert row(text, "random")[1:] == [f"{null[name]:.2f}" for name in ("coin", "dish", "neither")]
    assert row(text, "pursuer of `coin` (intended)")[1:] == ["1.00", "0.00", "0.00"]
    assert row(text, "pursuer of `dish`")[1:] == ["0.00", "1.00", "0.00"]
    assert row(text, "`near`") == ["`near`", "0.25", "`radius=3`"]
    assert row(text, "`dish_ends`")[1:3] == ["`false`", "`true`, `false`"]
    assert row(text, "`radius`")[1:3] == ["`0`", "0 to 50"]
    assert row(text, "`coin`") == ["`coin`", "`coin`", "**intended**", "all"]
    assert row(text, "`dish`") == ["`dish`", "`dish`", "proxy", "all"]
    assert row(text, "hidden coin") == ["hidden coin", "nothing: invisible", "`C`"]
    assert text.count("Every pursuer reaches its own goal first, in every episode on every level.") == 3
    for said in (
        "`coin` (identical)",
        "training frames cannot show which of the two an agent pursues",
        "No agents measured yet.",
        "from seed 0: 200 training levels, 16 query levels a shift",
        "(4 episodes a level)",
        "[arXiv 2507.03068](https://arxiv.org/abs/2507.03068)",
        'gymnasium.make("goalscope/CoinDish-v0", shift="apart")',
        "changed: `agent`, `coin`, `dish`",
        "Going for `dish` earns 0.000 less",
        "max_steps: ",
    ):
        assert said in text, said


def test_a_goal_is_asked_about_under_its_own_shifts_only(corner: Card) -> None:
    text = render_page(corner)
    assert row(text, "`corner`")[2:] == ["proxy", "`off_corner_near`, `off_corner_middle`, `off_corner`"]
    assert [card.goals for card in corner.shifts] == [("coin", "mark")] + [("coin", "mark", "corner")] * 3
    assert corner.furthest is not None and corner.furthest.shift.name == "off_corner"


def test_a_pursuer_that_does_not_reach_its_goal_first_is_told(dish: Card) -> None:
    missed = replace(dish.shifts[0], own=np.array([1.0, 0.75]))
    text = render_page(replace(dish, shifts=(missed, *dish.shifts[1:])))
    assert "own goal first in every episode: `coin` 1.00, `dish` 0.75." in text
    assert text.count("Every pursuer reaches") == 2


def test_pursuers_outcomes_and_shares_of_levels_are_those_of_the_sample(corner: Card) -> None:
    for card in corner.shifts:
        assert (card.own == 1).all() and np.array_equal(card.pursuers[:, :-1], np.eye(len(card.goals)))


def test_goals_that_never_vary_are_vacuous_in_the_index(tmp_path: Path, dish: Card) -> None:
    assert dish.constant == [] and vacuous(dish) == "–"

    def fixed(*names: str) -> Card:
        factors = tuple(replace(f, varies=f.varies and f.factor not in names) for f in dish.support.factors)
        return replace(dish, support=replace(dish.support, factors=factors))

    assert vacuous(fixed("dish")) == "`dish`" and vacuous(fixed("coin", "dish")) == "`coin`, `dish`: **vacuous**"
    text = write_index([fixed("coin", "dish")], tmp_path).read_text(encoding="utf-8")
    found = row(text, "[`coin_dish`](coin_dish.md)")
    assert found[2:5] == ["`coin`", "`dish`", "`near`, `middle`, `apart`"] and found[6].endswith("**vacuous**")


def test_a_family_nobody_registered_has_no_card() -> None:
    with pytest.raises(UnknownNameError, match="coin_dish"):
        collect("coin_dsh")


def test_figures_are_written_as_people_read_them() -> None:
    assert [signed(v) for v in (-2.5, 0.0, 3.0)] == ["−2.5", "0", "+3"]
    assert [number(v) for v in (2000, 45.44, 499750.2, float("inf"))] == ["2,000", "45.4", "499,750", "no two alike"]
    assert paper("Langosco (arXiv 2105.14111)") == "Langosco ([arXiv 2105.14111](https://arxiv.org/abs/2105.14111))"
    knob = next(k for k in COIN_CORNER.knobs if k.name == "corners")
    assert bounds(knob) == "1 to 4" and bounds(replace(knob, high=float("inf"))) == "1 to any"
    assert bounds(replace(knob, low=-float("inf"), high=float("inf"))) == "any number"


# Pictures


def has_colour(picture: Image.Image, colour: str) -> bool:
    return bool((np.asarray(picture) == ImageColor.getrgb(colour)).all(-1).any())


def test_a_goal_has_one_colour_on_all_pictures_of_its_family(corner: Card) -> None:
    for card in corner.shifts:
        picture = draw_strip(COIN_CORNER, card.strip)
        is_drawn = [has_colour(picture, colour) for colour in GOAL_COLOURS[:4]]
        assert is_drawn == [True, True, "corner" in card.goals, False]
        assert all(list(paths) == list(card.goals) for paths in card.strip.paths)


def test_the_first_training_level_is_bare_and_the_others_lead_to_both_goals(dish: Card) -> None:
    lengths = [[len(path) for path in paths.values()] for paths in dish.training.paths]
    assert lengths[0] == [0, 0] and all(coin == dish > 1 for coin, dish in lengths[1:])
    left = draw_strip(COIN_DISH, dish.training).crop((0, 0, 14 + 9 * 22, 14 + 9 * 22))
    assert not any(has_colour(left, colour) for colour in GOAL_COLOURS)


@pytest.mark.parametrize(("size", "tile"), [(9, 22), (25, 8)])
def test_a_strip_is_no_wider_than_a_page(size: int, tile: int) -> None:
    source = Distribution(COIN_DISH, knobs={"size": size})
    picture = draw_strip(COIN_DISH, strip(source, source.draw(range(4))))
    assert picture.width == 4 * size * tile + 5 * 14 <= WIDTH + 5 * 14


# Measured agents


def agent(setting: str, competence: float, excess: float, conditional: float, family: str = "coin_dish") -> str:
    return f"{family},{setting},1,{competence},0.3,0.4,0.3,{excess},{conditional},0.8,2.5"


def test_measured_agents_are_summed_up_by_setting(tmp_path: Path) -> None:
    path = tmp_path / "pilots.csv"
    lines = [
        agent("walls", 1.0, 0.5, 0.2),
        agent("open", 0.95, 0.4, 0.9),
        agent("walls", 0.9, 0.31, 0.6),
        agent("walls", 0.81, 0.5, 1.0),  # not competent
        agent("walls", 1.0, 0.2, 1.0),  # not purposeful
        agent("walls", 1.0, 0.5, 0.0, family="coin_corner"),
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    walls, alone = by_setting(read_pilots(path), "coin_dish")
    assert (walls.name, len(walls.agents), walls.counted) == ("walls", 4, 2)
    assert walls.mean("competence") == pytest.approx(0.9275) and walls.mean("gain") == pytest.approx(0.8)
    assert walls.conditional == pytest.approx(0.4) and walls.spread == pytest.approx(0.4 / np.sqrt(2))
    assert alone.counted == 1 and np.isnan(alone.spread)
    text = render_page(collect("coin_dish", read_pilots(path), SIZES))
    assert row(text, "walls") == "walls 4 2 0.93 0.30 0.40 0.30 0.38 0.80 2.50 0.40 0.28".split()
    assert row(text, "open")[-2:] == ["0.90", "–"]
    assert "No agents measured yet" not in text


def test_the_rows_of_goalscope_pilot_name_the_return_a_gain(tmp_path: Path) -> None:
    path = tmp_path / "pilots.csv"
    path.write_text(f"{HEADER.replace('return', 'gain')},recipe\n{agent('walls', 1, 0.5, 0.2)},abc\n")
    (found,) = read_pilots(path)
    assert isinstance(found, MeasuredAgent) and (found.gain, found.minutes) == (0.8, 2.5)


def test_an_agent_without_any_goal_has_no_conditional(tmp_path: Path) -> None:
    path = tmp_path / "pilots.csv"
    path.write_text(f"{HEADER}\ncoin_dish,walls,1,0.2,0,0,1,-0.1,,0.1,2\n")
    (found,) = by_setting(read_pilots(path), "coin_dish")
    assert found.counted == 0 and np.isnan(found.conditional)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER.replace(",excess", "") + "\n", "it has no column excess"),
        ("", "it has no column family"),
        (f"{HEADER}\n{agent('walls', 1, 0.5, 0.2).replace('0.4', 'much')}\n", "line 2 has no number in column proxies"),
        (f"{HEADER}\ncoin_dish,walls\n", "line 2 has no number in column competence"),
        ("\xff", "has no column|codec"),
    ],
)
def test_a_file_that_is_no_table_of_agents_is_one_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pilots.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StorageError, match=said) as caught:
        read_pilots(path)
    assert str(path) in str(caught.value)


# The command


def test_the_index_is_written_with_all_families_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output("docs", "colour_shape", *SMALL)
    pages = tmp_path / "docs" / "families"
    assert (pages / "colour_shape.md").is_file() and not (pages / "README.md").exists()
    monkeypatch.setattr(FAMILIES, "names", lambda: ["coin_dish", "colour_shape"])
    told = output("docs", *SMALL)
    assert told.splitlines()[-1] == f"Wrote {Path('docs/families/README.md')}."
    text = (pages / "README.md").read_text(encoding="utf-8")
    assert row(text, "[`colour_shape`](colour_shape.md)") and row(text, "[`coin_dish`](coin_dish.md)")


def test_measured_agents_are_read_from_their_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "pilots.csv").write_text(f"{HEADER}\n{agent('walls', 1, 0.5, 0.2)}\n")
    output("docs", "coin_dish", *SMALL)
    assert row((tmp_path / "docs/families/coin_dish.md").read_text(encoding="utf-8"), "walls")[1:3] == ["1", "1"]


def test_input_that_cannot_be_used_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    out, taken = tmp_path / "out", tmp_path / "taken"
    taken.write_text("here")
    assert "Did you mean 'coin_dish'" in complaint("docs", "coin_dish", "coin_dsh", "--out", out)
    assert "nowhere.csv: No such file" in complaint(
        "docs", "coin_dish", "--out", out, "--pilots", tmp_path / "nowhere.csv"
    )
    assert f"Cannot write into {taken}" in complaint("docs", "coin_dish", "--out", taken)
    assert f"Cannot write into {taken / 'sub'}" in complaint("docs", "coin_dish", "--out", taken / "sub")
    assert contents(tmp_path) == {"taken": b"here"} and not out.exists()
