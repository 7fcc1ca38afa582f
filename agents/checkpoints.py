"""Stages of an agent's training, which a recipe with `checkpoints` keeps: agents as they were on the way."""

from __future__ import annotations

from pathlib import Path

from goalscope.agents.agent import Agent
from goalscope.agents.storage import INITIAL, read_manifest, read_tensors, rebuilt, stages_path
from goalscope.errors import StorageError


def load_stage(folder: Path, agent_id: str, steps: int) -> Agent:
    """An agent as it was after so many steps of training, its curve up to there; as rounded as a stored agent is."""
    manifest = read_manifest(folder / f"{agent_id}.json")
    if steps not in manifest.stages:
        known = ", ".join(map(str, manifest.stages)) or "none; set `checkpoints` in the recipe and build it again"
        raise StorageError(f"Agent {agent_id} in {folder} has no stage after {steps} steps. Known: {known}.")
    path = stages_path(folder, agent_id)
    kept, before = read_tensors(path, manifest.stages_sha256), f"{steps}/"
    trained = {name.removeprefix(before): t for name, t in kept.items() if name.startswith(before)}
    whole = read_tensors(folder / f"{agent_id}.safetensors", manifest.weights_sha256)
    initial = {name.removeprefix(INITIAL): t for name, t in whole.items() if name.startswith(INITIAL)}
    begun = manifest.model_copy(update={"curve": [row for row in manifest.curve if (row["steps"] or 0) <= steps]})
    return rebuilt(begun, trained, initial, path)
