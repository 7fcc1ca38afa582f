"""PPO: hand-computed advantages and losses, small real training runs, with and without memory, the same bytes twice."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from goalscope.agents.learner import Task, training_levels
from goalscope.agents.learners.ppo import Batch, Rollout, collect, estimate_advantages, learn, ppo_slopes
from goalscope.agents.network import make_network
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.training import train

SMALL = Recipe(
    name="small",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1},
    arch="mlp",
    budget=40_960,
    learner=PPOConfig(envs=64, steps=32, precision="float32"),
)


def test_advantages_are_those_computed_by_hand() -> None:
    config = PPOConfig(envs=1, steps=3, gamma=0.5, gae_lambda=0.5)
    rollout = Rollout(config, (1,))
    rollout.rewards[:, 0] = 1, 0, 2
    rollout.values[:, 0] = 1, 2, 3, 4
    rollout.ends[:, 0] = False, True, False
    estimate_advantages(rollout, config)
    # t = 2: 2 + .5·4 − 3 = 1;  t = 1: an end, 0 − 2 = −2;  t = 0: 1 + .5·2 − 1 = 1, and ·25 · −2 carried back: .5
    assert rollout.advantages[:, 0].tolist() == [0.5, -2.0, 1.0]


def test_the_losses_parts_are_those_computed_by_hand() -> None:
    logits = torch.zeros(2, 2)
    batch = Batch(
        obs=torch.zeros(2, 1),
        actions=torch.tensor([0, 1]),
        log_probs=torch.log(torch.tensor([0.25, 0.5])),
        advantages=torch.tensor([1.0, -1.0]),
        returns=torch.tensor([1.0, 0.0]),
    )
    _, parts = ppo_slopes(logits, torch.tensor([0.0, 0.0]), batch, PPOConfig(clip=0.2), entropy_weight=0.1)
    # Standardised advantages ±1/√2; ratios 2 (clipped to 1.2) and 1; policy loss −(1.2 − 1)/(2√2); value ½ · ½; log 2.
    policy = -0.2 / (2 * 2**0.5)
    assert parts.tolist() == pytest.approx([policy, 0.25, np.log(2)], abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_slopes_are_autograds_of_the_papers_loss(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    logits, values = draw(64, 4).requires_grad_(), draw(64).requires_grad_()
    actions = torch.randint(0, 4, (64,), generator=random)
    batch = Batch(draw(64, 1), actions, -1.4 + 0.5 * draw(64), draw(64), draw(64))
    config = PPOConfig(clip=0.2, value_weight=0.7)

    shares = torch.softmax(logits, dim=-1)
    ratio = shares[torch.arange(64), actions] / batch.log_probs.exp()
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    surrogate = torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean()
    loss = (
        -surrogate
        + 0.7 * 0.5 * (values - batch.returns).square().mean()
        - 0.03 * -(shares * shares.log()).sum(-1).mean()
    )
    wanted = torch.autograd.grad(loss, [logits, values])

    found, _ = ppo_slopes(logits.detach(), values.detach(), batch, config, entropy_weight=0.03)
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other)


def test_it_learns_a_small_room_and_gives_the_same_bytes_twice() -> None:
    first, second = train(SMALL, seed=1), train(SMALL, seed=1)
    assert first.curve[-1]["return"] > 0.9 > 0.75 > first.curve[0]["return"]
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert first.id == second.id != train(Recipe(**{**SMALL.__dict__, "budget": 2048}), seed=1).id


def test_a_recipes_hash_is_of_what_changes_an_agent() -> None:
    renamed = Recipe(**{**SMALL.__dict__, "name": "other", "role": "anchor", "query": "near"})
    changed = Recipe(**{**SMALL.__dict__, "alpha": 0.01, "alpha_shift": "apart"})
    assert renamed.hash == SMALL.hash != changed.hash


# Networks that remember

REMEMBERS = pytest.mark.parametrize(
    ("arch", "options"), [("lstm", {"channels": 8}), ("drc", {"layers": 2, "ticks": 2, "channels": 4})]
)


@REMEMBERS
def test_before_an_update_a_histories_answers_are_those_that_were_acted_on(arch: str, options: dict[str, int]) -> None:
    config = PPOConfig(envs=12, steps=16, precision="float32")
    levels = training_levels(SMALL, seed=0, envs=12)
    network = make_network(arch, levels.engine.obs_shape, 4, 0, **options)
    with torch.no_grad():
        network.get_parameter("policy.weight").mul_(100)  # an untrained policy is the same whatever it remembers
    random = torch.Generator().manual_seed(0)
    rollout = Rollout(config, levels.engine.obs_shape, network.memory)
    levels.reset(out=rollout.obs[0])
    rollout.carry_over(levels, collect(rollout, levels, network, random, config))
    collect(rollout, levels, network, random, config)
    assert rollout.memory.any() and rollout.begins[1:-1].any() and not rollout.begins[0].all()

    number = np.arange(16 * 12).reshape(16, 12)
    whole = rollout.whole(network, Batch, rollout.actions, rollout.log_probs, number, rollout.values[:-1])
    seen = []
    for part in whole.shuffled(random, parts=3):
        logits, values = part.answers(network)
        ratio = (torch.log_softmax(logits, -1).gather(1, part.rows.actions[:, None])[:, 0] - part.rows.log_probs).exp()
        torch.testing.assert_close(ratio, torch.ones(64), rtol=1e-5, atol=0.0)
        torch.testing.assert_close(values, part.rows.returns)
        envs = part.rows.advantages.view(16, 4) % 12
        assert (envs == envs[0]).all()
        seen += envs[0].tolist()
    assert sorted(seen) == list(range(12))

    forgetful = replace(cast(Any, whole), memory=torch.zeros_like(rollout.memory))
    assert not torch.allclose(forgetful.answers(network)[0], whole.answers(network)[0])


@pytest.mark.parametrize(
    ("arch", "options", "budget", "config"),
    [
        ("lstm", {"channels": 8}, 32_768, PPOConfig(envs=64, steps=32, precision="float32")),
        ("drc", {"layers": 1, "channels": 8}, 10_240, PPOConfig(envs=64, steps=16, epochs=4, precision="float32")),
    ],
    ids=["lstm", "drc"],
)
def test_networks_that_remember_learn_and_give_the_same_bytes_twice(
    arch: str, options: dict[str, int], budget: int, config: PPOConfig
) -> None:
    recipe = replace(SMALL, arch=arch, arch_options=options, budget=budget, learner=config)
    first, second = train(recipe, seed=1), train(recipe, seed=1)
    assert first.curve[-1]["return"] > 0.9 > 0.75 > first.curve[0]["return"]
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


class Recall:
    """Levels and engine at once: a first observation shows 0 or 1, two black ones follow, the last action says which.

    Nothing else pays, so acting by what is seen now gains a half.
    """

    LENGTH = 3
    obs_shape = (1, 4, 4)
    world = SimpleNamespace(n_actions=2)

    def __init__(self, envs: int) -> None:
        self.engine = self
        self.random = np.random.default_rng(0)
        self.time = np.arange(envs) % self.LENGTH  # episodes begin at different times, most across two rounds
        self.cue = self.random.integers(2, size=envs)
        self.last_episodes = SimpleNamespace(gain=np.zeros(envs), length=np.full(envs, self.LENGTH))

    def show(self, out: NDArray[np.uint8]) -> None:
        out[:] = (255 * self.cue * (self.time == 0))[:, None, None, None]

    def reset(self, out: NDArray[np.uint8]) -> None:
        self.show(out)

    def carry_over(self, last: NDArray[np.uint8], first: NDArray[np.uint8]) -> None:
        first[:] = last

    def step(self, actions: NDArray[np.int64], out: NDArray[np.uint8]) -> SimpleNamespace:
        over = self.time == self.LENGTH - 1
        reward = (over & (actions == self.cue)).astype(np.float32)
        self.last_episodes.gain[over] = reward[over]
        self.time = np.where(over, 0, self.time + 1)
        self.cue = np.where(over, self.random.integers(2, size=len(over)), self.cue)
        self.show(out)
        return SimpleNamespace(reward=reward, terminated=over, truncated=np.zeros_like(over))


@pytest.mark.parametrize(("arch", "remembers"), [("lstm", True), ("conv", False)])
def test_only_networks_that_remember_learn_to_recall(arch: str, remembers: bool) -> None:
    config = PPOConfig(envs=48, steps=8, epochs=4, learning_rate=3e-3, precision="float32")
    task = SimpleNamespace(
        settings=config,
        network=make_network(arch, Recall.obs_shape, 2, 0, channels=4, width=16),
        random=torch.Generator().manual_seed(0),
        levels=Recall,
        recipe=SimpleNamespace(budget=30 * config.envs * config.steps),
    )
    gains = [row["return"] for row in learn(cast(Task, task))]
    late = np.mean(gains[-5:])
    assert late > 0.97 if remembers else 0.4 < late < 0.6
