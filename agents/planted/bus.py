"""A network whose every weight is known: planes → encoder of one ReLU layer → a linear `bus` → reader → exact planner.

In every cell the bus is ``h = Q · features``, Q a rotation: the direction of a feature is a column of Q. What the
encoder writes and what the reader reads are weights, so all mechanisms are one architecture of the same sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goalscope.agents.network import Network, Stepped
from goalscope.agents.planted.planner import Planner
from goalscope.agents.planted.rotation import WIDTH, rotation
from goalscope.agents.sites import Site
from goalscope.seeding import generator

BUS = "bus"
"""The site."""
FEATURES = ("goal", "walls", "agent", "bystander", "copy", "trigger", "critic")
"""What the bus can carry, each along the column of Q of its place here; the other columns carry nothing."""
GATES = 4
"""ReLU units of the encoder, in every cell."""
FOLDS = 2
"""ReLU units of the reader, in every cell."""
READ = ("walls", "agent", "policy", "value")
"""The maps that the planner is given: the last two are the goals of either."""


class BusNetwork(Network):
    """As it is drawn it pursues a random mixture of all things: an untrained control."""

    def __init__(self, encode: nn.Module, planes: int, height: int, width: int, n_actions: int) -> None:
        super().__init__()
        self.encode = encode
        self.input = Site()
        self.see = nn.Conv2d(planes, WIDTH + GATES, 1)
        """Planes to features, and to what the gates see."""
        self.level = nn.Linear(planes * height * width, 1)
        """One number a frame …"""
        self.spread = nn.Linear(1, GATES, bias=False)
        """… which the gates of every cell get, with these weights."""
        self.mix = nn.Conv2d(GATES, WIDTH, 1, bias=False)
        """What the gates add to the features."""
        self.rotate = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        """Q."""
        self.bus = Site()
        self.read = nn.Conv2d(WIDTH, len(READ) + FOLDS, 1)
        """The planner's first convolution: it absorbs Qᵀ."""
        self.blend = nn.Conv2d(FOLDS, 2, 1, bias=False)
        """What the folds add to the two goals."""
        self.planner = Planner(height, width, n_actions)
        with torch.no_grad():
            self._draw()

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        planes = self.input(obs if obs.is_floating_point() else self.encode(obs))
        features, seen = self.see(planes).split([WIDTH, GATES], dim=1)
        everywhere = self.spread(self.level(planes.flatten(1)))[:, :, None, None]
        bus = self.bus(self.rotate(features + self.mix(torch.relu(seen + everywhere))))
        maps, folds = self.read(bus).split([len(READ), FOLDS], dim=1)
        goals = maps[:, 2:] + self.blend(torch.relu(folds))
        logits, values = self.planner(maps[:, 0], maps[:, 1], goals)
        return logits, values, memory

    def direction(self, feature: str) -> Tensor:
        """`[16]` where on the bus a feature lies: its column of Q, of length 1."""
        return self.rotate.weight.detach()[:, FEATURES.index(feature), 0, 0]

    def _draw(self) -> None:
        """Walls and agent from the first two planes, where they are by custom, and the goal from all others."""
        draw = generator("untrained bus", int(torch.randint(2**62, (1,))))
        turned = torch.from_numpy(rotation(draw))
        for parameter in self.parameters():
            parameter.zero_()
        goal, walls, agent = (FEATURES.index(name) for name in ("goal", "walls", "agent"))
        self.see.weight[walls, 0], self.see.weight[agent, 1] = 1.0, 1.0
        self.see.weight[goal, 2:, 0, 0] = torch.from_numpy(draw.random(self.see.in_channels - 2)).float()
        self.rotate.weight[:, :, 0, 0] = turned
        self.read.weight[: len(READ), :, 0, 0] = turned.T[[walls, agent, goal, goal]]
