"""Our environments under the ecosystem's own checks, wrappers and vectorizers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from minigrid import wrappers

import goalscope
from goalscope.envs import Engine
from goalscope.envs.single_env import GridEnv
from goalscope.envs.vector_env import GridVectorEnv
from goalscope.errors import GoalscopeError, KnobError, UnknownNameError
from goalscope.gym_ids import gym_id

IDS = [gym_id(name) for name in goalscope.FAMILIES.names()]
MINIGRIDS: Any = wrappers  # without annotations
MODES = [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP]


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_gymnasiums_own_check_finds_nothing(env_id: str, view: str) -> None:
    env = gymnasium.make(env_id, view=view, render_mode="rgb_array", disable_env_checker=True)
    check_env(env.unwrapped)


@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_a_seeded_reset_fixes_all_levels_that_follow(view: str) -> None:
    env = gymnasium.make(IDS[0], view=view)

    def levels() -> list[int]:
        return [env.reset(seed=5)[1]["level"]] + [env.reset()[1]["level"] for _ in range(40)]

    assert levels() == levels()


def test_two_environments_with_the_same_arguments_play_the_same_levels_unseeded() -> None:
    first, second = (gymnasium.make(IDS[0], seed=3) for _ in range(2))
    assert [first.reset()[1] for _ in range(5)] == [second.reset()[1] for _ in range(5)]


def test_num_levels_and_first_level_bound_what_is_played() -> None:
    env = gymnasium.make(IDS[0], num_levels=3, first_level=100)
    assert {env.reset()[1]["level"] for _ in range(60)} == {100, 101, 102}


def test_the_outcome_of_an_episode_is_named() -> None:
    env = GridEnv("coin_dish", shift="apart", split="query")
    env.reset(seed=0)
    outcomes = set()
    for _ in range(3000):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        if terminated or truncated:
            outcomes.add(info["outcome"])
            env.reset()
    assert outcomes == {"coin", "dish", "neither"}


def test_minigrids_full_view_wrapper_sees_what_our_full_view_shows() -> None:
    full, ego = GridEnv("coin_corner", view="full"), GridEnv("coin_corner", view="ego")
    wrapped = MINIGRIDS.FullyObsWrapper(ego)
    mine, _ = full.reset(seed=1)
    theirs, _ = wrapped.reset(seed=1)
    actions = np.random.default_rng(0).integers(0, 4, 30)
    for action in actions.tolist():
        assert np.array_equal(mine["image"], theirs["image"])
        mine, *_ = full.step(action)
        theirs, *_ = wrapped.step(action)


def test_minigrids_picture_wrappers_stack() -> None:
    env = MINIGRIDS.ImgObsWrapper(MINIGRIDS.RGBImgObsWrapper(GridEnv("coin_dish", view="ego"), tile_size=8))
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation) and observation.shape == (72, 72, 3)
    assert len(np.unique(observation.reshape(-1, 3), axis=0)) > 5


def test_both_ways_of_rendering() -> None:
    picture = gymnasium.make(IDS[0], render_mode="rgb_array")
    picture.reset(seed=0)
    image: Any = picture.render()
    assert image.shape == (288, 288, 3)
    text = gymnasium.make(IDS[0], render_mode="ansi")
    text.reset(seed=0)
    drawn: Any = text.render()
    assert len(drawn.splitlines()) == 9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("view", ["full", "ego", "planes"])
def test_a_vector_environment_keeps_its_spaces_and_ends_episodes(mode: AutoresetMode, view: str) -> None:
    envs = gymnasium.make_vec("goalscope/CoinDish-v0", num_envs=8, view=view, autoreset_mode=mode)
    observation, _ = envs.reset(seed=2)
    envs.action_space.seed(2)
    ends = 0
    for _ in range(200):
        assert envs.observation_space.contains(observation)
        observation, reward, terminated, truncated, infos = envs.step(envs.action_space.sample())
        ended = terminated | truncated
        ends += int(ended.sum())
        if ended.any() and mode is AutoresetMode.SAME_STEP:
            kept = [envs.single_observation_space.contains(o) for o in infos["final_obs"][ended]]
            assert all(kept) and np.array_equal(infos["_final_obs"], ended)
    assert ends > 20


@pytest.mark.parametrize("mode", MODES)
def test_a_vector_environment_agrees_with_gymnasiums_own_over_our_single_ones(mode: AutoresetMode) -> None:
    """The same levels by index, so the same observations, rewards and ends: only the vectorizer differs."""
    ours = GridVectorEnv("coin_dish", 4, num_levels=1, first_level=7, autoreset_mode=mode, view="planes")
    theirs = gymnasium.vector.SyncVectorEnv(
        [lambda: GridEnv("coin_dish", num_levels=1, first_level=7, view="planes")] * 4, autoreset_mode=mode
    )
    mine, other = ours.reset()[0], theirs.reset()[0]
    actions = np.random.default_rng(1).integers(0, 4, (150, 4))
    for row in actions:
        assert np.array_equal(mine, other)
        mine, my_reward, my_end, my_cut, my_infos = ours.step(row)
        other, reward, end, cut, infos = theirs.step(row)
        assert np.allclose(my_reward, reward) and np.array_equal(my_end, end) and np.array_equal(my_cut, cut)
        for b in np.flatnonzero(infos.get("_final_obs", [])).tolist():
            assert np.array_equal(my_infos["final_obs"][b], infos["final_obs"][b])


def test_a_stream_of_levels_hands_out_each_index_in_turn() -> None:
    envs = GridVectorEnv("coin_dish", 4, seed=3, view="planes", max_steps=3)
    distribution = envs.distribution
    first, _ = envs.reset()
    seen = [[first[b].tobytes()] for b in range(4)]
    for _ in range(100):
        observation, _, terminated, truncated, _ = envs.step(np.zeros(4, np.int64))
        for b in np.flatnonzero(terminated | truncated).tolist():
            seen[b].append(observation[b].tobytes())
    for b in range(4):
        episodes = len(seen[b])
        assert episodes > 20
        wanted = distribution.draw(np.arange(episodes) * 4 + b)
        images = Engine(wanted, distribution.family, "planes").reset()
        assert seen[b] == [image.tobytes() for image in images]


def test_forked_workers_survive_a_parallel_step_of_their_parent() -> None:
    parent = GridVectorEnv("coin_dish", 64, threads=2, view="planes")
    parent.reset()
    parent.step(np.zeros(64, np.int64))
    workers = gymnasium.vector.AsyncVectorEnv(
        [lambda: GridEnv("coin_dish", view="planes")] * 2, context="fork", shared_memory=False
    )
    workers.reset(seed=0)
    workers.step(np.array([0, 1]))
    workers.close()


def test_arguments_that_cannot_be_are_refused_in_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="no shift of coin_dish 'appart'. Did you mean 'apart'"):
        gymnasium.make("goalscope/CoinDish-v0", shift="appart")
    with pytest.raises(KnobError, match="Knob 'size' must be an integer from 5 to 25, got 4"):
        gymnasium.make("goalscope/CoinDish-v0", size=4)
    with pytest.raises(UnknownNameError, match="no view 'rgb'"):
        gymnasium.make("goalscope/CoinDish-v0", view="rgb")
    with pytest.raises(KnobError, match="alpha_shift"):
        gymnasium.make("goalscope/CoinDish-v0", alpha=0.5)
    with pytest.raises(GoalscopeError, match="SAME_STEP or NEXT_STEP"):
        gymnasium.make_vec("goalscope/CoinDish-v0", num_envs=2, autoreset_mode=AutoresetMode.DISABLED)


@pytest.mark.slow
def test_stable_baselines3_learns_on_one_of_our_ids() -> None:
    from stable_baselines3 import PPO  # imports PyTorch: only here

    env = gymnasium.wrappers.FlattenObservation(
        MINIGRIDS.ImgObsWrapper(gymnasium.make("goalscope/CoinDish-v0", view="full", size=5, pairs=1))
    )
    options: Any = {"n_steps": 256, "batch_size": 64, "learning_rate": 1e-3, "gamma": 0.95, "seed": 0}
    model = PPO("MlpPolicy", env, device="cpu", **options)

    def success() -> float:
        gains = []
        for k in range(100):
            observation, _ = env.reset(seed=k)
            ended, gain = False, 0.0
            while not ended:
                action, _ = model.predict(observation)
                observation, reward, terminated, truncated, _ = env.step(int(action))
                ended, gain = terminated or truncated, gain + float(reward)
            gains.append(gain)
        return float(np.mean(gains))

    before = success()
    model.learn(30_000)
    assert success() > before + 0.2
