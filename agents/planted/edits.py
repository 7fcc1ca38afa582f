"""Putting other maps in the place of features on a bus: what patches along a known direction can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from goalscope.agents.network import Network
from goalscope.agents.planted.bus import BUS, BusNetwork
from goalscope.agents.sites import Edit, patch

Maps = Callable[[Tensor], Tensor]
"""Planes `[N, planes, H, W]` of observations in [0, 1] -> the map `[N, H, W]` that takes a feature's place."""


def nothing(planes: Tensor) -> Tensor:
    """A feature ablated."""
    return torch.zeros_like(planes[:, 0])


def plane(index: int) -> Maps:
    """A feature that shows what a plane shows."""
    return lambda planes: planes[:, index]


class Edited(Network):
    """A bus network in which some features are replaced at every step."""

    def __init__(self, network: BusNetwork, maps: Mapping[str, Maps]) -> None:
        super().__init__()
        self.network: nn.Module = network
        self.directions = {feature: network.direction(feature) for feature in maps}
        self.encode, self.maps = network.encode, maps

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        planes = self.encode(obs)
        with patch(self.network, {BUS: self._edit(planes)}):
            return self.network(obs)  # type: ignore[no-any-return]

    def _edit(self, planes: Tensor) -> Edit:
        def edit(own: Tensor, step: int) -> Tensor:
            for feature, direction in self.directions.items():
                found = torch.einsum("nchw,c->nhw", own, direction)
                own = own + torch.einsum("nhw,c->nchw", self.maps[feature](planes) - found, direction)
            return own

        return edit
