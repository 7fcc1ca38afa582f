"""The default network's body with a memory: an LSTM before the heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goalscope.agents.architectures.conv import conv
from goalscope.agents.layers import Gated, gate_weights
from goalscope.agents.network import RecurrentActorCritic, Shape


class LSTM(Gated):
    """Hochreiter & Schmidhuber's cell, with forget gates (Gers et al. 2000). The memory is h, then c."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.memory = 2 * width
        self.layer = gate_weights(nn.Linear(inputs + width, 4 * width))

    def forward(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        h, c = memory.chunk(2, dim=1)
        h, c = self.update(self.layer(torch.cat([features, h], dim=1)), c)
        return h, torch.cat([h, c], dim=1)


def lstm(
    shape: Shape, n_actions: int, *, channels: int = 16, width: int = 64, first_gain: float = 1.0
) -> RecurrentActorCritic:
    """The body of ``conv``, whose options these are, then an LSTM of its width. Sites: the body's, core.c, core.h."""
    seeing = conv(shape, n_actions, channels=channels, width=width, first_gain=first_gain)
    return RecurrentActorCritic(seeing.encode, seeing.body, LSTM(width, width), width, n_actions)


ARCHITECTURE = lstm
