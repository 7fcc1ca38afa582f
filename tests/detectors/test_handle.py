"""The handle: what each track forbids, what counts as issued, budgets, and that its numbers are the network's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.sites import record
from goalscope.detectors.bench import one_thread, untrained_agent
from goalscope.detectors.contrast import policy_site, progress
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import INPUT, AgentHandle
from goalscope.detectors.histories import histories
from goalscope.detectors.query import Query, query_for
from goalscope.detectors.tracks import Budget, Track
from goalscope.envs import Distribution
from goalscope.envs.codes import AGENT
from goalscope.envs.pursuit import coincident
from goalscope.errors import ForbiddenError, OverspentError, UnknownNameError, UnsupportedError
from goalscope.registry import FAMILIES, RECIPES
from goalscope.seeding import generator

RECIPE = RECIPES.load("dish_open")
SEED, BUDGET = 11, Budget()


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    with one_thread():
        yield


@cache
def agent_of(arch: str = "conv", recipe: str = "dish_open") -> Agent:
    """An untrained agent whose policy is not near uniform: what untrained heads say is too faint to test with."""
    agent = untrained_agent(replace(RECIPES.load(recipe), arch=arch, arch_options={}), 0)
    with torch.no_grad():
        for name, weights in agent.network.named_parameters():
            weights.mul_(100 if name == "policy.weight" else 1)
    return agent


def handle(
    track: Track = Track.ROLLOUT, budget: Budget | None = None, arch: str = "conv", seed: int = 0
) -> AgentHandle:
    return AgentHandle(agent_of(arch), track, budget or Budget(), SEED + seed)


@cache
def query() -> Query:
    return query_for(RECIPE, 16)


def value(logits: Tensor, values: Tensor) -> Tensor:
    return values


# What a track allows


Ask = Callable[[AgentHandle, Frames, Frames], object]
NEEDED: dict[str, tuple[Track, Ask]] = {
    "frames": (Track.BLACKBOX, lambda a, f, g: a.frames(4)),
    "outputs": (Track.BLACKBOX, lambda a, f, g: a.outputs(f)),
    "episodes": (Track.BLACKBOX, lambda a, f, g: a.episodes(2)),
    "activations": (Track.WHITEBOX, lambda a, f, g: a.activations(f, ["body.dense"])),
    "gradients": (Track.WHITEBOX, lambda a, f, g: a.gradients(f, value)),
    "site_gradients": (Track.WHITEBOX, lambda a, f, g: a.site_gradients(f, "body.dense", np.ones(64))),
    "line_gradients": (Track.WHITEBOX, lambda a, f, g: a.line_gradients(f, g, value)),
    "patched": (Track.WHITEBOX, lambda a, f, g: a.patched(f, g, "body.dense")),
    "weight_norms": (Track.WHITEBOX, lambda a, f, g: a.weight_norms()),
    "untrained": (Track.WHITEBOX, lambda a, f, g: a.untrained()),
    "bank": (Track.STATIC, lambda a, f, g: a.bank(4)),
    "twins": (Track.STATIC, lambda a, f, g: a.twins(f, "coin")),
    "rollouts": (Track.ROLLOUT, lambda a, f, g: a.rollouts(query(), 2)),
}


@pytest.mark.parametrize("method", NEEDED)
def test_a_lower_track_is_told_which_one_it_needs(method: str) -> None:
    needed, ask = NEEDED[method]
    open_handle = handle()
    frames = open_handle.frames(4)
    others = open_handle.together(frames)
    for track in Track:
        asked = handle(track)
        asked._issued = set(open_handle._issued)
        if track < needed:
            with pytest.raises(ForbiddenError, match=f"for track {needed.label} and above; .* on {track.label}"):
                ask(asked, frames, others)
        elif method != "twins":  # which wants frames of the bank
            ask(asked, frames, others)


# Credit, and work for nothing


FEWER: dict[str, Callable[[AgentHandle], object]] = {
    "frames": lambda a: a.frames(-100),
    "no frames of very long histories": lambda a: a.frames(0, 10**12),
    "episodes": lambda a: a.episodes(-100),
    "bank": lambda a: a.bank(-100),
    "rollouts": lambda a: a.rollouts(query(), -100),
    "points of a line": lambda a: a.line_gradients(a.frames(1), a.frames(1), value, -100),
}


@pytest.mark.parametrize("ask", FEWER.values(), ids=FEWER)
def test_nobody_asks_for_fewer_than_one_and_earns_a_budget(ask: Callable[[AgentHandle], object]) -> None:
    agent = handle()
    with pytest.raises(ForbiddenError, match="Ask for one or more|one layout"):
        ask(agent)
    assert all(count >= 0 for count in agent.tally.counts().values())


def test_a_line_of_points_without_end_is_overspent_at_once_and_between_no_frames_there_is_none() -> None:
    agent = handle()
    frames = agent.frames(2)
    none = frames.take(np.zeros(2, np.bool_))
    with pytest.raises(OverspentError, match="passes were asked for"):
        agent.line_gradients(frames, frames, value, 10**12)
    with pytest.raises(ForbiddenError, match="one or more frames, got none"):
        agent.line_gradients(none, none, value, 10**12)


def test_every_step_of_a_history_counts_on_a_line_too() -> None:
    agent = handle()
    frames = agent.frames(2, 3)
    agent.line_gradients(frames, frames, value, 5)
    assert agent.tally.passes == 2 * 5 * 2 * 3


def test_what_is_multiplied_or_patched_in_has_the_sites_shape() -> None:
    agent = handle()
    frames = agent.frames(4)
    for shape in ([64], [1], [4, 64], [1, 64]):
        agent.site_gradients(frames, "body.dense", np.ones(shape))
        agent.patched(frames, frames, "body.dense", np.ones(shape, np.bool_))
    for shape in ([63], [9, 4, 64], [9, 64], [9, 1, 1]):  # larger than the activation: it would grow with them
        with pytest.raises(ForbiddenError, match=r"Expected weights \[64\] of the site, or \[4, 64\], got"):
            agent.site_gradients(frames, "body.dense", np.ones(shape))
        with pytest.raises(ForbiddenError, match=r"Expected entries \[64\] of the site"):
            agent.patched(frames, frames, "body.dense", np.ones(shape, np.bool_))


# Frames: who issued them


def test_frames_that_nobody_issued_are_refused() -> None:
    agent = handle()
    frames = agent.frames(4)
    with pytest.raises(ForbiddenError, match="got ndarray"):
        agent.outputs(frames.obs)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError, match="were not issued"):
        agent.outputs(replace(frames, obs=255 - frames.obs))
    with pytest.raises(ForbiddenError, match="were not issued"):
        agent.outputs(replace(frames, issue="train 0 to 5"))
    with pytest.raises(ForbiddenError, match="were not issued"):
        agent.outputs(replace(frames, rows=frames.rows[::-1]))


def test_frames_of_another_detector_are_refused() -> None:
    foreign = handle(seed=1).frames(4)
    with pytest.raises(ForbiddenError, match="were not issued"):
        handle().outputs(foreign)
    bank = handle().bank(4)
    with pytest.raises(ForbiddenError, match="issued to another detector"):
        handle(Track.BLACKBOX).outputs(bank)


def test_a_part_of_issued_frames_is_issued() -> None:
    agent = handle()
    frames = agent.frames(8)
    whole, part = agent.outputs(frames), agent.outputs(frames.take([5, 2]))
    assert np.allclose(part.probabilities, whole.probabilities[[5, 2]])


def test_what_is_handed_out_is_read_only() -> None:
    agent = handle()
    frames = agent.frames(4)
    for given in (frames, agent.together(frames), agent.bank(4), frames.take([1, 0]), frames.take(slice(2))):
        with pytest.raises(ValueError, match="read-only"):
            given.obs[0, 0, 0, 0] = 1


def test_frames_are_the_same_for_all_agents_and_others_for_another_seed() -> None:
    other = AgentHandle(untrained_agent(RECIPE, 5), Track.WHITEBOX, Budget(), SEED)
    assert np.array_equal(handle().frames(8).obs, other.frames(8).obs)
    assert not np.array_equal(handle().frames(8).obs, handle(seed=1).frames(8).obs)


def test_further_frames_are_fresh_and_episodes_begin_with_the_first() -> None:
    agent = handle()
    first, second = agent.frames(4), agent.frames(4)
    assert not first.levels.equal(second.levels).any()
    assert agent.episodes(4).levels.equal(first.levels).all()


# Training frames and their partners


@pytest.mark.parametrize("name", ["dish_open", "corner_marked", "shape_two_targets"])
def test_partners_differ_in_the_planes_of_goals_alone_and_coincide(name: str) -> None:
    recipe = RECIPES.load(name)
    agent = AgentHandle(untrained_agent(recipe, 0), Track.BLACKBOX, Budget(), SEED)
    start = agent.frames(32)
    end = agent.together(start)
    changed = (start.obs != end.obs).any((0, 2, 3))
    assert set(np.flatnonzero(changed)) == {plane for planes in agent.planes for plane in planes}
    for frames in (start, end):
        assert frames.is_training
        goals = agent._source.train.goals
        assert coincident(agent.family, frames.levels, goals, agent._source.train.settings).all()
        for planes in agent.planes:
            lit = frames.obs[:, planes].any(1)
            assert np.array_equal(lit, frames.obs[:, agent.planes[0]].any(1))  # where one feature is, the other is
    assert (start.obs != end.obs).any((1, 2, 3)).all()


def test_partners_are_of_training_frames_and_twins_of_the_banks() -> None:
    agent = handle()
    frames, bank = agent.frames(4), agent.bank(4)
    with pytest.raises(ForbiddenError, match="`together` is of training frames"):
        agent.together(bank)
    with pytest.raises(ForbiddenError, match="`together` is of training frames"):
        agent.together(agent.together(frames))
    with pytest.raises(ForbiddenError, match="`twins` are of bank frames"):
        agent.twins(frames, "coin")


def test_twins_differ_in_one_plane() -> None:
    agent = handle()
    bank = agent.bank(8)
    for factor, planes in zip(("coin", "dish"), agent.planes, strict=True):
        changed = (bank.obs != agent.twins(bank, factor).obs).any((0, 2, 3))
        assert np.flatnonzero(changed).tolist() == planes


def test_a_line_runs_within_a_layout_on_training_frames() -> None:
    agent = handle()
    frames, bank = agent.frames(8), agent.bank(8)
    with pytest.raises(ForbiddenError, match="frames of one layout"):
        agent.line_gradients(frames.take(slice(0, 4)), frames.take(slice(4, 8)), value)
    with pytest.raises(ForbiddenError, match="frames of one layout"):
        agent.line_gradients(frames, frames.take(slice(4)), value)
    with pytest.raises(ForbiddenError, match="between two training frames"):
        agent.line_gradients(bank, agent.twins(bank, "coin"), value)


# Budgets


@pytest.mark.parametrize("what", ["frames", "bank_frames", "episodes", "rollouts", "passes", "values"])
def test_a_budget_is_never_overspent(what: str) -> None:
    agent = handle(budget=replace(Budget(), **{what: 5}))
    asks: dict[str, Callable[[], object]] = {
        "frames": lambda: agent.frames(6),
        "bank_frames": lambda: agent.bank(6),
        "episodes": lambda: agent.episodes(6),
        "rollouts": lambda: agent.rollouts(query(), 6),
        "passes": lambda: agent.outputs(agent.frames(6)),
        "values": lambda: agent.activations(agent.frames(1), ["body.dense"]),
    }
    with pytest.raises(OverspentError, match=r"0 of 5 are used up: ask for less"):
        asks[what]()
    assert agent.tally.counts()[what] == 0


def test_time_is_a_budget_too() -> None:
    with pytest.raises(OverspentError, match="0 s allowed"):
        handle(budget=Budget(seconds=0)).frames(1)


def test_the_tally_counts_exactly() -> None:
    agent = handle()
    frames = agent.frames(10)
    end = agent.together(frames)
    agent.outputs(frames)  # 10 passes, 4 + 1 numbers a frame
    agent.activations(frames, ["body.dense"])  # 10 passes, 64 numbers
    agent.gradients(frames, value, "body.dense")  # there and back: 20 passes, 64 numbers
    agent.line_gradients(frames, end, value, 3)  # 60 passes, 3 times an observation
    agent.patched(frames, end, "body.dense")  # donor and base: 20 passes, 4 + 1 numbers
    agent.untrained().outputs(frames)  # on the same tally
    agent.bank(6)
    agent.bank(4)  # four of the six
    agent.episodes(3)  # what came first, length, return
    agent.rollouts(query(), 2)
    assert agent.tally.counts() == {
        "frames": 20,
        "bank_frames": 6,
        "episodes": 3,
        "rollouts": 2,
        "passes": 130,
        "values": 10 * (3 * 5 + 2 * 64 + 3 * 4 * 9 * 9) + 3 * (3 + 2),
    }


# Patches


@pytest.mark.parametrize("arch", ["conv", "mlp"])
def test_a_patch_from_the_same_frames_changes_nothing_to_the_bit(arch: str) -> None:
    agent = handle(arch=arch)
    frames = agent.frames(8)
    plain = agent.outputs(frames)
    for site in list(agent.sites)[1:]:
        found = agent.patched(frames, frames, site)
        assert np.array_equal(found.probabilities, plain.probabilities) and np.array_equal(found.values, plain.values)


def test_a_whole_patch_of_the_last_site_is_the_donors_run() -> None:
    agent = handle()
    base = agent.frames(8)
    donor = agent.together(base)
    wanted, found = agent.outputs(donor), agent.patched(base, donor, "body.dense")
    assert np.array_equal(found.probabilities, wanted.probabilities) and np.array_equal(found.values, wanted.values)
    assert not np.array_equal(wanted.probabilities, agent.outputs(base).probabilities)


@pytest.mark.parametrize(("arch", "site"), [("conv", "body.dense"), ("mlp", "actor.dense2")])
def test_the_policys_site_is_the_last_that_it_reads(arch: str, site: str) -> None:
    agent = handle(arch=arch)
    assert policy_site(agent, agent.frames(16)) == site


def test_a_patch_of_nothing_is_no_patch() -> None:
    agent = handle()
    base = agent.frames(8)
    found = agent.patched(base, agent.together(base), "body.conv2", np.zeros((32, 5, 5), bool))
    assert np.array_equal(found.probabilities, agent.outputs(base).probabilities)


def test_the_observation_cannot_be_patched_nor_a_site_that_is_not_there() -> None:
    agent = handle()
    frames = agent.frames(4)
    with pytest.raises(ForbiddenError, match="observation cannot be patched"):
        agent.patched(frames, frames, INPUT)
    with pytest.raises(UnknownNameError, match="Did you mean 'body.dense'"):
        agent.patched(frames, frames, "body.dence")
    with pytest.raises(ForbiddenError, match="as many donor as base frames"):
        agent.patched(frames, agent.bank(5), "body.dense")


# Gradients


def bare(frames: Frames) -> Tensor:
    return (torch.from_numpy(frames.obs.copy()) / 255).requires_grad_()


@pytest.mark.parametrize("arch", ["conv", "mlp"])
def test_gradients_are_autograds_on_the_bare_network(arch: str) -> None:
    agent, network = handle(arch=arch), agent_of(arch).network
    frames = agent.frames(8)
    obs = bare(frames)
    (wanted,) = torch.autograd.grad(network(obs)[1].sum(), obs)
    assert np.allclose(agent.gradients(frames, value), wanted.numpy(), atol=1e-7)


def test_gradients_of_a_reading_are_autograds_on_the_bare_network() -> None:
    agent, network = handle(), agent_of().network
    frames = agent.frames(8)
    weights = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    obs = bare(frames)
    with record(network, ["body.dense"]) as kept:
        network(obs)
    (wanted,) = torch.autograd.grad((kept["body.dense"] * torch.from_numpy(weights)).sum(), obs)
    assert np.allclose(agent.site_gradients(frames, "body.dense", weights), wanted.numpy(), atol=1e-6)


def test_a_functional_gives_one_number_a_frame() -> None:
    agent = handle()
    with pytest.raises(ForbiddenError, match=r"\[4\], got \[4, 4\]"):
        agent.gradients(agent.frames(4), lambda logits, values: logits)


def test_integrated_gradients_add_up_to_what_changed() -> None:
    agent = handle()
    start = agent.frames(32)
    end = agent.together(start)
    gains = agent.direction(start, end)
    change = (end.obs.astype(np.float64) - start.obs) / 255
    gradients = agent.line_gradients(start, end, progress(gains), 200)
    before, after = ((agent.outputs(f).probabilities * gains).sum(1) for f in (start, end))
    assert (gradients * change).sum((1, 2, 3)) == pytest.approx(after - before, abs=0.01 * np.abs(after - before).max())


def test_integrated_gradients_are_captums() -> None:
    agent, network = handle(), agent_of().network
    start = agent.frames(8)
    end = agent.together(start)
    change = (end.obs.astype(np.float64) - start.obs) / 255
    own = agent.line_gradients(start, end, value, 16) * change
    theirs = IntegratedGradients(lambda obs: network(obs)[1]).attribute(
        bare(end), bare(start), n_steps=16, method="riemann_middle"
    )
    assert np.allclose(own, theirs.detach().numpy(), atol=1e-5)


def test_direction_is_towards_what_was_moved() -> None:
    agent = handle()
    start = agent.frames(32)
    end = agent.together(start)
    gains = agent.direction(start, end)
    assert set(np.unique(gains)) <= {-1.0, 0.0, 1.0} and (gains.max(1) == 1).any()
    assert not agent.direction(start, start).any()


# Controls


def test_an_untrained_network_is_the_same_for_all_agents_of_a_recipe() -> None:
    other = AgentHandle(untrained_agent(RECIPE, 5), Track.WHITEBOX, Budget(), SEED)
    ours, theirs = handle().untrained().weight_norms(), other.untrained().weight_norms()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_initial_weights_are_those_before_training() -> None:
    agent = handle()
    now, before = agent.weight_norms(), agent.weight_norms(initial=True)
    assert now.keys() == before.keys()
    assert np.array_equal(now["body.layer1.weight"], before["body.layer1.weight"])
    assert np.allclose(now["policy.weight"], 100 * before["policy.weight"])


def test_an_agent_that_sees_minigrids_view_has_no_planes_of_goals() -> None:
    recipe = replace(RECIPE, name="run", family="coin_run", query="off_end", knobs={}, view="ego")
    agent = AgentHandle(untrained_agent(recipe, 0), Track.WHITEBOX, BUDGET, SEED)
    with pytest.raises(UnsupportedError, match="coin_run is seen in MiniGrid's 'ego' view"):
        _ = agent.planes


def test_a_goal_that_names_its_planes_is_shown_by_them() -> None:
    recipe = replace(RECIPE, family="two_objectives", query="apart", knobs={})
    agent = AgentHandle(untrained_agent(recipe, 0), Track.WHITEBOX, BUDGET, SEED)
    family = agent.family
    names = [plane.name for plane in family.look(family.settings()).planes]
    assert [{names[i] for i in planes} for planes in agent.planes] == [{"value"}, {"feature 0"}]


@pytest.mark.parametrize("arch", ["conv", "lstm"])
def test_histories_give_what_is_read_a_time_axis(arch: str) -> None:
    agent, steps = handle(arch=arch), 3
    frames = agent.frames(6, steps)
    assert frames.obs.shape == (6, steps, *agent.sites[INPUT])
    site = list(agent.sites)[-1]
    said, inside = agent.outputs(frames), agent.activations(frames, [site])[site]
    assert said.probabilities.shape == (6, steps, 4) and said.values.shape == (6, steps)
    assert inside.shape == (6, steps, *agent.sites[site])
    assert agent.gradients(frames, value, site).shape == inside.shape
    assert np.array_equal(agent.patched(frames, frames, site).probabilities, said.probabilities)
    assert agent.tally.frames == 6 * steps


def test_only_what_remembers_answers_by_the_history() -> None:
    for arch, remembers in (("conv", False), ("lstm", True)):
        agent = handle(arch=arch)
        frames = agent.frames(8, 4)
        last = agent_of(arch).network(torch.from_numpy(frames.obs[:, -1].copy()))[0]
        alone = torch.softmax(last.double(), -1).detach().numpy()
        assert np.allclose(agent.outputs(frames).probabilities[:, -1], alone, atol=1e-5) != remembers


@pytest.mark.parametrize("family", FAMILIES.names())
def test_walks_enter_nothing_that_counts_and_stay_coincident(family: str) -> None:
    distribution = Distribution(FAMILIES.load(family), split="reference")
    levels = distribution.draw(range(8))
    steps = 12
    for view in ("planes", "full"):
        seen = histories(distribution, levels, steps, view, generator("walks"))
        again = histories(distribution, levels, steps, view, generator("walks"))
        assert seen.shape[:2] == (8, steps) and np.array_equal(seen, again)
    where = (seen[..., 0] == AGENT).reshape(8, steps, -1).argmax(-1)
    assert (where[:, 1:] != where[:, :-1]).mean() > 0.1
    width = levels.canvas[0]
    for t in range(steps):
        visited = levels.take(slice(None))
        visited.agent[:, 0], visited.agent[:, 1] = where[:, t] // width, where[:, t] % width
        assert coincident(distribution.family, visited, distribution.goals, distribution.settings).all()


def test_histories_have_no_other_ends_of_a_line() -> None:
    agent = handle()
    with pytest.raises(ForbiddenError, match="as `frames` returned them"):
        agent.together(agent.frames(4, 2))
    with pytest.raises(ForbiddenError, match="at least one step"):
        agent.frames(4, 0)
    with pytest.raises(ForbiddenError, match="of one kind"):
        agent.patched(agent.frames(4), agent.frames(4, 2), "body.dense")
