"""Who belongs to a zoo: recipes and seeds, as they are asked for and as a zoo's list of members keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goalscope.agents.agent import agent_id
from goalscope.agents.pilot import PILOT_SEEDS
from goalscope.agents.recipe import Recipe, recipe_from
from goalscope.agents.storage import FORMAT, Manifest, manifests
from goalscope.errors import StorageError
from goalscope.files import write_whole

SEEDS_BY_ROLE = {"admitted": 16, "anchor": 2, "control": 2, "planted": 2}


@dataclass(frozen=True)
class Member:
    """One agent of a zoo, trained or not."""

    recipe: Recipe
    seed: int

    @property
    def id(self) -> str:
        return agent_id(self.recipe, self.seed)


def members(recipes: Iterable[Recipe], seeds: int | None = None) -> list[Member]:
    """As many seeds of each recipe as its role asks for, or `seeds` of each; pilots' seeds begin beyond."""
    if seeds is not None and not 1 <= seeds <= PILOT_SEEDS:
        raise StorageError(
            f"A zoo can hold 1 to {PILOT_SEEDS} agents of a recipe, not {seeds}: pilots use seeds beyond."
        )
    return [Member(recipe, seed) for recipe in recipes for seed in range(seeds or _seeds(recipe))]


def _seeds(recipe: Recipe) -> int:
    if recipe.role not in SEEDS_BY_ROLE:
        raise StorageError(f"{recipe.name}: a zoo knows no role {recipe.role!r}. Known: {', '.join(SEEDS_BY_ROLE)}.")
    return SEEDS_BY_ROLE[recipe.role]


def read_members(zoo: Path) -> list[Member]:
    """The members that a zoo lists in its ``zoo.json``; of a zoo without one, those whose manifests are there."""
    path = zoo / "zoo.json"
    if not path.exists():
        return [Member(recipe_of(zoo, manifest), manifest.seed) for manifest in manifests(zoo / "agents")]
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']}, this version reads {FORMAT}")
        return [Member(recipe_from(entry["recipe"]), int(seed)) for entry in data["members"] for seed in entry["seeds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is no readable list of members: {error!r}. Delete it and build the zoo again."
        ) from error


def recipe_of(zoo: Path, manifest: Manifest) -> Recipe:
    """The recipe of one of a zoo's agents. Raises a StorageError that names the manifest that holds none."""
    try:
        return recipe_from(manifest.recipe)
    except (ValueError, TypeError) as error:
        path = zoo / "agents" / f"{manifest.agent_id}.json"
        raise StorageError(f"{path} has no readable recipe: {error}. Build the agent again.") from error


def write_members(zoo: Path, wanted: Sequence[Member]) -> None:
    """List the members of a zoo, a recipe after the other, with everything that is needed to train them again."""
    by_recipe: dict[str, list[Member]] = {}
    for member in sorted(wanted, key=lambda m: (m.recipe.name, m.seed)):
        by_recipe.setdefault(member.recipe.name, []).append(member)
    entries = [
        {"recipe": those[0].recipe.as_json(), "seeds": [member.seed for member in those]}
        for those in by_recipe.values()
    ]
    text = json.dumps({"format": FORMAT, "members": entries}, indent=1, allow_nan=False, default=dict)
    write_whole(zoo / "zoo.json", lambda path: path.write_text(text))


def joined(lists: Iterable[Sequence[Member]]) -> list[Member]:
    """The members of several lists, each once; what the first says of a recipe counts.

    Raises a StorageError where one name stands for two recipes, or two recipes for the same agents: an agent's id says
    how it was trained, and a zoo holds one label for it.
    """
    found: dict[str, Member] = {}
    recipes: dict[str, Recipe] = {}
    for member in (member for those in lists for member in those):
        other = recipes.setdefault(member.recipe.name, member.recipe)
        same = found.setdefault(member.id, Member(other, member.seed))
        if _key(other) != _key(member.recipe):
            raise StorageError(
                f"Two recipes are called {member.recipe.name!r} and differ in {_differing(other, member.recipe)}: "
                f"rename one, or build it in another zoo."
            )
        if same.recipe.name != member.recipe.name:
            raise StorageError(
                f"The recipes {same.recipe.name!r} and {member.recipe.name!r} train the same agents: keep one of them "
                f"in a zoo, and ask its agents under another shift in another zoo."
            )
    return list(found.values())


def _key(recipe: Recipe) -> tuple[str, str]:
    """What must agree for agents to be of one recipe: how they are trained and under which shift they are asked."""
    return recipe.hash, recipe.query


def _differing(one: Recipe, other: Recipe) -> str:
    a, b = one.as_json(), other.as_json()
    return ", ".join(sorted(name for name in {*a, *b} if a.get(name) != b.get(name)))
