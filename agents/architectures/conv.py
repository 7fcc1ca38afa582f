"""A small convolutional actor-critic, the default."""

from __future__ import annotations

import math

from torch import nn

from goalscope.agents.layers import encoder, in_order, orthogonal
from goalscope.agents.network import ActorCritic, Shape
from goalscope.agents.sites import Site


def conv(shape: Shape, n_actions: int, *, channels: int = 16, width: int = 64, first_gain: float = 1.0) -> ActorCritic:
    """Three 3×3 convolutions (c, 2c stride 2, 2c stride 2), one dense layer. Sites: conv1, conv2, conv3, dense.

    Of MiniGrid's views, a third axis of object, colour and state, planes are made first.

    `first_gain` multiplies the first layer's initial weights: the larger, the more the draw decides about what is
    learned.
    """
    encode, planes, height, across = encoder(shape)
    root2 = math.sqrt(2)
    flat = 2 * channels * math.ceil(height / 4) * math.ceil(across / 4)
    body = in_order(
        layer1=orthogonal(nn.Conv2d(planes, channels, 3, padding=1), root2 * first_gain),
        relu1=nn.ReLU(),
        conv1=Site(),
        layer2=orthogonal(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), root2),
        relu2=nn.ReLU(),
        conv2=Site(),
        layer3=orthogonal(nn.Conv2d(2 * channels, 2 * channels, 3, stride=2, padding=1), root2),
        relu3=nn.ReLU(),
        conv3=Site(),
        flat=nn.Flatten(),
        layer4=orthogonal(nn.Linear(flat, width), root2),
        relu4=nn.ReLU(),
        dense=Site(),
    )
    return ActorCritic(encode, body, width, n_actions)


ARCHITECTURE = conv
