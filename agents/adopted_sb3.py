"""Models of Stable-Baselines3 as agents, in one call; the package is needed only by who has such a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.agents.adopted import Prepare, adopt, as_it_is, outside_recipe
from goalscope.agents.agent import Agent
from goalscope.agents.network import Shape
from goalscope.agents.training import frame_shape
from goalscope.errors import UnsupportedError


def adopt_sb3(
    model: Any,
    *,
    family: str,
    query: str,
    view: str = "planes",
    sites: Mapping[str, str] | None = None,
    seed: int | None = None,
    **training: Any,
) -> Agent:
    """A Stable-Baselines3 model with an actor-critic policy (PPO, A2C) as an agent; the rest is as in :func:`adopt`.

    Its parts are called as they are in its policy: ``mlp_extractor.policy_net.0``. Observations reach it as they did in
    training: bytes as bytes, flattened, or transposed to channels first, if its observation space is,
    normalised by the statistics of its ``VecNormalize``, then as the policy itself prepares them.

    Raises an UnsupportedError for other policies (adopt their network, such as DQN's ``model.q_net``, by :func:`adopt`,
    and say with `outputs` what its logits are) and for observation spaces that are not a view of the family.
    """
    prepare = _sb3_frames(model, frame_shape(outside_recipe(family, query, view, training)))
    policy = _Policy(model)
    return adopt(policy, family=family, query=query, view=view, sites=sites, prepare=prepare, seed=seed, **training)


class _Policy(nn.Module):
    """The parts of Stable-Baselines3's ``ActorCriticPolicy``, and its forward pass up to logits and values."""

    features_extractor: nn.Module
    vf_features_extractor: nn.Module
    mlp_extractor: Any
    action_net: nn.Module
    value_net: nn.Module

    def __init__(self, model: Any) -> None:
        super().__init__()
        policy = model.policy
        parts = ("features_extractor", "vf_features_extractor", "mlp_extractor", "action_net", "value_net")
        if not all(hasattr(policy, part) for part in parts) or not hasattr(model.action_space, "n"):
            raise UnsupportedError(
                f"{type(model).__name__} has a {type(policy).__name__} and actions {model.action_space}: only "
                f"actor-critic policies with discrete actions are adopted whole. Adopt its network by `adopt`."
            )
        from stable_baselines3.common.preprocessing import preprocess_obs  # whoever has a model has the package

        self.preprocess = preprocess_obs
        for part in parts:
            self.add_module(part, getattr(policy, part))
        self.space, self.normalize = policy.observation_space, policy.normalize_images
        self.shared = policy.share_features_extractor

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.preprocess(obs, self.space, normalize_images=self.normalize)
        acting = self.features_extractor(seen)
        judging = acting if self.shared else self.vf_features_extractor(seen)
        acted, judged = self.mlp_extractor.forward_actor(acting), self.mlp_extractor.forward_critic(judging)
        return self.action_net(acted), self.value_net(judged)


def _sb3_frames(model: Any, shape: Shape) -> Prepare:
    """From observations in [0, 1] to what the model's policy was trained on."""
    wanted = getattr(model.observation_space, "shape", None)
    arrange = _arrangement(shape, wanted)
    if arrange is None:
        raise UnsupportedError(
            f"The model was trained on {model.observation_space}, the family's view is of bytes {list(shape)}: it must "
            f"have seen the view as it is, flattened, or with its last axis first. Train it behind such a wrapper."
        )
    normal = model.get_vec_normalize_env()
    if normal is None or not normal.norm_obs:
        return lambda obs: arrange(obs * 255)
    mean, scale = (
        torch.from_numpy(each) for each in (normal.obs_rms.mean, (normal.obs_rms.var + normal.epsilon) ** 0.5)
    )
    if mean.shape != wanted:  # normalised first, arranged then
        mean, scale = arrange(mean.reshape(1, *shape)), arrange(scale.reshape(1, *shape))
    clip = float(normal.clip_obs)
    return lambda obs: ((arrange(obs * 255) - mean) / scale).clamp(-clip, clip).float()


def _arrangement(shape: Shape, wanted: Shape | None) -> Prepare | None:
    """How frames of one shape become those of another, if that is one of the ways Stable-Baselines3 has."""
    if wanted == shape:
        return as_it_is
    if wanted == (math.prod(shape),):
        return lambda obs: obs.flatten(1)
    if wanted == (shape[-1], *shape[:-1]):
        return lambda obs: obs.movedim(-1, 1)
    return None
