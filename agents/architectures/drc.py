"""A deep repeated ConvLSTM, DRC(D, N), of Guez et al. 2019 (arXiv 1901.03559): D layers that think N ticks a step."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from goalscope.agents.layers import Gated, encoder, gate_weights, in_order, orthogonal
from goalscope.agents.network import Network, RecurrentActorCritic, Shape
from goalscope.agents.sites import Site
from goalscope.errors import UnsupportedError


class Boundary(nn.Module):
    """Adds a plane that is 1 along the edge of the grid and 0 within, so that convolutions know where it ends."""

    def forward(self, maps: Tensor) -> Tensor:
        plane = maps.new_ones(len(maps), 1, *maps.shape[2:])
        plane[..., 1:-1, 1:-1] = 0
        return torch.cat([maps, plane], dim=1)


class ConvLSTM(nn.Module):
    """The gates of one layer, by the same weights at every tick."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heard = orthogonal(nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, bias=False), 1.0)
        self.pooled = orthogonal(nn.Linear(2 * channels, 4 * channels, bias=False), 1.0)

    def forward(self, seen: Tensor, below: Tensor, h: Tensor) -> Tensor:
        """`[N, 4 C, H, W]` from the observation's part in them, what the layer below shows, and what it showed itself.

        Pool-and-inject: its own mean and maximum over the grid reach every cell at once.
        """
        everywhere = self.pooled(torch.cat([h.mean((2, 3)), h.amax((2, 3))], dim=1))
        gates: Tensor = seen + self.heard(torch.cat([below, h], dim=1)) + everywhere[:, :, None, None]
        return gates


class DRC(nn.Module):
    """The core. It shows the last layer's h after the last tick; it remembers every layer's h and c.

    A tick goes through the layers from the first to the last; below the first is the last, one tick before. All see the
    observation, at every tick the same, so its part in the gates is computed once. Sites: tick1.layer1.c,
    tick1.layer1.h and so on.
    """

    def __init__(self, channels: int, layers: int, ticks: int, height: int, across: int) -> None:
        super().__init__()
        self.maps = (2, layers, channels, height, across)
        self.memory = math.prod(self.maps)
        seen = [nn.Conv2d(channels + 1, 4 * channels, 3, padding=1) for _ in range(layers)]
        self.seen = nn.ModuleList(gate_weights(layer) for layer in seen)
        self.layers = nn.ModuleList(ConvLSTM(channels) for _ in range(layers))
        self.ticks = 0
        self.tick(ticks)

    def tick(self, ticks: int) -> None:
        """From now on think so many ticks a step."""
        for n in range(ticks, self.ticks):
            delattr(self, f"tick{n + 1}")
        for n in range(self.ticks, ticks):
            self.add_module(f"tick{n + 1}", in_order(**{f"layer{d + 1}": Gated() for d in range(len(self.layers))}))
        self.ticks = ticks

    def forward(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        h, c = (list(layers.unbind(1)) for layers in memory.view(-1, *self.maps).unbind(1))
        seen = [layer(features) for layer in self.seen]
        for n in range(self.ticks):
            for d, gated in enumerate(getattr(self, f"tick{n + 1}")):
                h[d], c[d] = gated.update(self.layers[d](seen[d], h[d - 1], h[d]), c[d])
        return h[-1], torch.stack(h + c, dim=1).flatten(1)


def with_ticks(network: Network, ticks: int) -> Network:
    """A copy that thinks so many ticks in every step, with the same weights."""
    core = getattr(network, "core", None)
    if not isinstance(core, DRC) or ticks < 1:
        raise UnsupportedError(f"Only a drc has ticks, at least 1; got {ticks} for a {type(core).__name__}.")
    other = deepcopy(network)
    other.core.tick(ticks)  # type: ignore[union-attr,operator]
    return other


def drc(
    shape: Shape,
    n_actions: int,
    *,
    layers: int = 2,
    ticks: int = 2,
    channels: int = 16,
    width: int = 64,
    first_gain: float = 1.0,
) -> RecurrentActorCritic:
    """One convolution, the core, one dense layer. Sites: body.conv1, the core's (see :class:`DRC`), readout.dense.

    `first_gain` multiplies the first layer's initial weights.
    """
    encode, planes, height, across = encoder(shape)
    root2 = math.sqrt(2)
    body = in_order(
        layer1=orthogonal(nn.Conv2d(planes, channels, 3, padding=1), root2 * first_gain),
        relu1=nn.ReLU(),
        conv1=Site(),
        boundary=Boundary(),
    )
    readout = in_order(
        flat=nn.Flatten(),
        layer=orthogonal(nn.Linear(channels * height * across, width), root2),
        relu=nn.ReLU(),
        dense=Site(),
    )
    core = DRC(channels, layers, ticks, height, across)
    return RecurrentActorCritic(encode, body, core, width, n_actions, readout)


ARCHITECTURE = drc
