"""PPO: hand-computed advantages and losses, one small real training run, the same bytes twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from goalscope.agents.learners.ppo import Batch, Rollout, estimate_advantages, ppo_slopes
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
