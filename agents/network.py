"""What every agent's network is: steps from an observation and a memory to action logits, a value, a new memory.

Interesting activations pass through a :class:`~goalscope.agents.sites.Site`, once in every step, so that one piece of
code reads, differentiates and patches any of them, with a time axis where a network is shown a history.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from goalscope.agents.layers import SCALE, orthogonal
from goalscope.agents.sites import Site
from goalscope.envs.family import Value
from goalscope.registry import ARCHITECTURES

Shape = tuple[int, ...]
Stepped = tuple[Tensor, Tensor, Tensor]
FRAME = 3
"""Axes of one observation: planes, rows, columns, or MiniGrid's columns, rows, codes."""


class Network(nn.Module):
    """The contract. Subclasses say what a step does, and, if they remember anything, how much.

    Bytes are encoded as planes in [0, 1] within the network; floats count as such planes already, which is what
    gradients down to the observation need.
    """

    memory = 0
    """Numbers an environment's memory holds; 0: each observation is answered by itself."""

    def initial_memory(self, n: int) -> Tensor:
        """`[n, memory]` what is remembered before the first step; of the weights' type."""
        return next(self.parameters(), torch.empty(0)).new_zeros(n, self.memory)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        """`(logits [N, A], value [N], memory [N, M])` after an observation `[N, …]`."""
        raise NotImplementedError

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[N, A]` and values `[N]` of first observations `[N, …]`; `[N, T, …]` of histories `[N, T, …]`."""
        memory = self.initial_memory(len(obs))
        if obs.ndim == FRAME + 1:
            return self.step(obs, memory)[:2]
        logits, values = [], []
        for now in obs.unbind(1):
            logit, value, memory = self.step(now, memory)
            logits.append(logit)
            values.append(value)
        return torch.stack(logits, 1), torch.stack(values, 1)

    def unroll(self, obs: Tensor, memory: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[T, N, A]` and values `[T, N]` of T steps `[T, N, …]`; training's way, many steps at a time.

        `memory` `[N, M]` is what was remembered before them; where `begins` `[T, N]`, an episode does, with none.
        """
        logits, values = [], []
        for now, begin in zip(obs, begins, strict=True):
            logit, value, memory = self.step(now, memory * ~begin[:, None])
            logits.append(logit)
            values.append(value)
        return torch.stack(logits), torch.stack(values)


class ActorCritic(Network):
    """One body, two heads, no memory."""

    def __init__(self, encode: nn.Module, body: nn.Module, width: int, n_actions: int) -> None:
        super().__init__()
        self.encode = encode
        self.input = Site()
        self.body = body
        self.policy = orthogonal(nn.Linear(width, n_actions), 0.01)
        self.value = orthogonal(nn.Linear(width, 1), 1.0)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        features = self.body(self.input(obs if obs.is_floating_point() else self.encode(obs)))
        return self.policy(features), self.value(features).squeeze(-1), memory


class SeparateActorCritic(Network):
    """The same with a body of its own for the value, as Stable-Baselines3's MLP policy has."""

    def __init__(self, actor: nn.Module, critic: nn.Module, width: int, n_actions: int) -> None:
        super().__init__()
        self.input = Site()
        self.actor, self.critic = actor, critic
        self.policy = orthogonal(nn.Linear(width, n_actions), 0.01)
        self.value = orthogonal(nn.Linear(width, 1), 1.0)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        planes = self.input(obs if obs.is_floating_point() else obs * SCALE)
        return self.policy(self.actor(planes)), self.value(self.critic(planes)).squeeze(-1), memory


class RecurrentActorCritic(Network):
    """An encoder, a core that remembers, a readout, two heads.

    The core is a module `(features [N, …], memory [N, M]) -> (features [N, …], memory [N, M])` that says how long
    its `memory` is; the readout, by default nothing, makes `[N, width]` of what it gives.
    """

    def __init__(
        self,
        encode: nn.Module,
        body: nn.Module,
        core: nn.Module,
        width: int,
        n_actions: int,
        readout: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encode = encode
        self.input = Site()
        self.body, self.core, self.readout = body, core, readout or nn.Identity()
        self.memory = int(core.memory)  # type: ignore[arg-type]
        self.policy = orthogonal(nn.Linear(width, n_actions), 0.01)
        self.value = orthogonal(nn.Linear(width, 1), 1.0)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        seen = self.body(self.input(obs if obs.is_floating_point() else self.encode(obs)))
        found, memory = self.core(seen, memory)
        features = self.readout(found)
        return self.policy(features), self.value(features).squeeze(-1), memory

    def unroll(self, obs: Tensor, memory: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`Network.unroll`, with all observations encoded, and all features read out, at once."""
        flat, size = obs.flatten(0, 1), obs.shape[:2]
        seen = self.body(self.input(flat if flat.is_floating_point() else self.encode(flat)))
        steps = []
        for now, begin in zip(seen.unflatten(0, size), begins, strict=True):
            found, memory = self.core(now, memory * ~begin[:, None])
            steps.append(found)
        features = self.readout(torch.cat(steps))
        return self.policy(features).unflatten(0, size), self.value(features).squeeze(-1).unflatten(0, size)


Architecture = Callable[..., Network]
"""``(shape, n_actions, **options) -> Network``; what a module of an architecture assigns to ``ARCHITECTURE``."""


def make_network(arch: str, shape: Shape, n_actions: int, seed: int, **options: Value) -> Network:
    """A network with initial weights drawn from `seed` alone; the global generator is left as it was."""
    architecture = ARCHITECTURES.load(arch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return architecture(shape, n_actions, **options)
