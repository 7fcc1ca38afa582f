"""Pages in Markdown, as GitHub shows them: one a family, and an index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from goalscope.envs.family import Family, Goal, Knob, Value
from goalscope.envs.gallery.card import Card
from goalscope.envs.gallery.measured import COMPETENT, PURPOSEFUL
from goalscope.envs.gallery.pictures import draw_strip, draw_thumbnail, save
from goalscope.envs.world import Mover, Thing
from goalscope.files import write_whole
from goalscope.gym_ids import gym_id

TEMPLATES = Path(__file__).parent
NONE = "–"
BESIDE = 3
"""Thumbnails in a row of the index."""


def write_page(card: Card, out: Path) -> Path:
    """Write a family's pictures into `out/images`, then its page; return the page's path."""
    images = out / "images" / card.id
    for name, strip in [("train", card.training), *((c.shift.name, c.strip) for c in card.shifts)]:
        save(draw_strip(card.family, strip), images / f"{name}.png")
    page = out / f"{card.id}.md"
    _write(page, render_page(card))
    return page


def write_index(cards: Sequence[Card], out: Path) -> Path:
    """Write the thumbnails of these families, then README.md; return its path."""
    for card in cards:
        save(draw_thumbnail(card), out / "images" / f"{card.id}.png")
    page = out / "README.md"
    _write(page, _environment().get_template("index.md.j2").render(cards=cards, rows=_in_rows(cards), beside=BESIDE))
    return page


def render_page(card: Card) -> str:
    """A family's page as Markdown."""
    family = card.family
    train = family.settings()
    return (
        _environment()
        .get_template("family.md.j2")
        .render(
            card=card,
            family=family,
            intended=family.intended(train).name,
            asked_in_training=[goal.name for goal in family.goals_under("train")],
            asked_under={goal.name: asked_under(family, goal) for goal in family.goals},
            gym_id=gym_id(card.id),
            queries="choice points" if family.choice else "conflict levels",
            competent=COMPETENT,
            purposeful=PURPOSEFUL,
        )
    )


def _environment() -> Environment:
    """Templates of Markdown: nothing is escaped but what would end a cell of a table."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters.update(
        bounds=bounds,
        cell=cell,
        code=code,
        knobs=knobs,
        look=look,
        number=number,
        paper=paper,
        plain=plain,
        share=share,
        signed=signed,
        vacuous=vacuous,
    )
    return env


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8", newline="\n"))


def _in_rows(cards: Sequence[Card]) -> list[Sequence[Card]]:
    return [cards[start : start + BESIDE] for start in range(0, len(cards), BESIDE)]


def asked_under(family: Family, goal: Goal) -> str:
    """The shifts under which a goal's pursuit is asked about."""
    names = [shift.name for shift in family.shifts if shift.name != "train"]
    asked = [name for name in names if goal in family.goals_under(name)]
    return "all" if asked == names else ", ".join(map(code, asked)) or "none"


def vacuous(card: Card) -> str:
    """Which goals' places never vary in training, and whether that leaves anything to see."""
    if not card.constant:
        return NONE
    names = ", ".join(map(code, card.constant))
    return f"{names}: **vacuous**" if len(card.constant) == len(card.support.goals) else names


def cell(text: object) -> str:
    """What a cell of a table may hold: one line, its bars escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """As a name in a program."""
    return f"`{text}`"


def paper(text: str) -> str:
    """The same with a link from every arXiv number."""
    return re.sub(r"arXiv[: ](\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def share(value: float) -> str:
    """Two decimals."""
    return f"{value:.2f}" if isfinite(value) else NONE


def number(value: float) -> str:
    """At most one decimal, thousands apart; what never repeats has no number."""
    if not isfinite(value):
        return "no two alike"
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}"


def signed(value: float) -> str:
    """With its sign; zero has none."""
    return f"{value:+g}".replace("-", "−") if value else "0"


def look(thing: Thing | Mover) -> str:
    """What it shows in a picture; shape and colour may each be left to what else is on its cell."""
    words = [word for word in (thing.colour, thing.shape) if word]
    return " ".join(words) or "nothing: invisible"


def bounds(knob: Knob) -> str:
    """What a knob may be, briefly."""
    if knob.choices:
        return ", ".join(map(code, knob.choices))
    if knob.kind is bool:
        return "`true`, `false`"
    if not isfinite(knob.low) and not isfinite(knob.high):
        return "any number"
    low, high = (f"{bound:g}" if isfinite(bound) else "any" for bound in (knob.low, knob.high))
    return f"{low} to {high}"


def knobs(settings: Mapping[str, Value]) -> str:
    """A setting, in the words of the command line."""
    return ", ".join(code(f"{name}={plain(value)}") for name, value in settings.items()) or "none"


def plain(value: Value) -> str:
    """A knob's value, in the words of the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
