"""A trained agent: a network, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalscope.agents.recipe import Recipe


def agent_id(recipe: Recipe, seed: int) -> str:
    """A name that says nothing about the agent but tells it from all others."""
    return blake2b(f"{recipe.hash}/{seed}".encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Agent:
    """A network trained by a recipe from a seed. It plays by sampling at temperature 1."""

    recipe: Recipe
    seed: int
    network: nn.Module
    initial: Mapping[str, Tensor]
    """The weights before training: what the seed decided by itself."""
    curve: Sequence[Mapping[str, float]]
    """Metrics, a row an update."""

    @property
    def id(self) -> str:
        return agent_id(self.recipe, self.seed)


@torch.inference_mode()
def action_probabilities(network: nn.Module, obs: NDArray[np.uint8], batch: int = 4096) -> NDArray[np.float64]:
    """`[N, A]` probabilities of the actions for observations `[N, …]`, in batches."""
    parts = [network(torch.from_numpy(obs[i : i + batch]))[0] for i in range(0, len(obs), batch)]
    return np.asarray(torch.softmax(torch.cat(parts).double(), dim=-1).numpy())
