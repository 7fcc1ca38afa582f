"""A recipe: everything but the seed that makes an agent, as frozen data with a canonical hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import PlainValidator, TypeAdapter, ValidationError

from goalscope.envs.family import Value
from goalscope.registry import LEARNERS, RECIPES


class LearnerSettings(Protocol):
    """A frozen dataclass of how an agent learns."""

    kind: ClassVar[str]
    """The learner's id."""
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def gamma(self) -> float:
        """The discount of the values that the agent learns."""


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Schulman et al. 2017 (arXiv 1707.06347), with linear annealing of learning rate and entropy bonus."""

    kind: ClassVar[str] = "ppo"
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


LABELS = ("name", "role", "query", "checkpoints")
"""Fields that change no agent."""
PIN = 12
"""Digits of a hash that tell a recipe, or an agent's weights, from all others."""
LATER = ("train", "pays", "start")
"""Fields that count only where they are not at their default: recipes from before they came keep their hash."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Family, training distribution, algorithm, architecture, budget. With a seed it is an agent."""

    name: str
    family: str
    knobs: Mapping[str, Value] = field(default_factory=dict)
    """Overrides of the training shift's setting; they hold under every shift that does not set them itself."""
    query: str
    """The shift under which its agents are asked."""
    train: str = "train"
    """The shift under which they train."""
    pays: str = ""
    """The one goal that training pays for; empty: what the family's rules pay for."""
    alpha: float = 0.0
    alpha_shift: str = ""
    role: str = "admitted"
    """admitted, anchor (flat on purpose), control (vacuous on purpose) or planted (its goal is known)."""
    arch: str = "conv"
    arch_options: Mapping[str, Value] = field(default_factory=dict)
    """Keyword options of the architecture."""
    view: str = "planes"
    budget: int = 400_000
    """Environment steps."""
    learner: Annotated[LearnerSettings, PlainValidator(lambda settings: settings)] = PPOConfig()
    start: str = ""
    """The recipe whose agent of the same seed is trained on (see :func:`pinned`); empty: initial weights."""
    checkpoints: int = 0
    """How many stages of training are kept beside the last: after budget / 2, / 4, / 8 … steps."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", pinned(self.start))

    def __hash__(self) -> int:
        return hash((self.name, self.hash))

    @property
    def trained_goal(self) -> str:
        """The goal that training plants: the only one paid for, or pursued by the only teacher; empty without one."""
        pursued = tuple(getattr(self.learner, "pursues", ()))
        return pursued[0] if self.role == "planted" and len(pursued) == 1 else self.pays

    @property
    def hash(self) -> str:
        """Of everything that can change an agent; not of the name or the role."""
        defaults = {f.name: f.default for f in fields(self)}
        data = {
            name: value
            for name, value in self.as_json().items()
            if name not in LABELS and not (name in LATER and value == defaults[name])
        }
        return sha256(json.dumps(data, sort_keys=True, default=dict).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """All fields, the learner's settings under the learner's id."""
        data = asdict(self)
        data[self.learner.kind] = data.pop("learner")
        return data


def pinned(agent: str) -> str:
    """How a recipe names an agent that its own builds on: by the id of its recipe, @ and the hash, ``dish_open@0a1b…``.

    So whoever builds on an agent is another one when that agent's recipe changes. The hash is put behind an id that
    comes without; agents that no recipe makes are named by a hash alone (:func:`goalscope.agents.training.weights_id`).
    """
    return agent if "@" in agent or not agent else f"{agent}@{RECIPES.load(agent).hash[:PIN]}"


FIELDS = {f.name for f in fields(Recipe)} - {"learner"}


def recipe_from(data: Mapping[str, Any]) -> Recipe:
    """A recipe from its JSON form. Raises a ValueError that names what is wrong."""
    kinds = sorted(set(data) - FIELDS)
    strangers = [kind for kind in kinds if kind not in LEARNERS.names()] or kinds[1:]
    if strangers:
        raise ValueError(
            f"unknown fields {', '.join(strangers)}; known: {', '.join(sorted(FIELDS))}, and one learner, of "
            f"{', '.join(LEARNERS.names())}, with its settings"
        )
    given = {name: value for name, value in data.items() if name in FIELDS}
    learner = _checked(LEARNERS.load(kinds[0]).settings, data[kinds[0]]) if kinds else PPOConfig()
    recipe: Recipe = _checked(Recipe, {**given, "learner": learner})
    return recipe


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    """Made once: to make one takes far longer than to check a recipe by it."""
    return TypeAdapter(kind)


def _checked(kind: type, data: Mapping[str, Any]) -> Any:
    """A frozen dataclass from JSON, every field checked for its type."""
    known = sorted(f.name for f in fields(kind))
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"unknown settings {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
