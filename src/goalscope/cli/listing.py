"""``goalscope list``: what is installed, from us and from other packages."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

import typer

from goalscope.cli.options import JsonOption
from goalscope.gym_ids import gym_id
from goalscope.registry import DETECTORS, FAMILIES, RECIPES, SUITES, Registry

if TYPE_CHECKING:
    from goalscope.envs.family import Family, Goal, Knob, Shift

list_app = typer.Typer(no_args_is_help=True, help="List what is installed.")

Entry = dict[str, Any]


@list_app.command("envs")
def envs(as_json: JsonOption = False) -> None:
    """Families of gridworlds, with their goals (the intended one first) and shifts."""
    _print([_family_entry(name, family) for name, family in FAMILIES.load_all()], "families", as_json)


@list_app.command("detectors")
def detectors(as_json: JsonOption = False) -> None:
    """Methods that forecast what an agent will do."""
    _print(_entries(DETECTORS), "detectors", as_json)


@list_app.command("suites")
def suites(as_json: JsonOption = False) -> None:
    """Protocols that score detectors."""
    _print(_entries(SUITES), "suites", as_json)


@list_app.command("recipes")
def recipes(as_json: JsonOption = False) -> None:
    """Settings under which agents are trained."""
    _print(_entries(RECIPES), "recipes", as_json)


def _entries(registry: Registry[Any]) -> list[Entry]:
    return [{"id": name, **_origin(registry, name)} for name, _ in registry.load_all()]


def _origin(registry: Registry[Any], name: str) -> Entry:
    source = registry.sources[name]
    return {"distribution": source.distribution, "source": source.target}


def _family_entry(name: str, family: Family) -> Entry:
    """What programs may want to know about a family; keys are added over time, never renamed."""
    return {
        "id": name,
        "gym_id": gym_id(name),
        "version": family.version,
        **_origin(FAMILIES, name),
        "goals": [{"name": g.name, "event": g.event, "intended": g.intended} for g in _intended_first(family)],
        "shifts": [_shift_entry(shift) for shift in family.shifts],
        "knobs": [_knob_entry(knob) for knob in family.knobs],
        "factors": list(family.factors),
        "sentence": family.sentence,
        "paper": family.paper,
    }


def _intended_first(family: Family) -> list[Goal]:
    return sorted(family.goals, key=lambda goal: not goal.intended)


def _shift_entry(shift: Shift) -> Entry:
    return {
        "name": shift.name,
        "strength": shift.strength,
        "knobs": dict(shift.knobs),
        "goals": list(shift.goals),
    }


def _knob_entry(knob: Knob) -> Entry:
    """A knob; bounds that are infinite are null, since JSON has no infinity."""
    low, high = (bound if isfinite(bound) else None for bound in (knob.low, knob.high))
    return {
        "name": knob.name,
        "type": knob.kind.__name__,
        "default": knob.default,
        "low": low,
        "high": high,
        "choices": list(knob.choices),
        "doc": knob.doc,
    }


def _print(entries: list[Entry], kind: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not entries:
        typer.echo(f"No {kind} are installed.")
    else:
        _print_table(entries)


def _print_table(entries: list[Entry]) -> None:
    """A table with two to four columns: what has many parts is stacked, so that 80 characters are enough."""
    from goalscope.cli.tables import console, table

    is_family = "goals" in entries[0]
    grid = table("id", *(("goals", "shifts", "about") if is_family else ("from",)), leading=1 if is_family else 0)
    for entry in entries:
        grid.add_row(*(_family_row(entry) if is_family else (entry["id"], entry["distribution"])))
    console().print(grid)


def _family_row(entry: Entry) -> tuple[str, str, str, str]:
    goals = [goal["name"] + (" (intended)" if goal["intended"] else "") for goal in entry["goals"]]
    shifts = [f"{shift['strength']:g} {shift['name']}" for shift in entry["shifts"]]
    origin = f"{entry['gym_id']}\nfrom {entry['distribution']}"
    about = f"{entry['sentence']}\n{entry['paper']}"
    return f"{entry['id']}\n{origin}", "\n".join(goals), "\n".join(shifts), about
