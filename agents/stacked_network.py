"""K networks of one architecture as one: their weights are the rows of one matrix, their dense layers one product.

Rows of a batch belong to the networks in turn: of `[K · N, …]` the first N to the first network, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.agents.descent import DescentSettings, Slopes, annealed
from goalscope.agents.network import Network

ALIGNED = 16
"""Every network's weights begin at a multiple of so many numbers, 64 bytes: products round by how memory is aligned."""


class Stack:
    """K networks on a device, and the steps that train them: as :class:`~goalscope.agents.descent.Descent`, for all."""

    def __init__(self, networks: Sequence[Network], settings: DescentSettings, device: torch.device) -> None:
        self.device, self._settings = device, settings
        self.apart = [network.to(device) for network in networks]
        """The networks; their weights are views of the matrix until they part."""
        matrix = stack_weights(self.apart)
        self.together = stack_networks(self.apart, matrix)
        gradient = torch.zeros_like(matrix)
        self._leaves = list(self.together.parameters())
        self._slots = [gradient.as_strided(p.shape, p.stride(), p.storage_offset()) for p in self._leaves]
        length = sum(own.numel() for own in self.apart[0].parameters())
        self._gradients = gradient[:, :length]
        rows = [nn.Parameter(row) for row in matrix[:, :length]]
        for row, slopes in zip(rows, self._gradients, strict=True):
            row.grad = slopes
        self._adam = torch.optim.Adam(rows, lr=settings.learning_rate, eps=settings.adam_eps, fused=True)

    def anneal(self, left: float) -> None:
        """Set the learning rate; `left` is the share of training that is yet to come."""
        rate = annealed(self._settings.learning_rate, self._settings.final_learning_rate, left)
        for group in self._adam.param_groups:
            group["lr"] = rate

    def send(self, tensor: Tensor) -> Tensor:
        """A tensor of the CPU's on the device; the CPU need not wait until it is there."""
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def answers(self, obs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits `[K, N, A]` and values `[K, N]` for each network's observations `[N, …]`, bytes of the CPU's."""
        rows = self.send(torch.cat([*obs]))
        logits, values, _ = self.together.step(rows, torch.empty(len(rows), 0, device=self.device))
        return logits.view(len(obs), -1, logits.shape[-1]), values.view(len(obs), -1)

    def step(self, answers: Callable[[], tuple[Tensor, Tensor]], slopes: Slopes) -> Tensor:
        """One step of every network down a loss of its own; returns the losses' parts `[K, ·]`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._settings.precision == "bfloat16"):
            logits, values = answers()
        logits, values = logits.float(), values.float()
        derivatives, parts = slopes(logits.detach(), values.detach())
        found = torch.autograd.grad([logits, values], self._leaves, derivatives)
        for slot, own in zip(self._slots, found, strict=True):
            slot.copy_(own)
        norms = self._gradients.norm(dim=1, keepdim=True)
        self._gradients *= (self._settings.max_grad_norm / (norms + 1e-6)).clamp(max=1.0)
        self._adam.step()
        return parts

    def part(self) -> None:
        """Bring the networks back to the CPU, each with weights of its own."""
        for network in self.apart:
            for own in network.parameters():
                own.data = own.data.clone().cpu()


def stack_weights(networks: Sequence[nn.Module]) -> Tensor:
    """Move the weights of K networks into one matrix `[K, P]`, of which they become views.

    P is a multiple of :data:`ALIGNED`; what is over stays zero.
    """
    vectors = torch.stack([nn.utils.parameters_to_vector(n.parameters()).detach() for n in networks])
    matrix = nn.functional.pad(vectors, (0, -vectors.shape[1] % ALIGNED))
    for network, weights in zip(networks, matrix, strict=True):
        nn.utils.vector_to_parameters(weights, network.parameters())
    return matrix


def stack_networks(networks: Sequence[Network], weights: Tensor) -> Network:
    """One network that answers for all, with the `weights` `[K, P]` that :func:`stack_weights` made of theirs."""
    stacked = _stacked(networks, weights)
    assert isinstance(stacked, Network)
    return stacked


def _stacked(modules: Sequence[nn.Module], weights: Tensor) -> nn.Module:
    """Dense layers become one, other layers with weights stay apart; what holds layers is rebuilt around them."""
    first = modules[0]
    if isinstance(first, nn.Linear) and first.bias is not None:
        return Dense(first, weights)
    if next(first.parameters(recurse=False), None) is not None:
        return Apart(modules)
    whole = copy(first)
    whole._modules = {name: _stacked([m.get_submodule(name) for m in modules], weights) for name in first._modules}
    return whole


class Apart(nn.Module):
    """K layers, each for its own rows."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(rows) for layer, rows in zip(self.layers, x.chunk(len(self.layers)), strict=True)])


class Dense(nn.Module):
    """K dense layers at once, made from the first: the others' weights lie below its in the matrix `[K, P]`."""

    def __init__(self, first: nn.Linear, weights: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = _column(first.weight, weights), _column(first.bias, weights)
        """`[K, outputs, inputs]` and `[K, outputs]`"""

    def forward(self, x: Tensor) -> Tensor:
        arguments = [x.reshape(len(self.weight), -1, x.shape[-1]), self.weight, self.bias]
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
            arguments = [argument.to(kind) for argument in arguments]
        made: Tensor = Products.apply(*arguments)  # type: ignore[no-untyped-call]
        return made.view(*x.shape[:-1], -1)


def _column(first: Tensor, weights: Tensor) -> nn.Parameter:
    """All networks' `[K, …]` of a parameter of the first's."""
    begin = first.storage_offset()
    return nn.Parameter(weights[:, begin : begin + first.numel()].view(-1, *first.shape))


class Products(torch.autograd.Function):
    """Rows `[K, N, inputs]`, weights and biases as in :class:`Dense` -> `[K, N, outputs]`, rounded as K `nn.Linear` do.

    Its derivatives are written out because autograd's take the same products transposed, which rounds differently.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        if weight.shape[1] == 1:  # alone, a product with a vector
            return torch.stack([torch.addmm(b, x, w.t()) for x, w, b in zip(rows, weight, bias, strict=True)])
        return torch.baddbmm(bias[:, None], rows, weight.mT)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (slope,), (rows, weight) = slopes, ctx.saved_tensors
        back = torch.bmm(slope, weight) if ctx.needs_input_grad[0] else None
        return back, torch.bmm(slope.mT, rows), slope.sum(1)
