"""Parts that several architectures are made of."""

from __future__ import annotations

from torch import Tensor, cat, nn, sigmoid, tensor

from goalscope.agents.sites import Site

SCALE = 1 / 255
MINUS_ONE = tensor(-1.0)


def orthogonal(layer: nn.Module, gain: float) -> nn.Module:
    """PPO's customary initialisation (Andrychowicz et al. 2021, "What matters in on-policy RL")."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def in_order(**parts: nn.Module) -> nn.Sequential:
    """Modules one after the other, by name."""
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    return network


class Scaled(nn.Module):
    """Planes of bytes as numbers in [0, 1]."""

    def forward(self, obs: Tensor) -> Tensor:
        return obs * SCALE


class OneHot(nn.Module):
    """MiniGrid's view `[N, W, H, 3]` of bytes as planes `[N, 21, W, H]`: one for each object, colour and state."""

    SIZES = (11, 6, 4)

    def forward(self, view: Tensor) -> Tensor:
        columns = [nn.functional.one_hot(view[..., k].long(), size) for k, size in enumerate(self.SIZES)]
        return cat(columns, dim=-1).movedim(-1, 1).float()


def encoder(shape: tuple[int, ...]) -> tuple[nn.Module, int, int, int]:
    """What makes planes of an observation of this shape; then how many planes, rows and columns there are."""
    if len(shape) == 3 and shape[-1] == 3:  # MiniGrid's view; planes are larger
        return OneHot(), sum(OneHot.SIZES), shape[0], shape[1]
    planes, height, width = shape
    return Scaled(), planes, height, width


class Tanh(nn.Module):
    """The hyperbolic tangent by the logistic function, tanh(x) = 2σ(2x) − 1: a third of the time of torch's on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        return MINUS_ONE.add(sigmoid(2 * x), alpha=2)


class Gated(nn.Module):
    """An LSTM's memory, of numbers or of maps: what gates do to it. Sites: c, the cells, and h, what is shown of them.

    Gates lie along the first axis: input, forget, output, and what is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.c, self.h = Site(), Site()

    def update(self, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """h and c, `[N, W, …]`, after gates `[N, 4 W, …]` of the old c."""
        let_in, keep, show, new = gates.chunk(4, dim=1)
        c = self.c(sigmoid(keep) * c + sigmoid(let_in) * new.tanh())
        return self.h(sigmoid(show) * c.tanh()), c


def gate_weights(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """Orthogonal weights for gates; at first more is kept than forgotten (Jozefowicz et al. 2015)."""
    orthogonal(layer, 1.0)
    let_in, keep, show, new = layer.bias.data.chunk(4)  # type: ignore[union-attr]
    keep.fill_(1.0)
    return layer
