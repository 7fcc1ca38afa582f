"""What a bus network is made to do, as data: which planes become features, what gates them, what the planner reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.planted.bus import FEATURES, GATES, READ, BusNetwork


@dataclass(frozen=True, kw_only=True)
class LevelReading:
    """A number of the whole frame, Σ weights · plane + bias: an integer, and never 0."""

    plane: int
    weights: NDArray[np.int64]
    """`[H, W]`"""
    bias: int


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A ReLU unit of the encoder: ReLU(plane + level · reading + bias), added to a feature with a weight."""

    plane: int | None = None
    level: float
    bias: float = 0.0
    feature: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A ReLU unit of the reader: ReLU(Σ weights · features + bias), added to the goals of policy and value."""

    features: Mapping[str, float]
    bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """All of it. What is not named is zero."""

    shows: Mapping[str, int]
    """Feature -> the plane that it copies."""
    level: LevelReading | None = None
    gates: tuple[Gate, ...] = ()
    folds: tuple[Fold, ...] = ()
    reads: Mapping[str, str] = field(default_factory=lambda: {"policy": "goal", "value": "goal"})
    """The planner's map -> the feature that it reads, beside walls and agent."""
    slip: float = 0.0


@torch.no_grad()
def solder(network: BusNetwork, wiring: Wiring, turned: Tensor, gamma: float) -> None:
    """Write a wiring into a network's weights, in a basis `[16, 16]` of its bus."""
    for parameter in network.parameters():
        parameter.zero_()
    network.rotate.weight[:, :, 0, 0] = turned
    for feature, plane in wiring.shows.items():
        network.see.weight[FEATURES.index(feature), plane] = 1.0
    _solder_gates(network, wiring)
    for name, feature in ({"walls": "walls", "agent": "agent"} | dict(wiring.reads)).items():
        network.read.weight[READ.index(name), :, 0, 0] = turned[:, FEATURES.index(feature)]
    for k, fold in enumerate(wiring.folds):
        row = sum(weight * turned[:, FEATURES.index(feature)] for feature, weight in fold.features.items())
        network.read.weight[len(READ) + k, :, 0, 0] = torch.as_tensor(row)
        network.read.bias[len(READ) + k] = fold.bias  # type: ignore[index]
        network.blend.weight[:, k] = 1.0
    planner = network.planner
    planner.discounts[1], planner.slip[()] = gamma, wiring.slip
    for tensor in network.state_dict().values():
        tensor.copy_(tensor.half())  # so that storing it changes nothing


def _solder_gates(network: BusNetwork, wiring: Wiring) -> None:
    if wiring.level is not None:
        grid = network.level.weight.view(network.see.in_channels, *wiring.level.weights.shape)
        grid[wiring.level.plane] = torch.from_numpy(wiring.level.weights)
        network.level.bias.fill_(wiring.level.bias)
    for k, gate in enumerate(wiring.gates):
        unit = network.see.out_channels - GATES + k
        if gate.plane is not None:
            network.see.weight[unit, gate.plane] = 1.0
        network.see.bias[unit] = gate.bias  # type: ignore[index]
        network.spread.weight[k] = gate.level
        network.mix.weight[FEATURES.index(gate.feature), k] = gate.weight
