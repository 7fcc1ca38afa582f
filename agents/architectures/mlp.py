"""Two dense towers, as Stable-Baselines3's MLP policy has them."""

from __future__ import annotations

import math

from torch import nn

from goalscope.agents.layers import Tanh, in_order, orthogonal
from goalscope.agents.network import SeparateActorCritic, Shape
from goalscope.agents.sites import Site


def _tower(inputs: int, width: int) -> nn.Sequential:
    root2 = math.sqrt(2)
    return in_order(
        flat=nn.Flatten(),
        layer1=orthogonal(nn.Linear(inputs, width), root2),
        tanh1=Tanh(),
        dense1=Site(),
        layer2=orthogonal(nn.Linear(width, width), root2),
        tanh2=Tanh(),
        dense2=Site(),
    )


def mlp(shape: Shape, n_actions: int, *, width: int = 64) -> SeparateActorCritic:
    """Two dense layers each for policy and value. Sites: dense1, dense2 of either."""
    inputs = math.prod(shape)
    return SeparateActorCritic(_tower(inputs, width), _tower(inputs, width), width, n_actions)


ARCHITECTURE = mlp
