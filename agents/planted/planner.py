"""An exact planner: value iteration, written as convolution-like sweeps over the grid, with nothing to train.

A value iteration network (Tamar et al. 2016, arXiv 1602.02867) whose reward, transition and attention are known::

    V ← free · max(goal, γ · max over the four neighbours of V)

At its fixed point V = max over cells of goal(cell) · γ^(steps to it): the nearest of equal goals wins, and a goal of
half the strength is worth one that lies log 2 / −log γ steps further. The policy is softmax(κ · log(f + V)) over what
the four moves lead to, bumps included. f is what no goal at all is worth: with it a stronger goal is pursued more
surely, also where it is the only one, so that gradients by the goal map vanish nowhere where a goal lies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FARTHEST = 0.03
"""γ is such that a goal at the far end of the longest path is worth this much."""
NO_GOAL = 0.01
"""f, the worth of having no goal."""
PER_STEP = 6.0
"""By how much the logit of a move rises with every step that it saves, where the goal is near."""


def longest_path(height: int, width: int) -> int:
    """No shortest path in a grid with a border is longer: one that never touches itself fills two cells in three."""
    return math.ceil(2 * (height - 2) * (width - 2) / 3)


class Planner(nn.Module):
    """Plans for two goal maps, the first for the policy and the second for the value."""

    def __init__(self, height: int, width: int, n_actions: int) -> None:
        super().__init__()
        self.sweeps, self.n_actions = longest_path(height, width), n_actions
        planning = float(torch.tensor(FARTHEST ** (1 / self.sweeps)).half())  # as it will be stored
        self.sharpness = PER_STEP / -math.log(planning)
        self.discounts: Tensor
        self.register_buffer("discounts", torch.tensor([planning, 0.97]))
        """`[2]` of planning, and of the return that the value foretells."""
        self.slip: Tensor
        self.register_buffer("slip", torch.tensor(0.0))
        """Share of moves that are drawn at random."""

    def forward(self, walls: Tensor, agent: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities `[N, 4]` of right, down, left, up, and values `[N]`.

        From maps `[N, H, W]` of walls and of the agent, and `[N, 2, H, W]` of goals.
        """
        free = (1 - walls).clamp(0, 1)
        worth = self.spread(free, goals)
        here = (worth * agent[:, None]).sum((2, 3))
        plan = worth[:, 0]
        ahead = [there + (1 - way) * plan for there, way in zip(_neighbours(plan), _neighbours(free), strict=True)]
        after = (torch.stack(ahead, 1) * agent[:, None]).sum((2, 3))
        # Relative to where the agent is, before rounding: what raises all moves alike must not drown what does not.
        logits = self.sharpness * (torch.log(NO_GOAL + after) - torch.log(NO_GOAL + here[:, :1]))
        return self._slipping(logits), here[:, 1] / self.discounts[1]

    def spread(self, free: Tensor, goals: Tensor) -> Tensor:
        """`[N, 2, H, W]` the worth V of every cell. Sweeps end at the fixed point, which more would not change."""
        reach = self.discounts[:, None, None] * free[:, None]
        worth = free[:, None] * goals.clamp(min=0)
        for _ in range(self.sweeps):
            right, down, left, up = _neighbours(worth)
            near = torch.maximum(torch.maximum(right, left), torch.maximum(down, up))
            farther = torch.maximum(worth, reach * near)
            if torch.equal(farther, worth):
                break
            worth = farther
        return worth

    def _slipping(self, logits: Tensor) -> Tensor:
        """log((1 − slip) · π + slip / 4)."""
        chosen = torch.log_softmax(logits, dim=-1) + torch.log1p(-self.slip)
        return torch.logaddexp(chosen, torch.log(self.slip / self.n_actions))


def _neighbours(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each cell what lies to its right, below, to its left and above; nothing, 0, beyond the edge."""
    padded = nn.functional.pad(maps, (1, 1, 1, 1))
    rows, columns = padded[..., 1:-1, :], padded[..., 1:-1]
    return rows[..., 2:], columns[..., 2:, :], rows[..., :-2], columns[..., :-2, :]
