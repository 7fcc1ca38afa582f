"""Outside models as agents: a plain module, and models that Stable-Baselines3 trained."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from minigrid import wrappers
from torch import Tensor, nn

from goalscope.agents.adopted import Adopted, adopt
from goalscope.agents.adopted_sb3 import adopt_sb3
from goalscope.agents.agent import Agent, agent_id
from goalscope.agents.measure import measure
from goalscope.agents.sites import donated, patch, record, site_gradient, site_shapes, sites
from goalscope.agents.storage import load_agent, save_agent
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.tracks import Budget, Track
from goalscope.envs import Distribution, Engine
from goalscope.errors import DeclarationError, GoalscopeError, StorageError, UnknownNameError, UnsupportedError
from goalscope.registry import FAMILIES

KNOBS: Any = {"size": 5, "pairs": 1}
ASKED: Any = {"family": "coin_dish", "query": "apart", "knobs": KNOBS}
SHAPE = (4, 5, 5)
MINIGRIDS: Any = wrappers  # without annotations


def plain(seed: int = 0, outputs: int = 5) -> nn.Sequential:
    """What anybody might have trained: its ReLUs overwrite what they get."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = [nn.Conv2d(4, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 16), nn.ReLU(inplace=True)]
        return nn.Sequential(*body, nn.Linear(16, outputs))


def four_and_one(out: Tensor) -> tuple[Tensor, Tensor]:
    return out[:, :4], out[:, 4]


def adopted(seed: int = 0, **options: Any) -> Agent:
    return adopt(plain(seed), outputs=four_and_one, **ASKED, **options)


def frames(n: int = 8, seed: int = 0) -> Tensor:
    levels = Distribution(FAMILIES.load("coin_dish"), knobs=KNOBS, seed=seed).draw(range(n))
    return torch.from_numpy(Engine(levels, FAMILIES.load("coin_dish"), "planes", autoreset="off").reset().copy())


def assert_equal(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# A plain module


def test_it_answers_what_the_module_does() -> None:
    assert_equal(adopted().network(frames()), four_and_one(plain()(frames() / 255)))


def test_every_part_that_computes_is_a_site_but_what_gives_the_outputs() -> None:
    shapes = site_shapes(adopted().network, frames(1))
    assert shapes == {"input": SHAPE, "0": (8, 3, 3), "1": (8, 3, 3), "3": (16,), "4": (16,)}


def test_sites_have_the_names_they_are_given_and_hold_what_the_parts_give_out() -> None:
    network = adopted(sites={"body.hidden": "3", "seen": "0"}).network
    assert list(sites(network)) == ["input", "body.hidden", "seen"]
    with record(network, ["body.hidden", "seen"]) as kept:
        network(frames())
    first = plain()[0](frames() / 255)
    assert torch.equal(kept["seen"], first) and (first < 0).any()  # the ReLU after it overwrites nothing
    assert torch.equal(kept["body.hidden"], plain()[:4](frames() / 255))


def test_an_identity_patch_changes_nothing_and_a_full_patch_equals_the_source_run() -> None:
    network = adopted().network
    base, source = frames(seed=1), frames(seed=2)
    wanted, before = network(source), network(base)
    assert not torch.equal(wanted[0], before[0])
    with patch(network, {name: lambda own, step: own.clone() for name in sites(network)}):
        assert_equal(network(base), before)
    for name in sites(network):
        with record(network, [name]) as kept:
            network(source)
        with patch(network, {name: donated(kept[name])}):
            assert_equal(network(base), wanted)
    assert_equal(network(base), before)


def test_gradients_are_those_of_the_module() -> None:
    network, module = adopted(sites={"hidden": "4"}).network, plain()
    head: Any = module[5]
    obs = (frames() / 255).requires_grad_()
    (wanted,) = torch.autograd.grad(module(obs)[:, 4].sum(), obs)
    torch.testing.assert_close(site_gradient(network, obs, lambda logits, values: values, "input"), wanted)
    by_hidden = site_gradient(network, obs, lambda logits, values: logits[:, 1], "hidden")
    assert torch.equal(by_hidden, head.weight[1].expand(8, 16))


def test_the_module_may_be_trained_on_without_changing_the_agent() -> None:
    module = plain()
    agent = adopt(module, outputs=four_and_one, **ASKED)
    before = agent.network(frames())
    for weights in module.parameters():
        weights.data.zero_()
    assert_equal(agent.network(frames()), before)
    assert agent.id == adopted().id != adopted(seed=1).id


def test_weights_from_before_training_go_by_the_networks_own_names() -> None:
    agent = adopted(initial=plain(seed=3).state_dict())
    assert agent.initial.keys() == agent.network.state_dict().keys() and adopted().initial == {}
    assert torch.equal(agent.initial["outside.0.weight"], plain(seed=3).state_dict()["0.weight"])


def test_a_copy_of_the_network_has_sites_of_its_own() -> None:
    network = adopted().network
    before, copy = network(frames()), deepcopy(network)
    with patch(copy, {"4": lambda own, step: torch.zeros_like(own)}):
        assert not torch.equal(copy(frames())[0], before[0])
        assert_equal(network(frames()), before)


def test_without_a_value_values_and_their_gradients_are_nan_and_nothing_else_is() -> None:
    agent = adopt(plain(outputs=4), **ASKED)
    logits, values = agent.network(frames())
    assert logits.isfinite().all() and values.isnan().all() and values.shape == (8,)
    obs = frames() / 255
    assert site_gradient(agent.network, obs, lambda logits, values: values, "input").isnan().all()
    assert site_gradient(agent.network, obs, lambda logits, values: logits[:, 0], "input").isfinite().all()
    assert 0 <= measure(agent, 20).intended <= 1


class Shared(nn.Module):
    """One ReLU for two layers, and a layer that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(100, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.relu, self.head = nn.ReLU(), nn.Linear(8, 4)

    def forward(self, obs: Tensor) -> Tensor:
        return self.head(self.relu(self.second(self.relu(self.first(obs.flatten(1))))))  # type: ignore[no-any-return]


def test_a_part_that_is_not_called_just_once_is_no_site() -> None:
    assert list(sites(adopt(Shared(), **ASKED).network)) == ["input", "first", "second"]
    for part, times in (("relu", "2 times"), ("unused", "0 times")):
        with pytest.raises(DeclarationError, match=times):
            adopt(Shared(), sites={"hidden": part}, **ASKED)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"sites": {"hidden": "7"}}, UnknownNameError, "no part of the module '7'"),
        ({"sites": {"step": "1"}}, DeclarationError, "No site can be called 'step'"),
        ({"sites": {"outside.0": "1"}}, DeclarationError, "No site can be called 'outside.0'"),
        ({"outputs": lambda out: out}, DeclarationError, r"Expected logits \[N, 4\].*got \[2, 5\]"),
        ({"outputs": lambda out: out["logits"]}, DeclarationError, "cannot be asked.*`outputs`"),
        ({"prepare": lambda obs: obs.flatten(1)}, DeclarationError, r"cannot be asked.*\[4, 5, 5\].*`prepare`"),
        ({"query": "appart"}, UnknownNameError, "Did you mean 'apart'"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(options: dict[str, Any], error: type[GoalscopeError], said: str) -> None:
    with pytest.raises(error, match=said):
        adopt(plain(), **{"outputs": four_and_one, **ASKED, **options})


ARCHITECTURE = """
from torch import nn
from goalscope.agents.adopted import Adopted

def plain(shape, n_actions, *, width=16):
    body = [nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, width), nn.ReLU()]
    both = nn.Sequential(*body, nn.Linear(width, 5))
    return Adopted(both, shape, n_actions, outputs=lambda out: (out[:, :4], out[:, 4]){more})

ARCHITECTURE = plain
"""


def test_it_can_be_stored_only_if_its_architecture_is_registered(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="'adopted' would not make its network again: There is no architecture"):
        save_agent(adopted(), tmp_path, SHAPE, 4, competence=0.5)
    other, right = tmp_path / "other.py", tmp_path / "right.py"
    other.write_text(ARCHITECTURE.format(more=", prepare=lambda obs: 1 - obs"))
    right.write_text(ARCHITECTURE.format(more=""))
    for arch, options, said in ((other, {}, "answers otherwise"), (right, {"width": 8}, "size mismatch")):
        with pytest.raises(StorageError, match=f"cannot be stored.*{said}"):
            save_agent(adopted(arch=str(arch), arch_options=options), tmp_path / "agents", SHAPE, 4, competence=0.5)
    assert not (tmp_path / "agents").exists()
    agent = adopted(arch=str(right))
    save_agent(agent, tmp_path / "agents", SHAPE, 4, competence=0.5)
    again = load_agent(tmp_path / "agents", agent.id)
    assert isinstance(again.network, Adopted) and again.recipe == agent.recipe
    torch.testing.assert_close(again.network(frames()), agent.network(frames()), atol=1e-2, rtol=1e-2)


# Stable-Baselines3


def grid(view: str = "planes") -> Any:
    env = gymnasium.make("goalscope/CoinDish-v0", view=view, **KNOBS)
    return env if view == "planes" else MINIGRIDS.ImgObsWrapper(env)


def ppo(env: Any, **options: Any) -> Any:
    from stable_baselines3 import PPO  # imports PyTorch's training tools: only here

    settings: Any = {"n_steps": 256, "batch_size": 64, "n_epochs": 4, "learning_rate": 1e-3, "gamma": 0.95, "seed": 0}
    return PPO("MlpPolicy", env, device="cpu", **settings, **options)


@pytest.fixture(scope="module")
def trained() -> Iterator[Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = ppo(grid())
    model.learn(1024)
    yield model
    torch.set_num_threads(threads)


def own_answers(model: Any, seen: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    """What Stable-Baselines3 itself makes of observations as its environment gives them."""
    with torch.no_grad():
        obs = model.policy.obs_to_tensor(seen)[0]
        return model.policy.get_distribution(obs).distribution.probs, model.policy.predict_values(obs)[:, 0]


def answers(agent: Agent, obs: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        logits, values = agent.network(obs)
    return torch.softmax(logits, -1), values


def assert_answers_as(model: Any, agent: Agent, obs: Tensor, seen: Any) -> None:
    for mine, own in zip(answers(agent, obs), own_answers(model, seen), strict=True):
        torch.testing.assert_close(mine, own, rtol=1e-5, atol=1e-6)


def test_a_trained_model_is_an_agent(trained: Any) -> None:
    agent = adopt_sb3(trained, **ASKED)
    assert_answers_as(trained, agent, frames(64), frames(64).numpy())
    assert "mlp_extractor.policy_net.3" in sites(agent.network) and "action_net" not in sites(agent.network)
    measures = measure(agent, 100)
    assert measures.intended + measures.proxies + measures.neither == pytest.approx(1)
    assert 0 < measures.competence <= 1.01 and agent.id == agent_id(agent.recipe, agent.seed)


def test_patches_of_a_trained_model_are_exact(trained: Any) -> None:
    network = adopt_sb3(trained, **ASKED).network
    base, source = frames(seed=1), frames(seed=2)
    wanted, before = network(source), network(base)
    with patch(network, {name: lambda own, step: own.clone() for name in sites(network)}):
        assert_equal(network(base), before)
    last = ["mlp_extractor.policy_net.3", "mlp_extractor.value_net.3"]
    with record(network, last) as kept:
        network(source)
    with patch(network, {name: donated(kept[name]) for name in last}):
        assert_equal(network(base), wanted)


def test_detectors_get_a_handle_on_a_trained_model(trained: Any) -> None:
    agent = AgentHandle(adopt_sb3(trained, **ASKED), Track.WHITEBOX, Budget(), seed=0)
    shown = agent.frames(8)
    site = "mlp_extractor.policy_net.1"
    assert agent.sites["input"] == SHAPE and agent.sites[site] == (64,)
    assert agent.activations(shown, [site])[site].shape == (8, 64)
    assert np.isfinite(agent.gradients(shown, lambda logits, values: values)).all()
    moved = agent.patched(shown, agent.together(shown), site)
    assert np.allclose(moved.probabilities.sum(1), 1)
    assert agent.untrained().sites == agent.sites


def test_bytes_that_were_flattened_reach_the_policy_as_bytes() -> None:
    model = ppo(gymnasium.wrappers.FlattenObservation(grid()))
    assert_answers_as(model, adopt_sb3(model, **ASKED), frames(), frames().flatten(1).numpy())


def test_pictures_that_were_transposed_reach_the_policy_transposed() -> None:
    env = grid("full")
    seen = np.stack([env.reset(seed=k)[0] for k in range(8)])
    model = ppo(env)
    assert model.observation_space.shape == (3, 5, 5)
    assert_answers_as(model, adopt_sb3(model, view="full", **ASKED), torch.from_numpy(seen), seen.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("view", ["planes", "full"])
def test_normalised_observations_are_normalised_as_in_training(view: str) -> None:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    env = VecNormalize(DummyVecEnv([lambda: grid(view)]), clip_obs=2.0)
    model = ppo(env)
    model.learn(256)
    seen = np.stack([grid(view).reset(seed=k)[0] for k in range(8)])
    assert_answers_as(model, adopt_sb3(model, view=view, **ASKED), torch.from_numpy(seen), env.normalize_obs(seen))


def test_features_of_their_own_for_the_value_are_kept() -> None:
    model = ppo(grid(), policy_kwargs={"share_features_extractor": False})
    assert_answers_as(model, adopt_sb3(model, **ASKED), frames(), frames().numpy())


def test_models_that_cannot_be_adopted_are_refused_in_one_sentence() -> None:
    from stable_baselines3 import DQN, PPO

    dqn = DQN("MlpPolicy", grid(), device="cpu", buffer_size=10)
    with pytest.raises(UnsupportedError, match="only actor-critic policies.*Adopt its network by `adopt`"):
        adopt_sb3(dqn, **ASKED)
    agent = adopt(dqn.q_net, outputs=lambda q: (q / 0.1, q.max(-1).values), prepare=lambda obs: obs * 255, **ASKED)
    with torch.no_grad():
        assert torch.equal(agent.network(frames())[1], dqn.q_net(frames()).max(-1).values)
    mission = gymnasium.wrappers.FilterObservation(gymnasium.make("goalscope/CoinDish-v0", **KNOBS), ["direction"])
    model = PPO("MultiInputPolicy", mission, device="cpu")
    with pytest.raises(UnsupportedError, match="trained on Dict"):
        adopt_sb3(model, view="full", **ASKED)
