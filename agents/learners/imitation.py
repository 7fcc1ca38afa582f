"""Imitation: a student learns to do what a teacher does, a goal's pursuer or another agent, and to value states alike.

Read :func:`imitate` first: be shown states with what the teacher would do there, learn, repeat. The loss is the
divergence KL(teacher ‖ student), as in policy distillation (Rusu et al. 2016, arXiv 1511.06295), and the squared error
of the value. A student of a pursuer on coincident levels is a behaviourally cloned agent: nothing that it is shown says
which goal its teacher has.

Students without memory are shown all states of a level at once where they can be, those that remember what they meet at
play, where first the teacher acts and more and more they themselves (DAgger; Ross et al. 2011, arXiv 1011.0686).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.descent import Descent, annealed
from goalscope.agents.learner import Learner, Row, Task, training_distribution
from goalscope.agents.network import Network, Shape
from goalscope.agents.recipe import pinned
from goalscope.agents.rounds import Frames, Histories, Round
from goalscope.agents.truth import free_states, is_exact, stand
from goalscope.envs import Engine, Family, Goal, Levels
from goalscope.envs.pursuit import distances, ending_cells, pursuer_policy
from goalscope.envs.streaming import LevelStream
from goalscope.errors import DeclarationError

Places = tuple[NDArray[np.integer], ...]
"""Level, heading, row and column of S states, `[S]` each."""


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """Who teaches, and how the student learns."""

    kind: ClassVar[str] = "imitation"
    teacher: str = ""
    """The recipe whose agent of the same seed teaches (see :func:`goalscope.agents.recipe.pinned`); empty: pursuers."""
    pursues: Mapping[str, float] = field(default_factory=dict)
    """Goal -> how often its pursuer is followed, at every state anew; empty: the intended goal's, always."""
    levels: int = 128
    """Levels of a round, of which all states are shown …"""
    envs: int = 64
    steps: int = 32
    """… or environments, and the steps that are played in each."""
    last_share: float = 1.0
    """Share of these steps that the student takes, at the end of training; it rises from 0."""
    minibatch: int = 512
    """States, about."""
    learning_rate: float = 2e-3
    final_learning_rate: float = 0.0
    gamma: float = 0.97
    """Of a pursuer's values; an agent's are its own."""
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    adam_eps: float = 1e-5
    precision: str = "bfloat16"
    """Of the updates' matrix products: bfloat16 or float32."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "teacher", pinned(self.teacher))
        if self.teacher and self.pursues:
            raise DeclarationError(f"Imitation has one teacher, got {self.teacher!r} and pursuers: leave one out.")
        if not all(share > 0 for share in self.pursues.values()):
            raise DeclarationError(f"How often a pursuer is followed must be positive, got {dict(self.pursues)}.")


@dataclass(frozen=True)
class Lesson(Frames):
    """What the teacher does in N states."""

    policy: Tensor
    """`[N, A]` its action probabilities."""
    values: Tensor
    """`[N]`, as the rest."""
    counts: Tensor
    """1, or 0 where the teacher has nothing left to do."""


class Teacher(Protocol):
    """Says what it would do in S states: the agent at `places` of `levels`, where it observes `obs` `[S, …]`."""

    goals: tuple[Goal, ...]
    """All that happens until the first of their events is the teacher's business."""
    memory: int
    """Numbers it remembers from step to step."""

    def __call__(self, levels: Levels, places: Places, obs: Tensor, memory: Tensor) -> tuple[Lesson, Tensor]:
        """The lesson, and what the teacher remembers then `[S, M]`."""


def learn(task: Task) -> Iterator[Row]:
    """Train `task.network` to do as the teacher that the recipe names."""
    return imitate(task, find_teacher(task))


def imitate(task: Task, teacher: Teacher) -> Iterator[Row]:
    """Train `task.network`; one row a round. Steps are states in which the student was told what to do."""
    config: ImitationConfig = task.settings
    network, budget = task.network, task.recipe.budget
    family = training_distribution(task.recipe, task.seed).family
    at_once = not network.memory and not teacher.memory and is_exact(family, teacher.goals)
    descent, taught = Descent(network, config), 0
    for lesson, summary in (show if at_once else play)(task, teacher):
        descent.anneal(1 - taught / budget)
        losses = improve(network, descent, lesson, task.random, config)
        taught += len(lesson.rows.values)
        yield {"steps": float(taught), **summary, **losses}
        if taught >= budget:
            return


class Pursuers:
    """Each takes any of its optimal actions, with the same probability; a state d steps away is worth γ^(d − 1).

    That is as if the goal's event paid 1, once. Where it is out of reach all actions are as good, and worth nothing.
    """

    memory = 0

    def __init__(self, family: Family, shares: Mapping[str, float], gamma: float) -> None:
        self.goals = tuple(family.goal(name) for name in shares)
        self._family, self._gamma = family, gamma
        self._shares = np.array(list(shares.values())) / sum(shares.values())

    def __call__(self, levels: Levels, places: Places, obs: Tensor, memory: Tensor) -> tuple[Lesson, Tensor]:
        n, heading, y, x = places
        policy, values = np.zeros((len(n), self._family.world.n_actions)), np.zeros(len(n))
        counts = np.ones(len(n), np.bool_)
        for goal, share in zip(self.goals, self._shares, strict=True):
            table = distances(self._family, goal, levels)
            at = (n, heading if table.shape[1] == 4 else 0, y, x)
            left = table[at]
            policy += share * pursuer_policy(self._family, table)[at]
            values += share * np.where(left > 0, self._gamma ** (left - 1.0), 0.0)
            counts &= left != 0
        columns = (torch.from_numpy(column).float() for column in (policy, values, counts))
        return Lesson(obs, *columns), memory


class Imitated:
    """Another agent: its action probabilities at temperature 1, its values."""

    def __init__(self, network: Network, goals: tuple[Goal, ...]) -> None:
        self.goals, self.memory, self._network = goals, network.memory, network

    @torch.no_grad()
    def __call__(self, levels: Levels, places: Places, obs: Tensor, memory: Tensor) -> tuple[Lesson, Tensor]:
        logits, values, memory = self._network.step(obs, memory)
        return Lesson(obs, torch.softmax(logits, -1), values, torch.ones_like(values)), memory


def find_teacher(task: Task) -> Teacher:
    """Whom the student learns from. Raises a :class:`DeclarationError` for an agent that sees other things."""
    if task.recipe.pays:
        raise DeclarationError(f"{task.recipe.name} imitates, and nobody pays for that: leave `pays` empty.")
    config: ImitationConfig = task.settings
    distribution = training_distribution(task.recipe, task.seed)
    family = distribution.family
    if not config.teacher:
        return Pursuers(family, config.pursues or {family.intended(distribution.settings).name: 1.0}, config.gamma)
    agent = task.another(config.teacher)
    theirs = training_distribution(agent.recipe, agent.seed)
    sights = [
        (d.family.id, r.view, d.family.look(d.settings))
        for d, r in ((distribution, task.recipe), (theirs, agent.recipe))
    ]
    if sights[0] != sights[1]:
        raise DeclarationError(
            f"{task.recipe.name} and its teacher {config.teacher} must see the same: one family, view and display, got "
            f"{task.recipe.family} in {task.recipe.view} and {agent.recipe.family} in {agent.recipe.view}."
        )
    return Imitated(agent.network, distribution.goals)


def show(task: Task, teacher: Teacher) -> Iterator[tuple[Lesson, Row]]:
    """All states of one level after the other: the agent wherever it could be while the episode goes on."""
    config: ImitationConfig = task.settings
    distribution = training_distribution(task.recipe, task.seed)
    family, display = distribution.family, distribution.family.look(distribution.settings)
    for k in count():
        levels = distribution.draw(range(k * config.levels, (k + 1) * config.levels))
        places = free_states(family.world, levels)
        going = ~ending_cells(family.world, levels)[places[0], places[2], places[3]]
        places = tuple(axis[going] for axis in places)
        placed = stand(family.world, levels, places)
        obs = Engine(placed, family, task.recipe.view, autoreset="off", display=display).reset()
        yield teacher(levels, places, torch.from_numpy(obs), torch.zeros(len(obs), 0))[0], {}


class Lived(Round):
    """A round of playing: arrays `[T, B]` of what the teacher would have done."""

    def __init__(
        self, config: ImitationConfig, shape: Shape, n_actions: int, network: Network, teacher: Teacher
    ) -> None:
        super().__init__(config.steps, config.envs, shape, network.memory)
        size = (config.steps, config.envs)
        self.policy = np.zeros((*size, n_actions), np.float32)
        self.values = np.zeros(size, np.float32)
        self.counts = np.zeros(size, np.float32)
        self.teachers = torch.zeros(config.envs, teacher.memory)
        """`[B, M]` what the teacher remembers before the next observation."""


def play(task: Task, teacher: Teacher) -> Iterator[tuple[Lesson | Histories[Lesson], Row]]:
    """What teacher and student meet who play in turns, the student ever more often."""
    config: ImitationConfig = task.settings
    levels, network = task.levels(config.envs), task.network
    lived = Lived(config, levels.engine.obs_shape, levels.engine.world.n_actions, network, teacher)
    levels.reset(out=lived.obs[0])
    for k in count():
        left = max(0.0, 1 - k * config.envs * config.steps / task.recipe.budget)
        memory = collect(lived, levels, network, teacher, task.random, annealed(0.0, config.last_share, left))
        yield lived.whole(network, Lesson, lived.policy, lived.values, lived.counts), lived.summary()
        lived.carry_over(levels, memory)


@torch.no_grad()
def collect(
    lived: Lived, levels: LevelStream, network: Network, teacher: Teacher, random: torch.Generator, share: float
) -> Tensor:
    """Play a round, of whose steps the student takes a `share`. Returns what it remembers then."""
    lived.finished.clear()
    noise = torch.empty(lived.policy.shape).exponential_(generator=random)
    by_student = torch.rand(lived.ends.shape, generator=random) < share
    memory = lived.memory
    for t in range(len(lived.ends)):
        logits, _, memory = lived.answer(network, t, memory)
        now, begins = levels.engine.snapshot(), torch.from_numpy(lived.begins[t])
        x, y, heading, _ = now.agent.T
        places = (np.arange(len(now)), heading, y, x)
        lesson, lived.teachers = teacher(now, places, torch.from_numpy(lived.obs[t]), lived.teachers * ~begins[:, None])
        lived.policy[t], lived.values[t], lived.counts[t] = lesson.policy, lesson.values, lesson.counts
        acting = torch.where(by_student[t][:, None], torch.softmax(logits, -1), lesson.policy)
        lived.step(t, levels, (acting / noise[t]).argmax(-1).numpy())  # the exponential race samples from the shares
    return memory


def improve(
    network: Network,
    descent: Descent,
    lesson: Lesson | Histories[Lesson],
    random: torch.Generator,
    config: ImitationConfig,
) -> Row:
    """Put everything before the network once, in shuffled minibatches; returns the mean losses."""
    parts = max(1, round(len(lesson.rows.values) / config.minibatch))
    totals, batches = torch.zeros(2), 0
    for batch in lesson.shuffled(random, parts):
        slopes = partial(imitation_slopes, lesson=batch.rows, value_weight=config.value_weight)
        totals += descent.step(partial(batch.answers, network), slopes)
        batches += 1
    return dict(zip(("divergence", "value_loss"), (totals / batches).tolist(), strict=True))


def imitation_slopes(
    logits: Tensor, values: Tensor, lesson: Lesson, value_weight: float
) -> tuple[list[Tensor], Tensor]:
    """Derivatives of the loss by logits `[N, A]` and values `[N]`, and `[2]` its parts.

    The loss is KL(teacher ‖ student) plus, weighted, half the squared value error: means over the states that count.
    """
    weights = lesson.counts / lesson.counts.sum().clamp(min=1.0)
    log_all = torch.log_softmax(logits, dim=-1)
    divergence = (torch.xlogy(lesson.policy, lesson.policy) - lesson.policy * log_all).sum(-1)
    error = values - lesson.values
    slopes = [weights[:, None] * (log_all.exp() - lesson.policy), value_weight * weights * error]
    return slopes, torch.stack([weights @ divergence, 0.5 * weights @ error.square()])


LEARNER = Learner(settings=ImitationConfig, learn=learn)
