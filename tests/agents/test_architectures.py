"""What each architecture is: known answers, symmetries, which sites everything passes through."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from goalscope.agents.architectures.drc import DRC, Boundary, with_ticks
from goalscope.agents.architectures.lstm import LSTM
from goalscope.agents.network import Network, make_network
from goalscope.agents.sites import donated, patch, record, site_shapes, sites
from goalscope.agents.thinking import with_thinking
from goalscope.errors import UnsupportedError

SHAPE = (4, 9, 9)
CUTS = {
    "conv": ["body.conv1", "body.conv2", "body.conv3", "body.dense"],
    "residual": [*(f"body.stage{s}.block1.residual" for s in (1, 2, 3)), "body.dense"],
    "lstm": ["body.conv1", "body.conv2", "body.conv3", "body.dense", "core.h"],
    "drc": ["body.conv1", "core.tick2.layer2.h", "readout.dense"],
    "transformer": ["body.tokens", "body.block1.residual", "body.block2.residual", "body.pooled"],
}
"""Sites that all the logits know of a frame passes through."""
PARTS = {
    "lstm": ["core.c"],
    "drc": ["core.tick1.layer1.h", "core.tick2.layer1.h", "core.tick2.layer2.c"],
    "transformer": ["body.block1.attention", "body.block2.mlp"],
}
"""Sites that something passes by."""
FIRST_LAYERS = {
    "conv": "body.layer1",
    "residual": "body.stage1.layer",
    "lstm": "body.layer1",
    "drc": "body.layer1",
    "transformer": "body.layer",
}


def network_of(arch: str, shape: tuple[int, ...] = SHAPE, **options: float) -> Network:
    """Untrained, with heads a hundred times as loud: a difference in what they read shows."""
    network = make_network(arch, shape, 4, 0, **options)
    with torch.no_grad():
        network.get_parameter("policy.weight").mul_(100)
    return network


def frames(*size: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (*size, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def patched_logits(network: Network, site: str, base: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of the source, and of the base with the source's activations at a site."""
    with torch.no_grad(), record(network, [site]) as kept:
        wanted = network(source)[0]
    with torch.no_grad(), patch(network, {site: donated(kept[site])}):
        return wanted, network(base)[0]


@pytest.mark.parametrize("size", [(6,), (6, 3)], ids=["frames", "histories"])
@pytest.mark.parametrize(("arch", "site"), [(arch, site) for arch, names in CUTS.items() for site in names])
def test_a_full_patch_of_a_cut_equals_the_source_run(arch: str, site: str, size: tuple[int, ...]) -> None:
    network, base, source = network_of(arch), frames(*size, seed=1), frames(*size, seed=2)
    wanted, found = patched_logits(network, site, base, source)
    assert torch.equal(found, wanted)
    assert not torch.allclose(network(base)[0], wanted)


@pytest.mark.parametrize(("arch", "site"), [(arch, site) for arch, names in PARTS.items() for site in names])
def test_a_full_patch_of_less_than_a_cut_is_something_else(arch: str, site: str) -> None:
    network, base, source = network_of(arch), frames(6, seed=1), frames(6, seed=2)
    wanted, found = patched_logits(network, site, base, source)
    assert not torch.allclose(found, wanted)
    assert not torch.allclose(found, network(base)[0])


@pytest.mark.parametrize(("arch", "layer"), FIRST_LAYERS.items())
def test_the_first_gain_multiplies_the_first_layers_weights_alone(arch: str, layer: str) -> None:
    plain, louder = (dict(make_network(arch, SHAPE, 4, 0, first_gain=gain).named_parameters()) for gain in (1.0, 3.0))
    first = f"{layer}.weight"
    assert torch.allclose(louder[first], 3 * plain[first], rtol=1e-5)
    assert all(torch.equal(louder[name], plain[name]) for name in plain if name != first)


@pytest.mark.parametrize("arch", CUTS)
@pytest.mark.parametrize("size", [(9, 9), (7, 7), (13, 13)])
def test_minigrids_views_become_planes(arch: str, size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(0)
    codes = [torch.randint(0, most, (5, *size, 1), generator=random) for most in (11, 6, 4)]
    view = torch.cat(codes, dim=-1).to(torch.uint8)
    network = network_of(arch, (*size, 3))
    with record(network, ["input"]) as kept:
        logits = network(view)[0]
    assert kept["input"].shape == (5, 21, *size)
    assert logits.shape == (5, 4)
    assert not torch.allclose(logits[0], logits[1])


# residual


def test_a_block_of_zero_weights_passes_its_input_on() -> None:
    network = network_of("residual")
    with torch.no_grad():
        network.get_parameter("body.stage2.block1.layer2.weight").zero_()
    with record(network, ["body.stage2.block1.residual"]) as kept:
        network(frames(2))
    layer = network.get_submodule("body.stage2.layer")
    with record(network, ["body.stage1.block1.residual"]) as before:
        network(frames(2))
    assert torch.equal(kept["body.stage2.block1.residual"], layer(before["body.stage1.block1.residual"]))


# lstm


def test_the_lstm_is_torchs() -> None:
    own, torchs = LSTM(5, 3), nn.LSTMCell(5, 3)
    weight, bias = own.get_parameter("layer.weight"), own.get_parameter("layer.bias")
    with torch.no_grad():
        let_in, keep, show, new = weight.chunk(4)
        bias_in, bias_keep, bias_show, bias_new = bias.normal_().chunk(4)
        weights = torch.cat([let_in, keep, new, show])  # torch's order of the gates
        torchs.weight_ih.copy_(weights[:, :5])
        torchs.weight_hh.copy_(weights[:, 5:])
        torchs.bias_ih.copy_(torch.cat([bias_in, bias_keep, bias_new, bias_show]))
        torchs.bias_hh.zero_()
    features, memory = torch.randn(7, 5), torch.randn(7, 6)
    h, c = torchs(features, (memory[:, :3], memory[:, 3:]))
    shown, after = own(features, memory)
    torch.testing.assert_close(shown, h)
    torch.testing.assert_close(after, torch.cat([h, c], dim=1))


# drc


def test_a_drc_passes_a_site_of_its_own_for_every_layer_at_every_tick() -> None:
    network = network_of("drc", layers=2, ticks=3, channels=5)
    maps = {f"core.tick{n}.layer{d}.{what}": (5, 9, 9) for n in (1, 2, 3) for d in (1, 2) for what in "ch"}
    assert site_shapes(network, frames(1)) == {
        "input": SHAPE,
        "body.conv1": (5, 9, 9),
        **maps,
        "readout.dense": (64,),
    }
    with record(network, list(sites(network))) as kept:
        network(frames(2))
    assert {name: len(passed) for name, passed in kept.steps.items()} == dict.fromkeys(sites(network), 1)
    assert network.memory == 2 * 2 * 5 * 9 * 9


def test_the_boundary_is_a_plane_of_ones_around_zeros() -> None:
    framed = Boundary()(torch.full((2, 1, 3, 4), 7.0))
    assert torch.equal(framed[:, :1], torch.full((2, 1, 3, 4), 7.0))
    assert framed[1, 1].tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]


@torch.no_grad()
def test_two_ticks_in_one_step_are_one_tick_in_two_steps_on_the_same_observation() -> None:
    twice = network_of("drc", layers=3, ticks=2, channels=4)
    once = with_ticks(twice, 1)
    start = torch.randn(5, twice.memory)
    logits, value, memory = twice.step(frames(5), start)
    found = once.step(frames(5), once.step(frames(5), start)[2])
    assert all(torch.equal(a, b) for a, b in zip(found, (logits, value, memory), strict=True))


@torch.no_grad()
def test_ticks_can_be_raised_and_lowered_without_touching_the_weights() -> None:
    network = network_of("drc", ticks=2)
    plain = network(frames(4))[0]
    longer = with_ticks(network, 5)
    weights, same = network.state_dict(), longer.state_dict()
    assert weights.keys() == same.keys() and all(torch.equal(weights[name], same[name]) for name in weights)
    assert [name for name in sites(longer) if name.endswith("layer1.h")] == [
        f"core.tick{n}.layer1.h" for n in range(1, 6)
    ]
    with record(longer, ["core.tick2.layer2.h"]) as kept, record(network, ["core.tick2.layer2.h"]) as original:
        assert not torch.allclose(longer(frames(4))[0], plain)
        assert torch.equal(network(frames(4))[0], plain)
    assert torch.equal(kept["core.tick2.layer2.h"], original["core.tick2.layer2.h"])
    assert torch.equal(with_ticks(longer, 2)(frames(4))[0], plain)


@pytest.mark.parametrize(("arch", "ticks"), [("conv", 3), ("lstm", 3), ("drc", 0)])
def test_only_a_drc_has_ticks_and_at_least_one(arch: str, ticks: int) -> None:
    with pytest.raises(UnsupportedError, match=f"at least 1; got {ticks}"):
        with_ticks(network_of(arch), ticks)


@torch.no_grad()
def test_the_last_layer_is_below_the_first_one_tick_later() -> None:
    network = network_of("drc", ticks=2)
    watched = ["core.tick1.layer1.h", "core.tick2.layer1.h"]
    with record(network, watched) as kept:
        network(frames(3))
        before = {name: kept[name] for name in watched}
        with patch(network, {"core.tick1.layer2.h": lambda own, step: own + 1}):
            network(frames(3))
    assert torch.equal(kept[watched[0]], before[watched[0]])
    assert not torch.allclose(kept[watched[1]], before[watched[1]])


@torch.no_grad()
@pytest.mark.parametrize("pools", [True, False])
def test_what_a_corner_holds_reaches_the_other_in_one_tick_by_pooling_alone(pools: bool) -> None:
    network = network_of("drc", ticks=2, layers=1)
    assert isinstance(network.core, DRC)
    network.core.layers[0].get_parameter("pooled.weight").mul_(float(pools))

    def shout(own: Tensor, step: int) -> Tensor:
        louder = own.clone()
        louder[..., 0, 0] += 5
        return louder

    with record(network, ["core.tick2.layer1.h"]) as kept:
        network(frames(3))
        before = kept["core.tick2.layer1.h"]
        with patch(network, {"core.tick1.layer1.h": shout}):
            network(frames(3))
    moved = (kept["core.tick2.layer1.h"] - before).abs().amax((0, 1)) > 1e-6
    assert moved[:2, :2].all()
    assert moved[8, 8] == pools


# Thinking


@torch.no_grad()
@pytest.mark.parametrize("arch", ["lstm", "drc"])
def test_looks_are_steps_on_the_first_observation(arch: str) -> None:
    network, history = network_of(arch), frames(3, 4)
    patient = with_thinking(network, 2)
    longer = torch.cat([history[:, :1], history[:, :1], history], dim=1)
    assert torch.equal(patient(history)[0], network(longer)[0][:, 2:])
    assert torch.equal(patient(history[:, 0])[0], network(longer)[0][:, 2])
    assert not torch.allclose(patient(history)[0], network(history)[0])


@torch.no_grad()
def test_only_where_an_episode_begins_there_is_time_to_think() -> None:
    patient = with_thinking(network_of("lstm"), 3)
    history = frames(3, 4)
    begins = torch.tensor([[1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.bool)
    found = patient.unroll(history.transpose(0, 1), patient.initial_memory(3), begins)[0]
    apart = [patient(history[0:1])[0], patient(history[1:2, 1:])[0], patient(history[2:3, :3])[0]]
    for wanted, own in zip(apart, (found[:, 0], found[1:, 1], found[:3, 2]), strict=True):
        torch.testing.assert_close(own, wanted[0])
    torch.testing.assert_close(found[3, 2], patient(history[2:3, 3])[0][0])


def test_without_memory_there_is_nothing_to_think_with() -> None:
    network = network_of("conv")
    assert with_thinking(network, 5) is network


# transformer


@torch.no_grad()
def test_attention_is_a_distribution_over_the_cells() -> None:
    network = network_of("transformer")
    with record(network, ["body.block1.attention"]) as kept:
        network(frames(3))
    pattern = kept["body.block1.attention"]
    assert pattern.shape == (3, 4, 81, 81)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(3, 4, 81))


@torch.no_grad()
@pytest.mark.parametrize("knows_places", [True, False])
def test_by_rows_and_columns_alone_it_tells_cells_apart(knows_places: bool) -> None:
    network = network_of("transformer").double()
    for name in ("body.place.row", "body.place.column"):
        network.get_parameter(name).mul_(float(knows_places))
    obs = frames(3).double() / 255
    order = torch.randperm(81, generator=torch.Generator().manual_seed(0))
    shuffled = obs.flatten(2)[..., order].view_as(obs)
    assert torch.allclose(network(obs)[0], network(shuffled)[0]) is not knows_places
