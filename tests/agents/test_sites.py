"""Reading, differentiating and patching named sites, of single observations and of histories, on every architecture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from goalscope.agents.layers import SCALE
from goalscope.agents.network import Network, make_network
from goalscope.agents.sites import donated, patch, record, site_gradient, site_shapes, sites
from goalscope.errors import UnknownNameError
from goalscope.registry import ARCHITECTURES

SHAPE = (4, 9, 9)
EVERY = pytest.mark.parametrize("arch", ARCHITECTURES.names())
BOTH = pytest.mark.parametrize("size", [(8,), (4, 3)], ids=["frames", "histories"])


def network_of(arch: str, seed: int = 0) -> Network:
    return make_network(arch, SHAPE, 4, seed)


def frames(*size: int, seed: int = 0) -> Tensor:
    """`[N, …]`, 8 unless told, or histories `[N, T, …]`."""
    shape = (*(size or (8,)), *SHAPE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def alike(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> bool:
    """Whether logits and values are the same to the bit."""
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def first_logit_and_value(logits: Tensor, values: Tensor) -> Tensor:
    return logits[..., 0] + values


def functional_of(network: Network, obs: Tensor, site: str, nudge: Tensor) -> float:
    """The sum of it over all frames, when a site holds so much more in the first step."""
    with torch.no_grad(), patch(network, {site: lambda own, step: own + nudge * (step == 0)}):
        return float(first_logit_and_value(*network(obs)).sum())


def close(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


@EVERY
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(arch: str) -> None:
    before = torch.random.get_rng_state()
    first, second, other = network_of(arch, 3), network_of(arch, 3), network_of(arch, 4)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs) and not all(torch.equal(a, c) for a, _, c in pairs)


@EVERY
@BOTH
def test_an_identity_patch_changes_nothing_to_the_bit(arch: str, size: tuple[int, ...]) -> None:
    network = network_of(arch)
    plain = network(frames(*size))
    with patch(network, {name: lambda own, step: own.clone() for name in sites(network)}):
        assert alike(network(frames(*size)), plain)


@EVERY
@BOTH
def test_a_patch_of_every_site_by_what_it_held_changes_nothing_to_the_bit(arch: str, size: tuple[int, ...]) -> None:
    network = network_of(arch)
    with record(network, list(sites(network))) as kept:
        plain = network(frames(*size))
    with patch(network, {name: donated(kept[name]) for name in sites(network)}):
        assert alike(network(frames(*size)), plain)


@EVERY
@BOTH
def test_a_patch_of_the_whole_input_equals_the_source_run(arch: str, size: tuple[int, ...]) -> None:
    network = network_of(arch)
    base, source = frames(*size, seed=1), frames(*size, seed=2)
    with record(network, ["input"]) as kept:
        wanted = network(source)
    with patch(network, {"input": donated(kept["input"])}):
        assert alike(network(base), wanted)


@EVERY
@BOTH
def test_a_patch_of_every_site_equals_the_source_run(arch: str, size: tuple[int, ...]) -> None:
    network = network_of(arch)
    base, source = frames(*size, seed=1), frames(*size, seed=2)
    names = [name for name in sites(network) if name != "input"]
    with record(network, names) as kept:
        wanted = network(source)
    with patch(network, {name: donated(kept[name]) for name in names}):
        assert alike(network(base), wanted)
    assert not alike(network(base), wanted)


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
    assert alike(network(frames()), plain)


@EVERY
def test_gradients_reach_the_observation(arch: str) -> None:
    network = network_of(arch)
    obs = (frames() * SCALE).requires_grad_()
    network(obs)[0][:, 0].sum().backward()
    assert obs.grad is not None and obs.grad.abs().sum() > 0


# Histories


@EVERY
def test_a_history_is_answered_as_stepping_by_hand_does(arch: str) -> None:
    network, histories = network_of(arch), frames(4, 3)
    memory, answers = network.initial_memory(4), []
    for now in histories.unbind(1):
        logits, values, memory = network.step(now, memory)
        answers.append((logits, values))
    logits, values = (torch.stack(each, 1) for each in zip(*answers, strict=True))
    assert logits.shape == (4, 3, 4) and values.shape == (4, 3) and memory.shape == (4, network.memory)
    assert alike(network(histories), (logits, values))


@EVERY
def test_only_what_remembers_answers_by_what_it_has_seen_before(arch: str) -> None:
    network, histories = network_of(arch), frames(4, 3)
    logits, values = network(histories)
    fresh = network(histories[:, -1])
    assert torch.allclose(values[:, -1], fresh[1], atol=1e-6) is (network.memory == 0)
    assert torch.allclose(logits[:, -1], fresh[0], atol=1e-7) is (network.memory == 0)


@EVERY
def test_unrolling_equals_a_history_from_every_beginning(arch: str) -> None:
    network, obs = network_of(arch), frames(3, 2)
    begins = torch.tensor([[True, False], [False, True], [False, False]])
    stale = torch.randn(2, network.memory, generator=torch.Generator().manual_seed(0))
    logits, values = network.unroll(obs, stale, begins)
    assert logits.shape == (3, 2, 4) and values.shape == (3, 2)
    whole, later = network(obs[:, :1].transpose(0, 1)), network(obs[1:, 1:].transpose(0, 1))
    close((logits[:, 0], values[:, 0]), (whole[0][0], whole[1][0]))
    close((logits[1:, 1], values[1:, 1]), (later[0][0], later[1][0]))
    before = network.step(obs[0], stale)
    close((logits[0, 1:], values[0, 1:]), (before[0][1:], before[1][1:]))


@EVERY
def test_unrolling_learns_what_a_history_learns(arch: str) -> None:
    network, histories = network_of(arch), frames(4, 3)
    weights = list(network.parameters())
    begins = torch.tensor([True, False, False])[:, None].expand(3, 4)
    slopes = []
    for logits, values in (
        network(histories),
        network.unroll(histories.transpose(0, 1), network.initial_memory(4), begins),
    ):
        loss = logits[..., 0].square().sum() + values.square().sum()
        slopes.append(torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True))
    for own, wanted in zip(*slopes, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-3, atol=1e-4)


@EVERY
def test_what_is_read_of_a_history_has_a_time_axis(arch: str) -> None:
    network, histories = network_of(arch), frames(4, 3)
    shapes = site_shapes(network, frames(1))
    with record(network, list(shapes)) as kept:
        network(histories)
        assert {name: tuple(kept[name].shape) for name in shapes} == {
            name: (4, 3, *shape) for name, shape in shapes.items()
        }
        read = {name: kept[name] for name in shapes}
        network(histories[:, 0])
        for name in shapes:
            torch.testing.assert_close(read[name][:, 0], kept[name])


@EVERY
@BOTH
def test_the_gradient_by_a_site_is_a_quotient_of_differences(arch: str, size: tuple[int, ...]) -> None:
    network, obs = network_of(arch).double(), frames(*size).double() * SCALE
    names = list(sites(network))
    with torch.no_grad(), record(network, names) as kept:
        network(obs)
        shapes = {name: kept[name].shape for name in names}
    for name in names:
        gradient = site_gradient(network, obs, first_logit_and_value, name)
        assert gradient.shape == shapes[name]
        of_first = (gradient[:, 0] if len(size) > 1 else gradient).contiguous()
        steepest = of_first.abs().argmax()
        nudge = torch.zeros_like(of_first)
        nudge.view(-1)[steepest] = 1e-5
        up, down = (functional_of(network, obs, name, nudge * sign) for sign in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(float(of_first.flatten()[steepest]), rel=1e-4)
        assert up != down


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
