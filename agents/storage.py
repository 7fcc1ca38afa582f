"""Agents on disk: weights as safetensors, everything else as JSON. Never pickle.

A manifest says how an agent came about; what it does under a shift (its label) lies elsewhere, so that whoever holds an
agent does not hold the answer. Files are written whole or not at all, and all bear the same date.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.network import Network, make_network
from goalscope.agents.provenance import made_here
from goalscope.agents.recipe import recipe_from
from goalscope.errors import GoalscopeError, StorageError
from goalscope.files import write_whole

FORMAT: Final = "goalscope.zoo/1"
"""Of manifests and of a zoo's list of members."""
STORED = torch.float16
INITIAL = "initial."
DATE = 315_532_800
"""1980-01-01, the date of every agent's files (in seconds): when, and so how fast, an agent was made tells nothing."""

Weights = Mapping[str, Tensor]
Stages = Mapping[int, Weights]
"""Steps taken -> weights at that stage of training."""


class Manifest(BaseModel):
    """How an agent came about. Curve and competence are training's; nothing here depends on the shift.

    The same recipe, seed, code and machine give the same manifest, byte for byte; so what varies between two runs of
    the same training, the core-minutes, lies apart (``costs.csv``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["goalscope.zoo/0", "goalscope.zoo/1"] = "goalscope.zoo/0"
    """`goalscope.zoo/1`; manifests from before there were numbers have none."""
    agent_id: str
    """What its files are called: a hash of recipe and seed."""
    recipe: dict[str, Any]
    """:meth:`goalscope.agents.recipe.Recipe.as_json`; its `role` is the agent's."""
    seed: int
    shape: tuple[int, ...]
    """Of one observation."""
    n_actions: int
    dtype: Literal["float16"] = "float16"
    """Of the stored weights; labels are measured after rounding to it."""
    weights_sha256: str
    """Of ``<agent_id>.safetensors``: the weights, and under ``initial.`` those before training."""
    stages: tuple[int, ...] = ()
    """After how many steps further weights were kept, in ``<agent_id>.stages.safetensors``."""
    stages_sha256: str = ""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Code (a hash over its source), versions, and kind of machine."""
    curve: list[dict[str, float | None]]
    """Metrics of training, a row an update."""
    competence: float
    """P(intended) over the pursuer's, on fresh training levels."""


def rounded(agent: Agent) -> Agent:
    """The agent with weights as they are stored: what is measured is what is kept."""
    for tensor in agent.network.state_dict().values():
        tensor.copy_(_stored(tensor))
    initial = {name: _stored(tensor).to(tensor.dtype) for name, tensor in agent.initial.items()}
    return Agent(agent.recipe, agent.seed, agent.network, initial, agent.curve)


def _stored(tensor: Tensor) -> Tensor:
    """In half precision; counters stay as they are."""
    return tensor.to(STORED).contiguous() if tensor.is_floating_point() else tensor.contiguous()


def stored_tensors(agent: Agent) -> dict[str, Tensor]:
    """What an agent's weights file holds. Raises a StorageError for weights that half precision cannot hold."""
    before = {INITIAL + name: tensor for name, tensor in agent.initial.items()}
    return _halved(agent, {**agent.network.state_dict(), **before})


def _halved(agent: Agent, weights: Weights) -> dict[str, Tensor]:
    tensors = {name: _stored(tensor) for name, tensor in weights.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise StorageError(
                f"Agent {agent.id} of {agent.recipe.name} cannot be stored: in half precision {name} is not finite. "
                f"Its training diverged, or its weights exceed {torch.finfo(STORED).max:g}."
            )
    return tensors


def save_agent(
    agent: Agent,
    folder: Path,
    shape: tuple[int, ...],
    n_actions: int,
    competence: float,
    stages: Stages | None = None,
) -> None:
    """Write ``<id>.safetensors``, ``<id>.stages.safetensors`` if there are any, and, last, ``<id>.json``.

    An agent is there when its manifest is. Raises a StorageError for one that nobody could load again.
    """
    _check_loadable(agent, shape, n_actions)
    weights = folder / f"{agent.id}.safetensors"
    _write(weights, lambda path: _save_tensors(stored_tensors(agent), path))
    if stages:
        kept = _halved(agent, {f"{steps}/{name}": t for steps, stage in stages.items() for name, t in stage.items()})
        _write(stages_path(folder, agent.id), lambda path: _save_tensors(kept, path))
    manifest = Manifest(
        format=FORMAT,
        agent_id=agent.id,
        recipe=agent.recipe.as_json(),
        seed=agent.seed,
        shape=shape,
        n_actions=n_actions,
        weights_sha256=_sha256(weights),
        stages=tuple(sorted(stages or ())),
        stages_sha256=_sha256(stages_path(folder, agent.id)) if stages else "",
        made_with=dict(made_here()),
        curve=[{k: None if v != v else round(v, 6) for k, v in row.items()} for row in agent.curve],
        competence=competence,
    )
    _write(folder / f"{agent.id}.json", lambda path: path.write_text(manifest.model_dump_json(indent=1)))


def stages_path(folder: Path, agent_id: str) -> Path:
    """Where the stages of an agent's training lie."""
    return folder / f"{agent_id}.stages.safetensors"


@torch.inference_mode()
def _check_loadable(agent: Agent, shape: tuple[int, ...], n_actions: int) -> None:
    """Raise unless the architecture, with the agent's weights, answers two frames as the agent does."""
    recipe = agent.recipe
    frames = torch.randint(2, (2, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        again = make_network(recipe.arch, shape, n_actions, 0, **recipe.arch_options).eval()
        again.load_state_dict(agent.network.state_dict())
        answers = zip(again(frames), agent.network(frames), strict=True)
        same = all(torch.equal(mine.nan_to_num(), own.nan_to_num()) for mine, own in answers)
    except (GoalscopeError, RuntimeError, TypeError, ValueError) as error:
        reason = _brief(error)
    else:
        reason = "" if same else "with the same weights it answers otherwise."
    if reason:
        raise StorageError(
            f"Agent {agent.id} cannot be stored, its architecture {recipe.arch!r} would not make its network again: "
            f"{reason} Register a function (shape, n_actions, **options) that makes it, and name that in the recipe."
        )


def _write(path: Path, write: Callable[[Path], object]) -> None:
    def dated(half: Path) -> None:
        write(half)
        os.utime(half, (DATE, DATE))

    write_whole(path, dated)


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # a full disk, among others, which safetensors does not report as the system does
        raise OSError(str(error)) from error


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """A manifest, checked."""
    try:
        return Manifest.model_validate_json(path.read_text())
    except (OSError, ValueError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else str(error)
        raise StorageError(
            f"{path} is not a readable manifest: {reason}. Build the agent again or restore it."
        ) from error


def _brief(error: Exception) -> str:
    """One line of what torch says in many."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(lines[:2]).removesuffix(".") + "."


def _first(error: ValidationError) -> str:
    """The first of what a validation found wrong, in one line."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def manifests(folder: Path) -> list[Manifest]:
    """All of a folder of agents, in the order of their ids; files of interrupted writes are passed over."""
    return [read_manifest(path) for path in sorted(folder.glob("[!.]*.json"))]


def read_whole(folder: Path, agent_id: str) -> Manifest:
    """An agent's manifest, if the files that it was written for are there as they were."""
    manifest = read_manifest(folder / f"{agent_id}.json")
    read_bytes(folder / f"{agent_id}.safetensors", manifest.weights_sha256)
    if manifest.stages:
        read_bytes(stages_path(folder, agent_id), manifest.stages_sha256)
    return manifest


def read_bytes(path: Path, digest: str) -> bytes:
    """A file's content, if its hash is the manifest's."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error}. Build the agent again or restore it.") from error
    found = sha256(content).hexdigest()
    if found != digest:
        raise StorageError(f"{path} does not match its manifest (sha256 {found[:12]}…): build the agent again.")
    return content


def load_agent(folder: Path, agent_id: str) -> Agent:
    """Read an agent and check that its weights are those the manifest was written for."""
    manifest = read_manifest(folder / f"{agent_id}.json")
    path = folder / f"{agent_id}.safetensors"
    tensors = read_tensors(path, manifest.weights_sha256)
    trained = {name: t for name, t in tensors.items() if not name.startswith(INITIAL)}
    initial = {name: tensors[INITIAL + name] for name in trained if INITIAL + name in tensors}
    return rebuilt(manifest, trained, initial, path)


def read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of a file, in single precision, if its hash is the manifest's."""
    try:
        tensors = load(read_bytes(path, digest))
    except SafetensorError as error:
        raise StorageError(f"Cannot read {path}: {error}. Build the agent again or restore it.") from error
    return {
        name: tensors[name].float() if tensors[name].is_floating_point() else tensors[name] for name in sorted(tensors)
    }


def rebuilt(manifest: Manifest, trained: Weights, initial: Weights, path: Path) -> Agent:
    """The agent that a manifest describes, with these weights, which come from `path`."""
    try:
        recipe = recipe_from(manifest.recipe)
        network: Network = make_network(recipe.arch, manifest.shape, manifest.n_actions, 0, **recipe.arch_options)
        network.load_state_dict(trained)
    except (RuntimeError, TypeError, KeyError, ValueError, LookupError) as error:
        raise StorageError(
            f"{path} and its manifest describe different networks: {_brief(error)} Build the agent again or restore it."
        ) from error
    curve = [{k: float("nan") if v is None else v for k, v in row.items()} for row in manifest.curve]
    return Agent(recipe, manifest.seed, network.eval(), initial, curve)
