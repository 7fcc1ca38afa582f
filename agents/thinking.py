"""Time to think before acting: do agents play better when they may look longer? (Guez et al. 2019, arXiv 1901.03559)"""

from __future__ import annotations

import torch
from torch import Tensor

from goalscope.agents.network import Network, Stepped


class Thinking(Network):
    """A network that looks some more times at an episode's first observation before it answers it.

    Its memory is the other's, and one number more: whether it has thought. A look is a step, so the sites are passed
    in it too: of a history they have as many more entries along the time axis.
    """

    def __init__(self, network: Network, looks: int) -> None:
        super().__init__()
        self.network = network
        self.looks = looks
        self.memory = network.memory + 1

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        own, has_thought = memory[:, :-1], memory[:, -1:] > 0
        for _ in range(0 if has_thought.all() else self.looks):
            own = torch.where(has_thought, own, self.network.step(obs, own)[2])
        logits, value, own = self.network.step(obs, own)
        return logits, value, torch.cat([own, torch.ones_like(memory[:, -1:])], dim=1)


def with_thinking(network: Network, looks: int) -> Network:
    """The same network, its weights shared, with so many looks to think; without a memory it would think in vain."""
    return Thinking(network, looks) if network.memory else network
