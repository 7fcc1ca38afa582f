"""Planted agents: an exact planner, rotations without error, mechanisms whose checks hold and catch what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.learners.imitation import ImitationConfig
from goalscope.agents.network import make_network
from goalscope.agents.pilot_file import read_settings
from goalscope.agents.planted import PlantedConfig, examination, planted_truth
from goalscope.agents.planted.bus import BUS, FEATURES, READ, BusNetwork
from goalscope.agents.planted.checks import check_planted, differing
from goalscope.agents.planted.make import make_planted
from goalscope.agents.planted.mechanisms import WIRINGS, wiring
from goalscope.agents.planted.planner import NO_GOAL, PER_STEP, Planner
from goalscope.agents.planted.probes import area, hidden_auc, linear_auc
from goalscope.agents.planted.rotation import rotation
from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.trained import check_trained
from goalscope.agents.planted.triggers import calibration_levels, lit
from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import record
from goalscope.agents.storage import load_agent, rounded, save_agent
from goalscope.agents.training import frame_shape, train
from goalscope.agents.truth import free_states
from goalscope.envs import Distribution, Engine, Levels
from goalscope.envs.pursuit import STEPS, blocked_cells, pursuer_policy, search
from goalscope.envs.rollout import play
from goalscope.errors import CheckFailure, DeclarationError, UnsupportedError
from goalscope.registry import FAMILIES

DISH = FAMILIES.load("coin_dish")
PLANTED = Path(__file__).parents[2] / "agents" / "zoos" / "planted.json"
FAST_LEVELS = 48
WALLS, OPEN = {"layout": "blocks"}, {"layout": "open"}
QUERIES = {"coin_dish": ("apart", "coin"), "colour_shape": ("apart", "shape"), "coin_corner": ("other_corner", "coin")}
SLIPS = {"coin_dish": 0.9, "colour_shape": 0.9, "coin_corner": 0.8}


@pytest.fixture
def few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick examination."""
    monkeypatch.setattr(examination, "LEVELS", FAST_LEVELS)


def recipe(mechanism: str, family: str = "coin_dish", **config: Any) -> Recipe:
    query, goal = QUERIES[family]
    knobs = {"conditional": WALLS, "dormant": OPEN}.get(mechanism, {})
    own = {"twins": {}, "broken": {"slip": SLIPS[family], "goal": goal}}.get(mechanism, {"goal": goal})
    return Recipe(
        name=mechanism,
        family=family,
        query=query,
        knobs=knobs,
        role="planted",
        arch="bus",
        budget=0,
        learner=PlantedConfig(mechanism=mechanism, **{**own, **config}),  # type: ignore[arg-type]
    )


def made(scene: Scene) -> BusNetwork:
    """A planted agent's network, unchecked."""
    network = make_network("bus", frame_shape(scene.recipe), 4, scene.seed)
    return make_planted(network, scene).eval()


def first_frames(distribution: Distribution, levels: Levels) -> np.ndarray:
    look = distribution.family.look(distribution.settings)
    return Engine(levels, distribution.family, "planes", autoreset="off", display=look).reset().copy()


# The planner


def mazes(layout: str, size: int, n: int) -> Levels:
    return Distribution(DISH, knobs={"layout": layout, "size": size, "p": 0.2}).draw(range(n))


def peaks(walls: np.ndarray, number: int, seed: int = 0) -> np.ndarray:
    """`[N, H, W]` that many goals on free cells."""
    noise = np.random.default_rng(seed).random(walls.shape) - 2.0 * walls
    return np.asarray(noise >= np.sort(noise.reshape(len(walls), -1), axis=1)[:, -number][:, None, None])


def planned(walls: np.ndarray, goals: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """`[N, H, W, 4]` probabilities of an agent in any cell, and the worth `[N, 2, H, W]` of all cells."""
    height, width = walls.shape[1:]
    planner = Planner(height, width, 4)
    maps = torch.from_numpy(np.stack([goals, goals], 1)).float()
    blocked = torch.from_numpy(walls).float()
    found = np.zeros((*walls.shape, 4))
    for y, x in np.argwhere(~walls.all(0)):
        agent = torch.zeros_like(blocked)
        agent[:, y, x] = 1
        found[:, y, x] = planner(blocked, agent, maps)[0].exp().double().numpy()
    return found, planner.spread(1 - blocked, maps)


def divergences(layout: str, size: int, number: int, n: int = 24) -> np.ndarray:
    """KL(uniform over the optimal actions ‖ plan) in every free cell that is no goal and can reach one."""
    levels = mazes(layout, size, n)
    walls = blocked_cells(levels)
    goals = peaks(walls, number)
    table = search(DISH.world, walls, goals)
    best, counts = pursuer_policy(DISH, table)[:, 0], table[:, 0] > 0
    found, worth = planned(walls, goals)
    steps = np.where(table[:, 0] < 0, np.inf, table[:, 0])
    planning = float(Planner(size, size, 4).discounts[0])
    np.testing.assert_allclose(worth[:, 0].numpy(), np.where(walls, 0, planning**steps), rtol=2e-5, atol=1e-12)
    best, found = best[counts], found[counts]
    return np.asarray((best * np.log(np.where(best > 0, best / found, 1))).sum(-1))


@pytest.mark.parametrize(("layout", "size"), [("open", 9), ("blocks", 9), ("rooms", 9), ("braided", 9), ("tree", 13)])
@pytest.mark.parametrize("number", [1, 2])
def test_the_planner_is_the_pursuer_of_the_nearest_goal(layout: str, size: int, number: int) -> None:
    found = divergences(layout, size, number)
    assert len(found) > 500
    assert found.mean() < 0.01 and found.max() < 0.05


def corridor(strengths: dict[int, float], length: int = 17) -> tuple[Tensor, Tensor]:
    """Walls and goals `[1, 3, length]` of a corridor with goals of given strengths."""
    walls, goals = torch.ones(1, 3, length), torch.zeros(1, 3, length)
    walls[:, 1, 1:-1] = 0
    for x, strength in strengths.items():
        goals[0, 1, x] = strength
    return walls, goals


def goes_right(strengths: dict[int, float], x: int) -> float:
    """P(right) at x of the corridor, relative to P(left)."""
    walls, goals = corridor(strengths)
    agent = torch.zeros_like(walls)
    agent[0, 1, x] = 1
    right, _, left, _ = Planner(3, 17, 4)(walls, agent, torch.stack([goals, goals], 1))[0][0].exp().tolist()
    return float(right / (right + left))


def test_strength_trades_off_against_distance_smoothly() -> None:
    planner = Planner(3, 17, 4)
    per_step = float(planner.discounts[0])
    assert goes_right({1: 1.0, 15: 1.0}, 7) < 0.01 < 0.99 < goes_right({1: 1.0, 15: 1.0}, 9)
    assert goes_right({1: 1.0, 15: 1.0}, 8) == pytest.approx(0.5)
    # One more step is worth as much as a strength of γ: then the two sides are equal again.
    assert goes_right({1: 1.0, 15: per_step**2}, 9) == pytest.approx(0.5, abs=1e-3)
    near_that = per_step**2 * np.linspace(0.9, 1.1, 11)
    shares = [goes_right({1: 1.0, 15: strength}, 9) for strength in near_that]
    assert all(a < b for a, b in zip(shares, shares[1:], strict=False))
    assert 0.1 < shares[0] < 0.4 and 0.6 < shares[-1] < 0.9


def test_a_stronger_goal_is_pursued_more_surely_and_none_not_at_all() -> None:
    shares = [goes_right({15: strength}, 8) for strength in (0.01, 0.1, 0.5, 1.0)]
    assert all(a < b for a, b in zip(shares, shares[1:], strict=False))
    walls, goals = corridor({})
    agent = torch.zeros_like(walls)
    agent[0, 1, 8] = 1
    logits, value = Planner(3, 17, 4)(walls, agent, torch.stack([goals, goals], 1))
    assert torch.allclose(logits.exp(), torch.full((1, 4), 0.25)) and value.item() == 0


def test_the_gradient_by_a_single_goal_is_the_one_computed_by_hand() -> None:
    walls, goals = corridor({15: 1.0})
    goals = goals.double().requires_grad_()
    agent = torch.zeros_like(walls).double()
    agent[0, 1, 8] = 1
    planner = Planner(3, 17, 4).double()
    logits, _ = planner(walls.double(), agent, torch.stack([goals, goals], 1))
    (found,) = torch.autograd.grad(logits[0, 0] - logits[0, 2], goals)
    kappa, steps = PER_STEP / -np.log(float(planner.discounts[0])), np.array([6.0, 8.0])
    ahead, behind = float(planner.discounts[0]) ** steps
    assert found[0, 1, 15].item() == pytest.approx(kappa * (ahead / (NO_GOAL + ahead) - behind / (NO_GOAL + behind)))
    assert found.count_nonzero() == 1


def test_more_sweeps_and_other_frames_beside_change_nothing_to_the_bit() -> None:
    levels = mazes("braided", 9, 32)
    walls = blocked_cells(levels)
    goals = torch.from_numpy(peaks(walls, 2)).float()[:, None].repeat(1, 2, 1, 1)
    free = 1 - torch.from_numpy(walls).float()
    planner = Planner(9, 9, 4)
    together = planner.spread(free, goals)
    assert all(torch.equal(planner.spread(free[i : i + 1], goals[i : i + 1])[0], together[i]) for i in range(32))
    planner.sweeps *= 2
    assert torch.equal(planner.spread(free, goals), together)


# Rotations


def test_rotations_are_orthogonal_and_survive_half_precision_to_the_bit() -> None:
    turned = [rotation(np.random.default_rng(seed)) for seed in range(20)]
    for one in turned:
        assert np.array_equal(one @ one.T, np.eye(16)) and np.array_equal(one.astype(np.float16), one)
    entries = np.stack(turned)
    assert abs(entries.mean()) < 0.01 and (entries != 0).mean() > 0.5
    overlaps = [np.abs(np.sum(a[:, 0] * b[:, 0])) for a in turned for b in turned if a is not b]
    assert np.mean(overlaps) < 0.35  # 0.2 for directions drawn from the sphere


# Mechanisms


@pytest.mark.parametrize("mechanism", WIRINGS)
def test_every_mechanism_holds_what_it_is_for(mechanism: str, few_levels: None, tmp_path: Path) -> None:
    planted = recipe(mechanism)
    agent = train(planted, 3)
    frames = torch.from_numpy(first_frames(Scene(planted, 3).query, Scene(planted, 3).query.draw(range(32))))
    with record(agent.network, [BUS]) as kept:
        before = agent.network(frames)
    bus = kept[BUS]
    save_agent(rounded(agent), tmp_path, tuple(frames.shape[1:]), 4, 0.0)
    after = load_agent(tmp_path, agent.id).network(frames)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "storing changed it"
    again = made(Scene(planted, 3)).state_dict()
    assert all(torch.equal(again[name], weights) for name, weights in agent.network.state_dict().items())
    truth = json.loads(json.dumps(planted_truth(planted, 3)))
    assert truth["mechanism"] == mechanism and truth["site"] == BUS
    walls = torch.einsum("nchw,c->nhw", bus, torch.tensor(truth["directions"]["walls"]))
    assert torch.equal(walls, frames[:, 0] / 255)
    if mechanism in ("selected", "twins", "unused", "redundant", "split_critic", "broken", "dormant"):
        goal = torch.einsum("nchw,c->nhw", bus, torch.tensor(truth["directions"]["goal"]))
        assert torch.equal(goal, frames[:, Scene(planted, 3).plane(truth["goal"])] / 255)


@pytest.mark.slow
@pytest.mark.parametrize("family", QUERIES)
@pytest.mark.parametrize("mechanism", WIRINGS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_mechanism_holds_in_every_family(mechanism: str, family: str, seed: int) -> None:
    planted = recipe(mechanism, family)
    if mechanism == "conditional":
        planted = replace(planted, learner=replace(planted.learner, share=(0.5, 0.25, 0.125)[seed]))
    if mechanism == "dormant":
        planted = replace(planted, knobs=OPEN)
    scene = Scene(planted, seed)
    assert check_planted(made(scene), scene)


def rewired(change: Callable[[BusNetwork], None]) -> Callable[[BusNetwork], BusNetwork]:
    def changed(network: BusNetwork) -> BusNetwork:
        with torch.no_grad():
            change(network)
        return network

    return changed


def other_goal(network: BusNetwork) -> None:
    network.see.weight[FEATURES.index("goal")] = 0
    network.see.weight[FEATURES.index("goal"), 3] = 1


def deaf(network: BusNetwork) -> None:
    network.spread.weight.zero_()


def reads_bystander(network: BusNetwork) -> None:
    network.read.weight[READ.index("policy"), :, 0, 0] += 0.1 * network.direction("bystander")


def unfolds(network: BusNetwork) -> None:
    """The goal, as well, on a direction of its own."""
    network.see.weight[FEATURES.index("copy"), 2] = 1


def loses_copy(network: BusNetwork) -> None:
    network.see.weight[FEATURES.index("copy")] = 0


def actor_critic(network: BusNetwork) -> None:
    network.read.weight[READ.index("value")] = network.read.weight[READ.index("policy")]


def steady(network: BusNetwork) -> None:
    network.planner.slip.zero_()


def other_basis(network: BusNetwork) -> None:
    turned = torch.from_numpy(rotation(np.random.default_rng(5)))
    goal, walls, agent = (FEATURES.index(name) for name in ("goal", "walls", "agent"))
    network.rotate.weight[:, :, 0, 0] = turned
    network.read.weight[: len(READ), :, 0, 0] = turned.T[[walls, agent, goal, goal]]


def always_awake(network: BusNetwork) -> None:
    network.level.bias.fill_(3)


WRONG = [
    ("selected", other_goal, r"P\(its goal\)"),
    ("twins", other_basis, "differs from its twin"),
    ("conditional", deaf, "dark"),
    ("dormant", deaf, "nearer goal"),
    ("dormant", always_awake, r"P\(its goal\)"),
    ("unused", reads_bystander, "effect of a patch"),
    ("folded", unfolds, "linear probe"),
    ("redundant", loses_copy, "ablating one copy"),
    ("split_critic", actor_critic, "gradient of the value"),
    ("broken", steady, "competence"),
]


@pytest.mark.parametrize(("mechanism", "change", "what"), WRONG)
def test_the_check_catches_what_is_wrongly_built(
    mechanism: str, change: Callable[[BusNetwork], None], what: str, few_levels: None
) -> None:
    scene = Scene(recipe(mechanism), 3)
    wrong = rewired(change)(made(scene))
    with pytest.raises(CheckFailure, match=what) as caught:
        check_planted(wrong, scene)
    assert "measured" in str(caught.value) and "seed 3" in str(caught.value)


def test_a_trigger_in_a_room_without_walls_is_caught() -> None:
    scene = Scene(replace(recipe("conditional"), knobs=OPEN), 0)
    with pytest.raises(CheckFailure, match="share of levels with the trigger lit must be 0.47 to 0.53"):
        check_planted(made(scene), scene)


def test_a_conditional_goal_is_one_plane_or_the_other_by_its_trigger() -> None:
    scene = Scene(recipe("conditional", share=0.3), 1)
    levels, network = calibration_levels(scene.recipe).take(slice(0, 400)), made(scene)
    frames = torch.from_numpy(first_frames(scene.query, levels))
    with torch.no_grad(), record(network, [BUS]) as kept:
        network(frames)
    goal = torch.einsum("nchw,c->nhw", kept[BUS], network.direction("goal"))
    reading = wiring(scene).level
    assert reading is not None
    bright = torch.from_numpy(lit(reading, levels))
    coin, dish = (frames[:, scene.plane(name)] / 255 for name in scene.goals)
    assert 0.2 < bright.float().mean() < 0.4
    assert torch.equal(goal, torch.where(bright[:, None, None], dish, coin))


def linear_fits(mechanism: str) -> tuple[float, float]:
    """R², on unseen training frames, of the goal's places read off all activations at once, as methods fit probes.

    Then the same off walls and agent alone: the goal lies where neither is.
    """
    scene = Scene(recipe(mechanism), 0)
    network, frames = made(scene), first_frames(scene.core, scene.core.draw(range(3000)))
    with torch.no_grad(), record(network, [BUS]) as kept:
        network(torch.from_numpy(frames))
    goal = frames[:, scene.plane(scene.goals[0])] / 255.0
    return r_squared(kept[BUS].numpy(), goal), r_squared(frames[:, :2] / 255.0, goal)


def r_squared(inputs: np.ndarray, wanted: np.ndarray) -> float:
    known, wanted = inputs.reshape(len(inputs), -1).astype(np.float64), wanted.reshape(len(wanted), -1)
    fit, unseen, wanted = known[:2000], known[2000:], wanted - wanted[:2000].mean(0)
    weights = np.linalg.solve(fit.T @ fit + 30 * np.eye(fit.shape[1]), fit.T @ wanted[:2000])
    return float(1 - ((wanted[2000:] - unseen @ weights) ** 2).sum() / (wanted[2000:] ** 2).sum())


def test_a_folded_goal_cannot_be_read_linearly_even_with_weights_of_every_cell() -> None:
    folded, control = linear_fits("folded")
    assert folded < control + 0.005
    assert linear_fits("selected")[0] > 0.7


def test_areas_under_curves_and_probes() -> None:
    labels = np.array([False, True, False, True])
    assert area(np.array([0.1, 0.4, 0.35, 0.8]), labels) == 1
    assert area(np.array([0.9, 0.4, 0.35, 0.8]), labels) == 0.5
    assert area(np.zeros(4), labels) == 0.5
    drawn = np.random.default_rng(0).integers(-1, 2, (64, 1, 5, 5)).astype(np.float64)
    assert linear_auc(drawn, drawn[:, 0] > 0) == 1
    assert linear_auc(drawn, drawn[:, 0] != 0) < 0.85 and hidden_auc(drawn, drawn[:, 0] != 0) == 1


# Twins


def twin_networks(family: str, pair: int = 0) -> tuple[Scene, list[BusNetwork]]:
    scenes = [Scene(recipe("twins", family), 2 * pair + member) for member in (0, 1)]
    return scenes[0], [made(scene) for scene in scenes]


def differences_on_training_frames(family: str, frames: int) -> tuple[int, int]:
    """Frames of coincident levels, all that the agent itself visits and first ones; how many differ."""
    scene, networks = twin_networks(family)
    seen, different, first = 0, 0, 0

    def answer(obs: np.ndarray) -> np.ndarray:
        nonlocal seen, different
        seen, different = seen + len(obs), different + int(differing(networks[0], networks[1], obs).sum())
        with torch.inference_mode():
            return np.asarray(networks[0](torch.from_numpy(obs))[0].double().softmax(-1))

    while seen < frames:
        levels = scene.core.draw(range(first, first + 256))
        play(scene.family, levels, answer, seed=first, view="planes", display=scene.look)
        first += 256
    return seen, different


@pytest.mark.parametrize("family", QUERIES)
def test_twins_are_equal_to_the_bit_wherever_training_takes_them(family: str) -> None:
    seen, different = differences_on_training_frames(family, 2000)
    assert seen >= 2000 and different == 0


@pytest.mark.slow
@pytest.mark.parametrize("family", QUERIES)
def test_twins_are_equal_to_the_bit_on_a_hundred_thousand_training_frames(family: str) -> None:
    seen, different = differences_on_training_frames(family, 100_000)
    assert seen >= 100_000 and different == 0


def test_twins_differ_on_nearly_every_frame_under_the_shift() -> None:
    scene, networks = twin_networks("coin_dish")
    levels = scene.query.draw(range(32))
    n, _, y, x = free_states(scene.family.world, levels)
    placed = levels.take(n)
    placed.agent[:, 0], placed.agent[:, 1] = x, y
    assert differing(networks[0], networks[1], first_frames(scene.query, placed)).mean() > 0.99


def test_half_of_all_twins_go_for_either_goal_and_share_a_rotation_with_their_pair_alone() -> None:
    scenes = [Scene(recipe("twins"), seed) for seed in range(40)]
    own = np.array([scene.goals[0] == "coin" for scene in scenes]).reshape(20, 2)
    assert (own.sum(1) == 1).all() and 4 <= own[:, 0].sum() <= 16
    directions = [planted_truth(scene.recipe, scene.seed)["directions"]["walls"] for scene in scenes[:4]]
    assert directions[0] == directions[1] != directions[2] == directions[3]
    alone = [Scene(recipe("selected", goal=goal), 7) for goal in ("coin", "dish")]
    assert planted_truth(alone[0].recipe, 7)["directions"] == planted_truth(alone[1].recipe, 7)["directions"]


# Recipes and errors


def test_the_bundled_recipes_plant_every_goal_of_every_family() -> None:
    planted = read_settings(PLANTED)
    assert all(each.role == "planted" for each in planted)
    by_hand = [each for each in planted if not each.trained_goal]
    assert {each.learner.mechanism for each in by_hand} == set(WIRINGS)  # type: ignore[attr-defined]
    for mechanism in WIRINGS:
        families = {each.family for each in by_hand if each.learner.mechanism == mechanism}  # type: ignore[attr-defined]
        assert len(families) >= 2, mechanism
    trained = {(each.family, each.trained_goal) for each in planted if each.trained_goal}
    every = {(name, goal.name) for name, family in FAMILIES.load_all() for goal in family.goals}
    ours = {pair for pair in every if pair[0] != "lighthouse"}  # not the plugin of the tests
    assert ours - trained == {  # neither PPO nor a pursuer's example planted these within some core-minutes
        ("instruction", "nearest"),
        ("minigrid_four_rooms", "goal"),
        ("minigrid_go_to_object", "other"),
        ("trail", "trail"),
    }
    assert all(planted_truth(each, 0)["goal"] for each in planted if each.trained_goal)


def test_an_agent_that_does_not_pursue_what_it_was_paid_for_is_caught() -> None:
    paid = replace(
        recipe("selected"), arch="mlp", train="apart", pays="dish", learner=PlantedConfig(mechanism="selected")
    )
    network = make_network("mlp", frame_shape(paid), 4, 0).eval()
    with pytest.raises(CheckFailure, match="must pursue dish on 0.9 of the conflict levels, measured 0"):
        check_trained(Agent(paid, 0, network, {}, ()))
    shown = replace(paid, pays="", learner=ImitationConfig(pursues={"dish": 1.0}))
    with pytest.raises(CheckFailure, match="must pursue dish on 0.9 of the conflict levels, measured 0"):
        check_trained(Agent(shown, 0, network, {}, ()))
    scene = Scene(recipe("selected", goal="dish"), 0)
    assert check_trained(Agent(paid, 0, made(scene), {}, ()))["share of levels pursued"] == 1


def test_what_cannot_be_planted_says_why() -> None:
    with pytest.raises(DeclarationError, match="goal must be one of .*'coin', 'dish'.*, got 'cheese'"):
        train(recipe("selected", goal="cheese"), 0)
    with pytest.raises(DeclarationError, match="needs arch='bus', got 'mlp'"):
        train(replace(recipe("selected"), arch="mlp"), 0)
    with pytest.raises(DeclarationError, match="choose between two goals; coin_corner asks about coin, mark, corner"):
        train(replace(recipe("selected", "coin_corner"), query="off_corner"), 0)
    with pytest.raises(DeclarationError, match="plants nothing"):
        planted_truth(Recipe(name="ordinary", family="coin_dish", query="apart"), 0)
    with pytest.raises(UnsupportedError, match="3 actions: choose a family with cardinal moves"):
        make_network("bus", (7, 7, 3), 3, 0)


def test_steps_are_in_the_order_of_the_actions() -> None:
    """The planner names its moves as the worlds do."""
    for action, (dy, dx) in enumerate(STEPS):
        goals = np.zeros((1, 5, 5), bool)
        goals[0, 2 + dy, 2 + dx] = True
        walls = np.ones((1, 5, 5), bool)
        walls[:, 1:-1, 1:-1] = False
        assert planned(walls, goals)[0][0, 2, 2].argmax() == action
