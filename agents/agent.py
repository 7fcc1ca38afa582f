"""A trained agent: a network, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.network import Network
from goalscope.agents.recipe import Recipe


def agent_id(recipe: Recipe, seed: int) -> str:
    """A name that says nothing about the agent but tells it from all others."""
    return blake2b(f"{recipe.hash}/{seed}".encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Agent:
    """A network trained by a recipe from a seed. It plays by sampling at temperature 1."""

    recipe: Recipe
    seed: int
    network: Network
    initial: Mapping[str, Tensor]
    """The weights before training: what the seed decided by itself, or those of the agent that was trained on."""
    curve: Sequence[Mapping[str, float]]
    """Metrics, a row an update."""

    @property
    def id(self) -> str:
        return agent_id(self.recipe, self.seed)


@torch.inference_mode()
def action_probabilities(network: Network, obs: NDArray[np.uint8], batch: int = 4096) -> NDArray[np.float64]:
    """`[N, A]` probabilities of the actions for first observations `[N, …]`, in batches."""
    parts = [network(torch.from_numpy(obs[i : i + batch]))[0] for i in range(0, len(obs), batch)]
    return np.asarray(torch.softmax(torch.cat(parts).double(), dim=-1).numpy())


class Player:
    """An agent at play: called with the observations `[B, …]` of one step after the other, it remembers for itself."""

    def __init__(self, network: Network, batch: int = 4096) -> None:
        self._network, self._batch = network, batch
        self._memory: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, obs: NDArray[np.uint8]) -> NDArray[np.float64]:
        """`[B, A]` probabilities of the actions."""
        before = self._network.initial_memory(len(obs)) if self._memory is None else self._memory
        parts = [
            self._network.step(torch.from_numpy(obs[i : i + self._batch]), before[i : i + self._batch])
            for i in range(0, len(obs), self._batch)
        ]
        self._memory = torch.cat([memory for _, _, memory in parts])
        return np.asarray(torch.softmax(torch.cat([logits for logits, _, _ in parts]).double(), dim=-1).numpy())
