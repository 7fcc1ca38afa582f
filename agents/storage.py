"""Agents on disk: weights as safetensors, everything else as JSON. Never pickle.

A manifest says how an agent came about; what it does under a shift (its label) lies elsewhere, so that whoever holds an
agent does not hold the answer. Files are written whole or not at all.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.network import make_network
from goalscope.agents.recipe import recipe_from
from goalscope.errors import StorageError
from goalscope.files import write_whole

STORED = torch.float16
INITIAL = "initial."


class Manifest(BaseModel):
    """How an agent came about. Curves and competence are training's; nothing here depends on the shift."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent_id: str
    recipe: dict[str, Any]
    seed: int
    shape: tuple[int, ...]
    n_actions: int
    weights_sha256: str
    curve: list[dict[str, float | None]]
    competence: float


def rounded(agent: Agent) -> Agent:
    """The agent with weights as they are stored: what is measured is what is kept."""
    for tensor in agent.network.state_dict().values():
        tensor.copy_(tensor.to(STORED).to(tensor.dtype))
    initial = {name: tensor.to(STORED).to(tensor.dtype) for name, tensor in agent.initial.items()}
    return Agent(agent.recipe, agent.seed, agent.network, initial, agent.curve)


def save_agent(agent: Agent, folder: Path, shape: tuple[int, ...], n_actions: int, competence: float) -> None:
    """Write ``<id>.safetensors`` and, last, ``<id>.json``: an agent is there when its manifest is."""
    tensors = {name: t.to(STORED).contiguous() for name, t in agent.network.state_dict().items()}
    tensors |= {INITIAL + name: t.to(STORED).contiguous() for name, t in agent.initial.items()}
    weights = folder / f"{agent.id}.safetensors"
    write_whole(weights, lambda path: _save_tensors(tensors, path))
    manifest = Manifest(
        agent_id=agent.id,
        recipe=agent.recipe.as_json(),
        seed=agent.seed,
        shape=shape,
        n_actions=n_actions,
        weights_sha256=sha256(weights.read_bytes()).hexdigest(),
        curve=[{k: None if v != v else round(v, 6) for k, v in row.items()} for row in agent.curve],
        competence=competence,
    )
    write_whole(folder / f"{agent.id}.json", lambda path: path.write_text(manifest.model_dump_json(indent=1)))


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # a full disk, among others, which safetensors does not report as the system does
        raise OSError(str(error)) from error


def read_manifest(path: Path) -> Manifest:
    """A manifest, checked."""
    try:
        return Manifest.model_validate_json(path.read_text())
    except (OSError, ValidationError, ValueError) as error:
        raise StorageError(
            f"{path} is not a readable manifest: {error}. Build the agent again or restore it."
        ) from error


def load_agent(folder: Path, agent_id: str) -> Agent:
    """Read an agent and check that its weights are those the manifest was written for."""
    manifest = read_manifest(folder / f"{agent_id}.json")
    path = folder / f"{agent_id}.safetensors"
    try:
        found = sha256(path.read_bytes()).hexdigest()
        if found != manifest.weights_sha256:
            raise StorageError(f"{path} does not match its manifest (sha256 {found[:12]}…): build the agent again.")
        tensors = {name: t.float() for name, t in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise StorageError(f"Cannot read {path}: {error}. Build the agent again or restore it.") from error
    try:
        recipe = recipe_from(manifest.recipe)
        network = make_network(recipe.arch, manifest.shape, manifest.n_actions, 0, **recipe.arch_options)
        network.load_state_dict({name: t for name, t in tensors.items() if not name.startswith(INITIAL)})
    except (RuntimeError, TypeError, KeyError, ValueError, LookupError) as error:
        raise StorageError(
            f"{path} and its manifest describe different networks: {error}. Build the agent again or restore it."
        ) from error
    initial: dict[str, Tensor] = {n.removeprefix(INITIAL): t for n, t in tensors.items() if n.startswith(INITIAL)}
    curve = [{k: float("nan") if v is None else v for k, v in row.items()} for row in manifest.curve]
    return Agent(recipe, manifest.seed, network.eval(), initial, curve)
