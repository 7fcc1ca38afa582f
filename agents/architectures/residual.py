"""A small residual convolutional actor-critic, after IMPALA's large network."""

from __future__ import annotations

import math

from torch import Tensor, nn

from goalscope.agents.layers import encoder, in_order, orthogonal
from goalscope.agents.network import ActorCritic, Shape
from goalscope.agents.sites import Site

STRIDES = (1, 2, 2)
"""Of the stages' first convolutions. IMPALA's halve the image three times; grids are too small for the first."""


class Block(nn.Module):
    """Adds two convolutions, each of a ReLU, to what comes in; the sum is a site."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer1 = orthogonal(nn.Conv2d(channels, channels, 3, padding=1), math.sqrt(2))
        self.layer2 = orthogonal(nn.Conv2d(channels, channels, 3, padding=1), 1.0)
        self.residual = Site()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.layer1(nn.functional.relu(x))
        total: Tensor = self.residual(x + self.layer2(nn.functional.relu(inner)))
        return total


def _stage(inputs: int, channels: int, stride: int, blocks: int, gain: float) -> nn.Sequential:
    """A convolution, which may halve the image, and residual blocks."""
    layer = orthogonal(nn.Conv2d(inputs, channels, 3, stride=stride, padding=1), gain)
    return in_order(layer=layer, **{f"block{b + 1}": Block(channels) for b in range(blocks)})


def residual(
    shape: Shape,
    n_actions: int,
    *,
    channels: int = 16,
    blocks: int = 1,
    width: int = 64,
    first_gain: float = 1.0,
) -> ActorCritic:
    """Three stages (c, 2c, 2c channels) of residual blocks, one dense layer (Espeholt et al. 2018, arXiv 1802.01561).

    Sites: stage1.block1.residual and so on, dense. `first_gain` multiplies the first layer's initial weights.
    """
    encode, planes, height, across = encoder(shape)
    sizes = (planes, channels, 2 * channels, 2 * channels)
    stages = {
        f"stage{s + 1}": _stage(sizes[s], sizes[s + 1], stride, blocks, 1.0 if s else first_gain)
        for s, stride in enumerate(STRIDES)
    }
    flat = 2 * channels * math.ceil(height / 4) * math.ceil(across / 4)
    body = in_order(
        **stages,
        relu1=nn.ReLU(),
        flat=nn.Flatten(),
        layer=orthogonal(nn.Linear(flat, width), math.sqrt(2)),
        relu2=nn.ReLU(),
        dense=Site(),
    )
    return ActorCritic(encode, body, width, n_actions)


ARCHITECTURE = residual
