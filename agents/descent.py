"""Adam over all weights of a network at once, as every learner takes its steps: annealed, clipped, flat in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

Slopes = Callable[[Tensor, Tensor], tuple[list[Tensor], Tensor]]
"""(logits `[N, A]`, values `[N]`) -> the derivatives of a loss by both, and the loss's parts `[·]`."""


class DescentSettings(Protocol):
    """What a learner's settings say about its steps."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def final_learning_rate(self) -> float: ...
    @property
    def adam_eps(self) -> float: ...
    @property
    def max_grad_norm(self) -> float: ...
    @property
    def precision(self) -> str:
        """Of the updates' matrix products: bfloat16 (1.7 × faster on CPUs with AVX-512 BF16 or AMX) or float32."""


class Descent:
    """Takes the steps; `weights` is the network's, one vector of which its parameters are views."""

    def __init__(self, network: nn.Module, settings: DescentSettings) -> None:
        self.weights = flatten_weights(network)
        self._settings = settings
        self._rate = settings.learning_rate
        self._means, self._squares = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self._steps = torch.zeros(())

    def anneal(self, left: float) -> None:
        """Set the learning rate; `left` is the share of training that is yet to come."""
        self._rate = annealed(self._settings.learning_rate, self._settings.final_learning_rate, left)

    def precision(self) -> AbstractContextManager[object]:
        """The context of a forward pass in the settings' precision."""
        return torch.autocast("cpu", torch.bfloat16) if self._settings.precision == "bfloat16" else nullcontext()

    def step(self, answers: Callable[[], tuple[Tensor, Tensor]], slopes: Slopes) -> Tensor:
        """One step down a loss of the network's answers, logits `[N, A]` and values `[N]`; returns the loss's parts."""
        with self.precision():
            logits, values = answers()
        logits, values = logits.float(), values.float()
        derivatives, parts = slopes(logits.detach(), values.detach())
        gradient = self.weights.grad
        assert gradient is not None  # `flatten_weights` made it
        gradient.zero_()
        torch.autograd.backward([logits, values], derivatives)
        gradient *= (self._settings.max_grad_norm / (gradient.norm() + 1e-6)).clamp(max=1.0)
        self._move(gradient)
        return parts

    def _move(self, gradient: Tensor) -> None:
        """Adam's step (Kingma & Ba 2015), without the bookkeeping of `torch.optim.Adam`, which took longer than it."""
        adam(
            [self.weights.data],
            [gradient],
            [self._means],
            [self._squares],
            [],
            [self._steps],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._rate,
            weight_decay=0.0,
            eps=self._settings.adam_eps,
            maximize=False,
        )


def annealed(first: float, last: float, left: float) -> float:
    """Linearly from `first`, where all of training is left, to `last`, where none is."""
    return last + left * (first - last)


def flatten_weights(network: nn.Module) -> nn.Parameter:
    """Move all weights of a network, and their gradients, into one vector: small networks train faster by a sixth.

    The network's own parameters become views of it, so clipping and optimising take one operation each.
    """
    parameters = list(network.parameters())
    flat = nn.Parameter(nn.utils.parameters_to_vector(parameters).detach())
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in parameters]
    for own, weights, gradient in zip(
        parameters, torch.split(flat.data, sizes), torch.split(flat.grad, sizes), strict=True
    ):
        own.data, own.grad = weights.view_as(own), gradient.view_as(own)
    return flat


def part_weights(network: nn.Module) -> None:
    """Undo :func:`flatten_weights`: every parameter lies by itself again, as it does in a network that was loaded.

    How the terms of a product are added up can hang on where its factors lie, and with it an answer's last bits.
    """
    for own in network.parameters():
        own.data, own.grad = own.data.clone(), None
