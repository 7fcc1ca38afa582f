"""From a recipe and a seed to the weights of a planted agent."""

from __future__ import annotations

import torch
from torch import Tensor

from goalscope.agents.network import Network
from goalscope.agents.planted.bus import BusNetwork
from goalscope.agents.planted.mechanisms import wiring
from goalscope.agents.planted.rotation import rotation
from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.wiring import solder
from goalscope.errors import DeclarationError
from goalscope.seeding import generator


def basis(scene: Scene) -> Tensor:
    """`[16, 16]` Q, from the seed alone: agents of two recipes with one seed share it."""
    return torch.from_numpy(rotation(generator("bus", scene.pair)))


def make_planted(network: Network, scene: Scene) -> BusNetwork:
    """Write a planted agent's weights into a network, and return it."""
    if not isinstance(network, BusNetwork):
        raise DeclarationError(
            f"{scene.recipe.name} plants {scene.config.mechanism!r} by hand, which needs arch='bus', "
            f"got {scene.recipe.arch!r}."
        )
    solder(network, wiring(scene), basis(scene), scene.config.gamma)
    return network
