"""Actor-critic networks over planes, with named sites. Observations are bytes; each network scales them itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from goalscope.agents.sites import Site
from goalscope.errors import unknown_name

Shape = tuple[int, ...]
SCALE = 1 / 255


def _orthogonal(layer: nn.Module, gain: float) -> nn.Module:
    """PPO's customary initialisation (Andrychowicz et al. 2021, "What matters in on-policy RL")."""
    assert isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Scaled(nn.Module):
    """Planes of bytes as numbers in [0, 1]."""

    def forward(self, obs: Tensor) -> Tensor:
        return obs * SCALE


class OneHot(nn.Module):
    """MiniGrid's view `[N, W, H, 3]` of bytes as planes `[N, 21, W, H]`: one for each object, colour and state."""

    SIZES = (11, 6, 4)

    def forward(self, view: Tensor) -> Tensor:
        columns = [nn.functional.one_hot(view[..., k].long(), size) for k, size in enumerate(self.SIZES)]
        return torch.cat(columns, dim=-1).movedim(-1, 1).float()


class ActorCritic(nn.Module):
    """`forward(obs [N, …] uint8, or planes [N, C, H, W] float) -> (logits [N, A], value [N])`.

    Bytes are encoded as planes in [0, 1]; floats count as such planes already, which is what gradients down to the
    observation need.
    """

    def __init__(self, encode: nn.Module, body: nn.Sequential, width: int, n_actions: int) -> None:
        super().__init__()
        self.encode = encode
        self.input = Site()
        self.body = body
        self.policy = _orthogonal(nn.Linear(width, n_actions), 0.01)
        self.value = _orthogonal(nn.Linear(width, 1), 1.0)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        planes = self.input(obs if obs.is_floating_point() else self.encode(obs))
        features = self.body(planes)
        return self.policy(features), self.value(features).squeeze(-1)


class SeparateActorCritic(nn.Module):
    """The same contract with a body of its own for the value, as Stable-Baselines3's MLP policy has."""

    def __init__(self, actor: nn.Sequential, critic: nn.Sequential, width: int, n_actions: int) -> None:
        super().__init__()
        self.input = Site()
        self.actor, self.critic = actor, critic
        self.policy = _orthogonal(nn.Linear(width, n_actions), 0.01)
        self.value = _orthogonal(nn.Linear(width, 1), 1.0)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        planes = self.input(obs if obs.is_floating_point() else obs * SCALE)
        return self.policy(self.actor(planes)), self.value(self.critic(planes)).squeeze(-1)


def _block(**parts: nn.Module) -> nn.Sequential:
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    return network


def conv(shape: Shape, n_actions: int, *, channels: int = 16, width: int = 64, first_gain: float = 1.0) -> ActorCritic:
    """Three 3×3 convolutions (c, 2c stride 2, 2c stride 2), one dense layer. Sites: conv1, conv2, conv3, dense.

    Of MiniGrid's views, a third axis of object, colour and state, planes are made first.

    `first_gain` multiplies the first layer's initial weights: the larger, the more the draw decides about what is
    learned.
    """
    symbolic = len(shape) == 3 and shape[-1] == 3  # MiniGrid's view; planes are larger
    planes, height, across = (sum(OneHot.SIZES), *shape[:2]) if symbolic else shape
    root2 = math.sqrt(2)
    flat = 2 * channels * math.ceil(height / 4) * math.ceil(across / 4)
    body = _block(
        layer1=_orthogonal(nn.Conv2d(planes, channels, 3, padding=1), root2 * first_gain),
        relu1=nn.ReLU(),
        conv1=Site(),
        layer2=_orthogonal(nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), root2),
        relu2=nn.ReLU(),
        conv2=Site(),
        layer3=_orthogonal(nn.Conv2d(2 * channels, 2 * channels, 3, stride=2, padding=1), root2),
        relu3=nn.ReLU(),
        conv3=Site(),
        flat=nn.Flatten(),
        layer4=_orthogonal(nn.Linear(flat, width), root2),
        relu4=nn.ReLU(),
        dense=Site(),
    )
    return ActorCritic(OneHot() if symbolic else Scaled(), body, width, n_actions)


class Tanh(nn.Module):
    """The hyperbolic tangent by the logistic function, tanh(x) = 2σ(2x) − 1: a third of the time of torch's on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * torch.sigmoid(2 * x) - 1


def _tower(inputs: int, width: int) -> nn.Sequential:
    root2 = math.sqrt(2)
    return _block(
        flat=nn.Flatten(),
        layer1=_orthogonal(nn.Linear(inputs, width), root2),
        tanh1=Tanh(),
        dense1=Site(),
        layer2=_orthogonal(nn.Linear(width, width), root2),
        tanh2=Tanh(),
        dense2=Site(),
    )


def mlp(shape: Shape, n_actions: int, *, width: int = 64) -> SeparateActorCritic:
    """Two dense layers each for policy and value, as in Stable-Baselines3. Sites: dense1, dense2 of either."""
    inputs = math.prod(shape)
    return SeparateActorCritic(_tower(inputs, width), _tower(inputs, width), width, n_actions)


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"conv": conv, "mlp": mlp}


def make_network(arch: str, shape: Shape, n_actions: int, seed: int, **options: float) -> nn.Module:
    """A network with initial weights drawn from `seed` alone; the global generator is left as it was."""
    if arch not in ARCHITECTURES:
        raise unknown_name("architecture", arch, ARCHITECTURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return ARCHITECTURES[arch](shape, n_actions, **options)
