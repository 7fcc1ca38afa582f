"""Reading, differentiating and patching named sites, on every architecture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from goalscope.agents.layers import SCALE
from goalscope.agents.network import make_network
from goalscope.agents.sites import donated, patch, record, site_shapes, sites
from goalscope.errors import UnknownNameError
from goalscope.registry import ARCHITECTURES

SHAPE = (4, 9, 9)
EVERY = pytest.mark.parametrize("arch", ARCHITECTURES.names())


def network_of(arch: str, seed: int = 0) -> nn.Module:
    return make_network(arch, SHAPE, 4, seed)


def frames(n: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@EVERY
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(arch: str) -> None:
    before = torch.random.get_rng_state()
    first, second, other = network_of(arch, 3), network_of(arch, 3), network_of(arch, 4)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs) and not all(torch.equal(a, c) for a, _, c in pairs)


@EVERY
def test_an_identity_patch_changes_nothing_to_the_bit(arch: str) -> None:
    network = network_of(arch)
    plain = network(frames())
    with patch(network, {name: lambda own, step: own.clone() for name in sites(network)}):
        patched = network(frames())
    assert all(torch.equal(a, b) for a, b in zip(plain, patched, strict=True))


@EVERY
def test_a_patch_of_the_whole_input_equals_the_source_run(arch: str) -> None:
    network = network_of(arch)
    base, source = frames(seed=1), frames(seed=2)
    with record(network, ["input"]) as kept:
        wanted = network(source)
    with patch(network, {"input": donated(kept["input"])}):
        found = network(base)
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_a_patch_of_the_last_site_equals_the_source_run() -> None:
    network = network_of("conv")
    with record(network, ["body.dense"]) as kept:
        wanted = network(frames(seed=2))
    with patch(network, {"body.dense": donated(kept["body.dense"])}):
        found = network(frames(seed=1))
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


@EVERY
def test_hooks_are_gone_after_an_exception(arch: str) -> None:
    network = network_of(arch)
    plain = network(frames())
    with (
        pytest.raises(RuntimeError, match="on purpose"),
        record(network, ["input"]),
        patch(network, {"input": lambda own, step: torch.zeros_like(own)}),
    ):
        raise RuntimeError("on purpose")
    assert not any(site._forward_hooks for site in sites(network).values())
    assert all(torch.equal(a, b) for a, b in zip(plain, network(frames()), strict=True))


@EVERY
def test_gradients_reach_the_observation(arch: str) -> None:
    network = network_of(arch)
    obs = (frames() * SCALE).requires_grad_()
    network(obs)[0][:, 0].sum().backward()
    assert obs.grad is not None and obs.grad.abs().sum() > 0


def test_bytes_and_their_scaled_floats_are_the_same_observation() -> None:
    network = network_of("conv")
    for a, b in zip(network(frames()), network(frames() * SCALE), strict=True):
        assert torch.equal(a, b)


def test_sites_have_names_and_shapes() -> None:
    assert site_shapes(network_of("conv"), frames(1)) == {
        "input": (4, 9, 9),
        "body.conv1": (16, 9, 9),
        "body.conv2": (32, 5, 5),
        "body.conv3": (32, 3, 3),
        "body.dense": (64,),
    }


def test_an_unknown_site_is_an_error_with_a_hint() -> None:
    with (
        pytest.raises(UnknownNameError, match=r"no site 'body.dence'. Did you mean 'body.dense'"),
        record(network_of("conv"), ["body.dence"]),
    ):
        pass
