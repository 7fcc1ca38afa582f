"""What is in a zoo, for people and programs: a row a recipe, and everything about one agent but what it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from goalscope.agents.labels import read_labels, read_stages
from goalscope.agents.measure import COMPETENT
from goalscope.agents.members import read_members
from goalscope.agents.sites import site_shapes
from goalscope.agents.storage import Manifest, load_agent, manifests, read_manifest
from goalscope.agents.zoo import read_costs

Entry = dict[str, Any]


def recipe_entries(folder: Path) -> list[Entry]:
    """One entry a recipe, by what the manifests in a folder of agents say."""
    by_recipe: dict[str, list[Manifest]] = {}
    for manifest in manifests(folder):
        by_recipe.setdefault(str(manifest.recipe["name"]), []).append(manifest)
    return [_recipe_entry(folder, name, of_it) for name, of_it in sorted(by_recipe.items())]


def _recipe_entry(folder: Path, name: str, those: list[Manifest]) -> Entry:
    recipe = those[0].recipe
    return {
        "recipe": name,
        "role": recipe["role"],
        "family": recipe["family"],
        "shift": recipe["query"],
        "alpha": recipe["alpha"],
        "architecture": recipe["arch"],
        "agents": len(those),
        "competence": round(sum(manifest.competence for manifest in those) / len(those), 4),
        "bytes": sum(_bytes(folder, manifest.agent_id) for manifest in those),
    }


def _bytes(folder: Path, agent_id: str) -> int:
    """Of an agent's weights, those of its stages included."""
    return sum(path.stat().st_size for path in folder.glob(f"{agent_id}*.safetensors"))


def contents(zoo: Path) -> Entry:
    """Everything but what the agents do: how many there are, of which formats and recipes, labelled or not, how large.

    Keys are added over time, never renamed.
    """
    found = manifests(zoo / "agents")
    labelled, costs = read_labels(zoo).rows.keys(), read_costs(zoo)
    recipes = recipe_entries(zoo / "agents")
    for entry in recipes:
        those = [manifest for manifest in found if manifest.recipe["name"] == entry["recipe"]]
        entry["competent"] = sum(manifest.competence >= COMPETENT for manifest in those)
        entry["labelled"] = sum(manifest.agent_id in labelled for manifest in those)
        entry["core_minutes"] = _total(costs[m.agent_id] for m in those if m.agent_id in costs)
    return {
        "zoo": str(zoo),
        "formats": dict(Counter(manifest.format for manifest in found)),
        "members": len(read_members(zoo)),
        "agents": len(found),
        "labelled": sum(manifest.agent_id in labelled for manifest in found),
        "stages": len(read_stages(zoo)),
        "bytes": sum(entry["bytes"] for entry in recipes),
        "core_minutes": _total(costs.values()),
        "recipes": recipes,
    }


def _total(minutes: Iterable[float]) -> float | None:
    """Of what is known; None if nothing is."""
    known = list(minutes)
    return round(sum(known), 3) if known else None


def agent_entry(zoo: Path, agent_id: str) -> Entry:
    """One agent: its manifest, its sites with their shapes, and what it takes."""
    folder = zoo / "agents"
    manifest = read_manifest(folder / f"{agent_id}.json")
    network = load_agent(folder, agent_id).network
    return {
        "manifest": manifest.model_dump(mode="json"),
        "sites": {
            name: list(shape)
            for name, shape in site_shapes(network, torch.zeros(1, *manifest.shape, dtype=torch.uint8)).items()
        },
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "memory": network.memory,
        "bytes": _bytes(folder, agent_id),
        "labelled": agent_id in read_labels(zoo).rows,
        "core_minutes": read_costs(zoo).get(agent_id),
    }
