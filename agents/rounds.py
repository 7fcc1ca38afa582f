"""A round of playing: what many environments showed over some steps, and how it is put before a network again.

Networks without memory learn from frames in any order, those that remember from whole histories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.learner import Row
from goalscope.agents.network import Network, Shape, Stepped
from goalscope.envs import Step
from goalscope.envs.streaming import LevelStream


@dataclass(frozen=True)
class Frames:
    """N observations in any order; subclasses add what belongs to them, columns of N rows."""

    obs: Tensor
    """`[N, …]`"""

    @property
    def rows(self) -> Self:
        return self

    def answers(self, network: Network) -> tuple[Tensor, Tensor]:
        """Logits `[N, A]` and values `[N]` as the network gives them now."""
        logits, values, _ = network.step(self.obs, torch.empty(len(self.obs), 0))
        return logits, values

    def shuffled(self, random: torch.Generator, parts: int) -> Iterator[Self]:
        """Every row once, in `parts` minibatches of rows drawn at random."""
        order = torch.randperm(len(self.obs), generator=random)
        columns = [column.index_select(0, order).chunk(parts) for column in vars(self).values()]
        return (type(self)(*column) for column in zip(*columns, strict=True))


Kind = TypeVar("Kind", bound=Frames)


@dataclass(frozen=True)
class Histories(Generic[Kind]):
    """T steps of B environments, for networks that remember."""

    rows: Kind
    """Its `obs` are `[T, B, …]`, its other columns have T · B rows."""
    begins: Tensor
    """`[T, B]` whether an observation is an episode's first."""
    memory: Tensor
    """`[B, M]` what was remembered before the first step."""

    def answers(self, network: Network) -> tuple[Tensor, Tensor]:
        """Logits `[T · B, A]` and values `[T · B]` as the network gives them now."""
        logits, values = network.unroll(self.rows.obs, self.memory, self.begins)
        return logits.flatten(0, 1), values.flatten(0, 1)

    def shuffled(self, random: torch.Generator, parts: int) -> Iterator[Histories[Kind]]:
        """Every environment once, in `parts` minibatches of environments drawn at random."""
        obs, *columns = vars(self.rows).values()
        for some in torch.randperm(self.begins.shape[1], generator=random).chunk(parts):
            own = (column.unflatten(0, self.begins.shape)[:, some].flatten(0, 1) for column in columns)
            yield Histories(type(self.rows)(obs[:, some], *own), self.begins[:, some], self.memory[some])


class Round:
    """T steps of B environments: arrays `[T, B, …]`, with one more row of observations and beginnings."""

    def __init__(self, steps: int, envs: int, shape: Shape, memory: int = 0) -> None:
        self.obs = np.zeros((steps + 1, envs, *shape), np.uint8)
        self.ends = np.zeros((steps, envs), np.bool_)
        self.begins = np.ones((steps + 1, envs), np.bool_)
        """Whether an observation is an episode's first."""
        self.memory = torch.zeros(envs, memory)
        """`[B, M]` what the network remembered before the round's first observation."""
        self.finished: list[tuple[float, int]] = []
        """Return and length of the episodes that ended in the round."""

    def answer(self, network: Network, t: int, memory: Tensor) -> Stepped:
        """What the network answers to the t-th observations; where an episode begins it remembers nothing."""
        if network.memory:
            memory = memory * ~torch.from_numpy(self.begins[t])[:, None]
        return network.step(torch.from_numpy(self.obs[t]), memory)

    def step(self, t: int, levels: LevelStream, actions: NDArray[np.int64]) -> Step:
        """Act on the t-th observations; the next are written behind them."""
        out = levels.step(actions, out=self.obs[t + 1])
        np.logical_or(out.terminated, out.truncated, out=self.ends[t])
        self.begins[t + 1] = self.ends[t]
        if self.ends[t].any():
            done = levels.engine.last_episodes
            self.finished += [(float(done.gain[b]), int(done.length[b])) for b in np.flatnonzero(self.ends[t])]
        return out

    def carry_over(self, levels: LevelStream, memory: Tensor) -> None:
        """Begin the next round where this one ended."""
        levels.engine.carry_over(self.obs[-1], self.obs[0])
        self.begins[0] = self.begins[-1]
        self.memory = memory

    def summary(self) -> Row:
        """Mean return and length of the episodes that ended in this round."""
        if not self.finished:
            return {"episodes": 0.0, "return": float("nan"), "length": float("nan")}
        gains, lengths = zip(*self.finished, strict=True)
        return {"episodes": len(gains), "return": float(np.mean(gains)), "length": float(np.mean(lengths))}

    def whole(self, network: Network, kind: type[Kind], *columns: NDArray[Any]) -> Kind | Histories[Kind]:
        """All of the round as the network learns from it, with columns `[T, B, …]`."""
        obs = torch.from_numpy(self.obs[:-1])
        flat = (torch.from_numpy(column).flatten(0, 1) for column in columns)
        if not network.memory:
            return kind(obs.flatten(0, 1), *flat)
        return Histories(kind(obs, *flat), torch.from_numpy(self.begins[:-1]), self.memory)
