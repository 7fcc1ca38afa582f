"""DQN: hand-computed returns and targets, slopes against autograd, what is remembered, small real training runs."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from goalscope.agents.descent import Descent
from goalscope.agents.learner import Task, training_levels
from goalscope.agents.learners.dqn import (
    DQNConfig,
    Estimator,
    Replay,
    Steps,
    Transitions,
    collect,
    double_targets,
    dqn_slopes,
    improve,
    in_units_of_return,
    learn,
    n_step_returns,
    q_values,
)
from goalscope.agents.measure import competence
from goalscope.agents.network import Network, Stepped, make_network
from goalscope.agents.recipe import Recipe
from goalscope.agents.training import train
from goalscope.errors import UnsupportedError

SMALL = Recipe(
    name="small",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1},
    arch="mlp",
    budget=32_768,
    learner=DQNConfig(updates=16, temperature=1 / 16),
)


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def flags(*where: int, steps: int = 5) -> np.ndarray:
    return np.isin(np.arange(steps), where)[:, None]


def test_returns_are_those_computed_by_hand() -> None:
    rewards, ends, cuts = column(1, 2, 4, 8, 16), flags(1, 3), flags(3)
    gains, discounts, last = n_step_returns(rewards, ends, cuts, gamma=0.5, n_steps=3)
    # 0: 1 + 2/2, over at 1.  1: 2, over.  2: 4 + 8/2, cut at 3: what is beyond counts.  3: 8, cut.  4: the round ends.
    assert gains[:, 0].tolist() == [2, 2, 8, 8, 16]
    assert discounts[:, 0].tolist() == [0, 0, 0.25, 0.5, 0.5]
    assert last[:, 0].tolist() == [1, 1, 3, 3, 4]


@pytest.mark.parametrize(
    ("n_steps", "gains", "discounts"), [(1, [1, 2, 4], [0.5] * 3), (9, [3, 4, 4], [1 / 8, 1 / 4, 1 / 2])]
)
def test_returns_see_as_many_rewards_as_they_may(n_steps: int, gains: list[float], discounts: list[float]) -> None:
    none = flags(steps=3)
    found = n_step_returns(column(1, 2, 4), none, none, gamma=0.5, n_steps=n_steps)
    assert found[0][:, 0].tolist() == gains and found[1][:, 0].tolist() == discounts


def test_what_is_beyond_a_cut_is_the_last_observation_not_the_next_episodes_first() -> None:
    config = DQNConfig(envs=2, steps=3, n_steps=2)
    steps = Steps(config, (1,))
    steps.obs[:, :, 0] = [[10, 20], [11, 21], [12, 22], [13, 23]]
    steps.ends[1, 1] = steps.cuts[1, 1] = steps.ends[2, 0] = True
    steps.finals.append(np.array([[99]], np.uint8))
    found = steps.transitions(config)
    assert found.obs.reshape(3, 2).tolist() == [[10, 20], [11, 21], [12, 22]]
    assert found.beyond.reshape(3, 2).tolist() == [[12, 99], [13, 99], [13, 23]]
    assert (found.discounts.reshape(3, 2) > 0).tolist() == [[True, True], [False, True], [False, True]]


def test_a_round_of_playing_is_what_the_engine_gave() -> None:
    config = DQNConfig(envs=16, steps=50, n_steps=1)
    levels = training_levels(SMALL, 0, 16)
    network = make_network("mlp", levels.engine.obs_shape, 4, 0)
    steps = Steps(config, levels.engine.obs_shape)
    levels.reset(out=steps.obs[0])
    collect(steps, levels, network, torch.Generator().manual_seed(0), explore=1.0)
    again, finals = training_levels(SMALL, 0, 16), []
    obs = again.reset()
    for t in range(50):
        assert np.array_equal(obs, steps.obs[t])
        out = again.step(steps.actions[t])
        obs, cut = out.obs, out.truncated & ~out.terminated
        assert np.array_equal(out.reward, steps.rewards[t]) and np.array_equal(cut, steps.cuts[t])
        finals += list(again.engine.final[cut])
    assert len(finals) > 3 and np.array_equal(np.concatenate(steps.finals), finals)
    assert 0.15 < (steps.actions == 0).mean() < 0.35


def test_without_exploration_the_best_action_is_taken() -> None:
    levels = training_levels(SMALL, 0, 8)
    network = make_network("mlp", levels.engine.obs_shape, 4, 0)
    steps = Steps(DQNConfig(envs=8, steps=4), levels.engine.obs_shape)
    levels.reset(out=steps.obs[0])
    collect(steps, levels, network, torch.Generator().manual_seed(0), explore=0.0)
    best = network(torch.from_numpy(steps.obs[:-1]).flatten(0, 1))[0].argmax(-1)
    assert steps.actions.ravel().tolist() == best.tolist()


class Table(Network):
    """Answers observation i with the i-th row of its logits and values."""

    def __init__(self, logits: list[list[float]], values: list[float]) -> None:
        super().__init__()
        self.logits, self.values = torch.tensor(logits), torch.tensor(values)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        rows = obs.flatten().long()
        return self.logits[rows], self.values[rows], memory


def test_the_value_is_the_largest_q() -> None:
    found = q_values(torch.tensor([[1.0, 3.0, 2.5], [0.0, 0.0, -1.0]]), torch.tensor([10.0, 20.0]))
    assert found.tolist() == [[8.0, 10.0, 9.5], [20.0, 20.0, 19.0]]


def test_targets_are_those_computed_by_hand() -> None:
    network = Table([[0.0, 1.0], [5.0, 0.0]], [0.0, 0.0])
    estimator = Table([[0.0, -2.0], [1.0, 4.0]], [10.0, 20.0])
    batch = Transitions(
        obs=torch.zeros(3, 1, 1, 1),
        beyond=torch.tensor([0, 1, 0])[:, None, None, None],
        actions=torch.zeros(3, dtype=torch.int64),
        gains=torch.tensor([1.0, 2.0, 3.0]),
        discounts=torch.tensor([0.5, 0.25, 0.0]),
    )
    # The network would take 1, then 0; the estimator's Q of these: 10 − 2 and 20 − 3.
    assert double_targets(network, estimator, batch).tolist() == [1 + 0.5 * 8, 2 + 0.25 * 17, 3]


@pytest.mark.parametrize("seed", range(3))
def test_the_slopes_are_autograds_of_the_huber_loss(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    logits, values, targets = draw(64, 4).requires_grad_(), draw(64).requires_grad_(), draw(64)
    actions = torch.randint(4, (64,), generator=random)
    q = values[:, None] + logits - logits.max(-1, keepdim=True).values
    loss = nn.functional.huber_loss(q[torch.arange(64), actions], targets, delta=0.8)
    wanted = torch.autograd.grad(loss, [logits, values])
    found, parts = dqn_slopes(logits.detach(), values.detach(), actions, targets, huber=0.8)
    torch.testing.assert_close(parts[0], loss.detach())
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other)


@given(st.integers(1, 20), st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 2**32))
def test_the_latest_transitions_are_remembered_whole(capacity: int, sizes: list[int], seed: int) -> None:
    replay, model, begun = Replay(capacity, (2,)), deque[int](maxlen=capacity), 0
    for size in sizes:
        numbers = torch.arange(begun, begun + size)
        obs = torch.stack([numbers, numbers + 1], 1).to(torch.uint8)
        replay.add(Transitions(obs, 255 - obs, numbers, numbers / 2, -numbers.float()))
        model.extend(numbers.tolist())
        begun += size
    drawn = replay.draw(400, torch.Generator().manual_seed(seed))
    assert set(drawn.actions.tolist()) <= set(model) and len(replay) == len(model)
    assert len(set(drawn.actions.tolist())) > 0.6 * len(model)
    assert torch.equal(drawn.obs[:, 0].long(), drawn.actions) and torch.equal(drawn.beyond, 255 - drawn.obs)
    assert torch.equal(drawn.gains * 2, drawn.actions.float()) and torch.equal(drawn.discounts, -drawn.actions.float())


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_the_estimator_follows_at_every_update(rate: float) -> None:
    config = DQNConfig(envs=8, steps=8, updates=1, target_rate=rate)
    levels = training_levels(SMALL, 0, 8)
    network = make_network("mlp", levels.engine.obs_shape, 4, 0)
    estimator, descent = Estimator(network), Descent(network, config)
    steps, replay = Steps(config, levels.engine.obs_shape), Replay(64, levels.engine.obs_shape)
    random = torch.Generator().manual_seed(0)
    levels.reset(out=steps.obs[0])
    collect(steps, levels, network, random, explore=1.0)
    replay.add(steps.transitions(config))
    before = descent.weights.detach().clone()
    improve(network, estimator, descent, replay, random, config)
    moved = nn.utils.parameters_to_vector(estimator.network.parameters()) - before
    assert not torch.equal(descent.weights, before)
    torch.testing.assert_close(moved, rate * (descent.weights - before), rtol=1e-3, atol=1e-6)


def test_units_of_return_come_and_go_to_the_bit() -> None:
    layer = nn.Linear(8, 4)
    before = [weights.clone() for weights in layer.parameters()]
    with in_units_of_return(layer, 1 / 64):
        assert all(torch.equal(64 * now, old) for now, old in zip(layer.parameters(), before, strict=True))
    assert all(torch.equal(now, old) for now, old in zip(layer.parameters(), before, strict=True))


def test_between_rounds_logits_are_as_the_agent_plays() -> None:
    recipe = replace(SMALL, budget=4096, learner=DQNConfig(learning_rate=0.0))
    levels = training_levels(recipe, 0, 1)
    network = make_network("mlp", levels.engine.obs_shape, 4, 0)
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    rows = 0
    for _ in learn(Task(recipe, 0, network, torch.Generator().manual_seed(0), before)):
        rows += 1
        assert all(torch.equal(weights, before[name]) for name, weights in network.state_dict().items())
    assert rows == 2
    assert all(torch.equal(weights, before[name]) for name, weights in network.state_dict().items())


def test_it_learns_a_small_room_and_gives_the_same_bytes_twice() -> None:
    first, second = train(SMALL, seed=1), train(SMALL, seed=1)
    assert first.curve[-1]["return"] > 0.9 > 0.75 > first.curve[0]["return"]
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert competence(first) > 0.95


def test_a_network_that_remembers_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="this network remembers 128 numbers"):
        train(replace(SMALL, arch="lstm", arch_options={"channels": 2}), 0)


def test_a_network_without_a_read_out_is_refused() -> None:
    task = Task(SMALL, 0, Table([[0.0]], [0.0]), torch.Generator(), {})
    with pytest.raises(UnsupportedError, match="a linear layer named `policy`, got NoneType"):
        next(learn(task))
