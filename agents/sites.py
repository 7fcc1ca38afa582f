"""Named sites: the activations of a network that can be read, differentiated and patched.

A network marks an interesting activation by passing it through a :class:`Site`. Everything that looks inside works on
sites alone, so it works on any network that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.errors import unknown_name

Edit = Callable[[Tensor], Tensor]
"""An activation `[N, …]` -> what takes its place."""


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


@contextmanager
def record(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Fill a dictionary with the activations `[N, …]` of the named sites at every forward pass; gradients flow."""
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            kept[name] = output

        return hook

    with ExitStack() as stack:
        for name in names:
            stack.callback(find_site(network, name).register_forward_hook(keep(name)).remove)
        yield kept


@contextmanager
def patch(network: nn.Module, edits: Mapping[str, Edit]) -> Iterator[None]:
    """Replace activations of named sites by what the edits return, until the block is left, however it is left."""

    def applied(edit: Edit) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            return edit(output)

        return hook

    with ExitStack() as stack:
        for name, edit in edits.items():
            stack.callback(find_site(network, name).register_forward_hook(applied(edit)).remove)
        yield


def site_shapes(network: nn.Module, frame: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape of every site's activation of one frame `[1, …]`, without the batch axis."""
    with torch.no_grad(), record(network, list(sites(network))) as kept:
        network(frame)
    return {name: tuple(value.shape[1:]) for name, value in kept.items()}
