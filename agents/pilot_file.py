"""Pilots on disk: settings to try as JSON, and a row an agent as CSV, so that a pilot can stop anywhere and go on."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from goalscope.agents.measure import Measures
from goalscope.agents.pilot import Piloted, setting_key
from goalscope.agents.recipe import Recipe, recipe_from
from goalscope.errors import StorageError
from goalscope.files import write_whole


def read_settings(path: Path) -> list[Recipe]:
    """The recipes of a JSON file ``{"name": {"family": …, "query": …, "knobs": {…}, …}, …}``."""
    try:
        found = json.loads(path.read_text())
        return [_recipe(name, data) for name, data in found.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise StorageError(
            f"Cannot read recipes from {path}: {error}. Expected JSON such as "
            f'{{"name": {{"family": "coin_dish", "query": "apart", "knobs": {{"pairs": 2}}, "budget": 400000}}}}.'
        ) from None


def _recipe(name: str, data: Mapping[str, Any]) -> Recipe:
    try:
        return recipe_from({"name": name, **data})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name!r}: {error}") from None


def add_row(path: Path, agent: Piloted) -> None:
    """Add an agent's row to a file, which is written whole or not at all."""
    rows: list[dict[str, Any]] = [*_rows(path), _text(agent.row())]

    def write(half: Path) -> None:
        with half.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    write_whole(path, write)


def _text(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in row.items()}


def read_rows(path: Path, recipes: Sequence[Recipe]) -> list[Piloted]:
    """The agents of a rows file that were trained by these recipes; none if there is no such file."""
    by_key = {setting_key(recipe): recipe for recipe in recipes}
    try:
        return [_agent(by_key[row["recipe"]], row) for row in _rows(path) if row["recipe"] in by_key]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"Cannot read the agents of {path}: {error!r}. Move the file away to begin anew.") from None


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _agent(recipe: Recipe, row: Mapping[str, str]) -> Piloted:
    measures = Measures(**{f.name: float(row[f.name]) for f in fields(Measures)})
    return Piloted(recipe, int(row["seed"]), measures, float(row["minutes"]))
