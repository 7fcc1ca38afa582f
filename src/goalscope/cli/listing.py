"""``goalscope list``: what is installed, from us and from other packages, and which agents a zoo holds."""

from __future__ import annotations

import json
import sys
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goalscope.cli.options import JsonOption
from goalscope.gym_ids import gym_id
from goalscope.registry import DETECTORS, FAMILIES, RECIPES, SUITES, Registry

if TYPE_CHECKING:
    from goalscope.detectors.base import Detector
    from goalscope.envs.family import Family, Goal, Knob, Shift
    from goalscope.suites.suite import Suite

list_app = typer.Typer(no_args_is_help=True, help="List what is installed.")

Entry = dict[str, Any]


@list_app.command("envs")
def envs(as_json: JsonOption = False) -> None:
    """Families of gridworlds, with their goals (the intended one first) and shifts."""
    entries = [_family_entry(name, family) for name, family in FAMILIES.load_all()]
    _print(entries, "families", as_json, ("id", "goals", "shifts", "about"))


@list_app.command("detectors")
def detectors(as_json: JsonOption = False) -> None:
    """Methods that forecast what an agent will do, with what they may look at."""
    entries = [_detector_entry(name, method) for name, method in DETECTORS.load_all()]
    _print(entries, "detectors", as_json, ("id", "track", "about", "distribution"))


@list_app.command("suites")
def suites(as_json: JsonOption = False) -> None:
    """Protocols that score detectors, with how much there is of everything."""
    entries = [_suite_entry(name, suite) for name, suite in SUITES.load_all()]
    columns = ("id", "zoo", "recipes", "detectors", "settings", "levels", "seeds", "distribution")
    _print(entries, "suites", as_json, columns)


@list_app.command("recipes")
def recipes(as_json: JsonOption = False) -> None:
    """Settings under which agents are trained."""
    entries = [{"id": name, **_origin(RECIPES, name)} for name, _ in RECIPES.load_all()]
    _print(entries, "recipes", as_json, ("id", "distribution"))


@list_app.command("agents")
def agents(
    zoo: Annotated[str, typer.Argument(metavar="ZOO", help="the bundled zoo, or one that `zoo build` made")] = "smoke",
    as_json: JsonOption = False,
) -> None:
    """The agents of a zoo, a row a recipe. What they do under a shift is not told here."""
    from goalscope.agents.inventory import recipe_entries
    from goalscope.agents.zoo import find_zoo

    entries = recipe_entries(find_zoo(zoo) / "agents")
    columns = ("recipe", "role", "family", "shift", "alpha", "architecture", "agents", "competence", "bytes")
    _print(entries, "agents", as_json, columns)


def _detector_entry(name: str, method: Detector) -> Entry:
    """Its track, and the first line of what it says about itself."""
    from goalscope.detectors.tracks import Track

    track = method.track.label if isinstance(method.track, Track) else str(method.track)
    return {"id": name, "track": track, "about": _first_line(method), **_origin(DETECTORS, name)}


def _first_line(method: Detector) -> str:
    """Of its module, since a module is one thing; else of its class or function."""
    own = method.__dict__.get("__doc__") or type(method).__dict__.get("__doc__")
    text = sys.modules[method.__module__].__doc__ or own or ""
    return text.strip().partition("\n")[0]


def _suite_entry(name: str, suite: Suite) -> Entry:
    return {
        "id": name,
        "zoo": suite.zoo,
        "recipes": len(suite.recipes),
        "anchors": len(suite.anchors),
        "detectors": len(suite.detectors),
        "controls": suite.controls,
        "settings": ", ".join(suite.settings),
        "levels": suite.levels,
        "folds": suite.folds,
        "seeds": suite.seeds,
        "sha256": suite.hash,
        **_origin(SUITES, name),
    }


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


def _print(entries: list[Entry], kind: str, as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        typer.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not entries:
        typer.echo(f"No {kind} are installed.")
    else:
        _print_table(entries, columns)


def _print_table(entries: list[Entry], columns: tuple[str, ...]) -> None:
    """What has many parts, a family, is stacked, so that 80 characters are enough."""
    from goalscope.cli.tables import console, table

    is_family = "goals" in entries[0]
    first, *others = ("from" if name == "distribution" else name for name in columns)
    grid = table(first, *others, leading=1 if is_family else 0)
    for entry in entries:
        grid.add_row(*(_family_row(entry) if is_family else (_cell(entry[name]) for name in columns)))
    console().print(grid)


def _cell(value: object) -> str:
    """Numbers as people write them."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _family_row(entry: Entry) -> tuple[str, str, str, str]:
    goals = [goal["name"] + (" (intended)" if goal["intended"] else "") for goal in entry["goals"]]
    shifts = [f"{shift['strength']:g} {shift['name']}" for shift in entry["shifts"]]
    origin = f"{entry['gym_id']}\nfrom {entry['distribution']}"
    about = f"{entry['sentence']}\n{entry['paper']}"
    return f"{entry['id']}\n{origin}", "\n".join(goals), "\n".join(shifts), about
