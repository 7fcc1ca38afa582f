"""Which sites come before a network's first nonlinearity: there, whatever is patched in is another observation."""

from __future__ import annotations

import torch
from torch import nn

from goalscope.agents.sites import record, sites

TRIED = 32
"""Pairs of random observations whose midpoint is compared with the mean of what they give."""
CLOSE = 1e-4
"""Of a site's largest activation: what rounding may make of an affine map's midpoint."""


def affine_sites(network: nn.Module, shape: tuple[int, ...]) -> frozenset[str]:
    """The sites that are an affine map of the observation, planes `shape` in [0, 1].

    Found by trying, so it holds for any network: of an affine map f((a + b) / 2) is (f(a) + f(b)) / 2. Observations are
    random noise from a fixed seed, in which no object of any family can be seen.
    """
    noise = torch.rand(2, TRIED, *shape, generator=torch.Generator().manual_seed(0))
    names = list(sites(network))
    with torch.no_grad(), record(network, names) as kept:
        network(torch.cat([noise[0], noise[1], noise.mean(0)]))
        found = {name: kept[name].double() for name in names}
    return frozenset(name for name, given in found.items() if _is_midpoint(*torch.split(given, TRIED)))


def _is_midpoint(one: torch.Tensor, other: torch.Tensor, between: torch.Tensor) -> bool:
    return float(((one + other) / 2 - between).abs().max()) <= CLOSE * float(between.abs().max())
