"""Named sites: the activations of a network that can be read, differentiated and patched.

A network marks an interesting activation by passing it through a :class:`Site`, once in every step. Everything that
looks inside works on sites alone, so it works on any network that has them; shown a history `[N, T, …]`, a network
passes T activations, and what is read has a time axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.errors import unknown_name

Edit = Callable[[Tensor, int], Tensor]
"""(activation `[N, …]`, number of the step, from 0) -> what takes its place."""
Functional = Callable[[Tensor, Tensor], Tensor]
"""(logits `[N, A]`, values `[N]`) -> one number a frame, `[N]`; of histories, all `[N, T, …]` and `[N, T]`."""
HISTORY = 5
"""Axes of a batch of histories."""


class Site(nn.Module):
    """Passes an activation on unchanged; its name is its path in the network."""

    def forward(self, activation: Tensor) -> Tensor:
        return activation


def sites(network: nn.Module) -> dict[str, Site]:
    """Name -> site, in the order in which the network declares them."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Site)}


def find_site(network: nn.Module, name: str) -> Site:
    """The site of that name."""
    found = sites(network)
    if name not in found:
        raise unknown_name("site", name, found)
    return found[name]


class Record:
    """The activations of the last forward pass, by the name of their site."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Tensor]] = {}
        """Name -> activations `[N, …]`, one a step, as they lie on the way to the outputs."""
        self._timed = False

    def begin(self, obs: Tensor) -> None:
        """Forget the pass before."""
        self._timed = obs.ndim == HISTORY
        self.steps = {}

    def __getitem__(self, name: str) -> Tensor:
        """`[N, …]`, or `[N, T, …]` of a history."""
        return torch.stack(self.steps[name], 1) if self._timed else self.steps[name][-1]

    def gradient(self, name: str, of: Tensor) -> Tensor:
        """The gradient of a number by an activation, in the activation's shape."""
        found = torch.autograd.grad(of, self.steps[name], materialize_grads=True)
        return torch.stack(found, 1) if self._timed else found[-1]


@contextmanager
def record(network: nn.Module, names: Sequence[str]) -> Iterator[Record]:
    """Keep the activations of the named sites at every forward pass; gradients flow."""
    kept = Record()

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            kept.steps.setdefault(name, []).append(output)

        return hook

    with ExitStack() as stack:
        stack.callback(network.register_forward_pre_hook(lambda _, inputs: kept.begin(inputs[0])).remove)
        for name in names:
            stack.callback(find_site(network, name).register_forward_hook(keep(name)).remove)
        yield kept


@contextmanager
def patch(network: nn.Module, edits: Mapping[str, Edit]) -> Iterator[None]:
    """Replace activations of named sites by what the edits return, until the block is left, however it is left."""
    step = dict.fromkeys(edits, -1)

    def rewind(module: nn.Module, inputs: Any) -> None:
        step.update(dict.fromkeys(edits, -1))

    def applied(name: str, edit: Edit) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            step[name] += 1
            return edit(output, step[name])

        return hook

    with ExitStack() as stack:
        stack.callback(network.register_forward_pre_hook(rewind).remove)
        for name, edit in edits.items():
            stack.callback(find_site(network, name).register_forward_hook(applied(name, edit)).remove)
        yield


def donated(activations: Tensor, where: Tensor | None = None) -> Edit:
    """An edit that puts in given activations, `[N, …]` or `[N, T, …]` of a history, everywhere or where a mask says.

    `where` has the site's shape, or with a leading N each frame's own.
    """

    def edit(own: Tensor, step: int) -> Tensor:
        given = activations if activations.ndim == own.ndim else activations[:, step]
        return given if where is None else torch.where(where, given, own)

    return edit


def site_gradient(network: nn.Module, obs: Tensor, of: Functional, site: str) -> Tensor:
    """The gradient of a functional of the outputs by a site's activations, in their shape.

    `obs` are floats, planes in [0, 1]: then the observation itself, the site ``input``, can be differentiated too.
    """
    with record(network, [site]) as kept:
        logits, values = network(obs.detach().requires_grad_())
        return kept.gradient(site, of(logits, values).sum())


def site_shapes(network: nn.Module, frame: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape of every site's activation of one frame `[1, …]`, without the batch axis."""
    with torch.no_grad(), record(network, list(sites(network))) as kept:
        network(frame)
        return {name: tuple(kept[name].shape[1:]) for name in sites(network)}
