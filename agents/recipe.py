"""A recipe: everything but the seed that makes an agent, as frozen data with a canonical hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from goalscope.envs.family import Value


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Schulman et al. 2017 (arXiv 1707.06347), with linear annealing of learning rate and entropy bonus."""

    envs: int = 128
    steps: int = 32
    """Steps of every environment between two updates."""
    epochs: int = 2
    minibatches: int = 4
    learning_rate: float = 2e-3
    final_learning_rate: float = 0.0
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.02
    final_entropy: float = 0.002
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    adam_eps: float = 1e-5
    precision: str = "bfloat16"
    """Of the updates' matrix products: bfloat16 (1.7 × faster on CPUs with AVX-512 BF16 or AMX) or float32."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Family, training distribution, algorithm, architecture, budget. With a seed it is an agent."""

    name: str
    family: str
    knobs: Mapping[str, Value] = field(default_factory=dict)
    """Overrides of the training shift's setting; they hold under every shift that does not set them itself."""
    query: str
    """The shift under which its agents are asked."""
    alpha: float = 0.0
    alpha_shift: str = ""
    role: str = "admitted"
    """admitted, anchor (flat on purpose) or control (vacuous on purpose)."""
    arch: str = "conv"
    arch_options: Mapping[str, float] = field(default_factory=dict)
    """Keyword options of the architecture."""
    view: str = "planes"
    budget: int = 400_000
    """Environment steps."""
    ppo: PPOConfig = PPOConfig()

    def __hash__(self) -> int:
        return hash((self.name, self.hash))

    @property
    def hash(self) -> str:
        """Of everything that can change an agent; not of the name or the role."""
        data = {k: v for k, v in asdict(self).items() if k not in ("name", "role", "query")}
        return sha256(json.dumps(data, sort_keys=True, default=dict).encode()).hexdigest()
