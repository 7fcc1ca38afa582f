"""Imitation: hand-computed lessons and losses, what students are shown, small trainings, every architecture."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.learner import Task, training_distribution, training_levels
from goalscope.agents.learners.imitation import (
    Imitated,
    ImitationConfig,
    Lesson,
    Pursuers,
    find_teacher,
    imitate,
    imitation_slopes,
    play,
    show,
)
from goalscope.agents.measure import competence
from goalscope.agents.network import Network, Stepped, make_network
from goalscope.agents.recipe import Recipe
from goalscope.agents.rounds import Histories
from goalscope.agents.training import frame_shape, train, weights_id
from goalscope.envs import Family, from_ascii
from goalscope.envs.pursuit import distances, pursuer_policy
from goalscope.errors import DeclarationError, UnknownNameError
from goalscope.registry import ARCHITECTURES, FAMILIES

COIN_DISH: Family = FAMILIES.load("coin_dish")
SMALL = Recipe(
    name="small",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1},
    arch="mlp",
    budget=16_384,
    learner=ImitationConfig(envs=64, steps=16, levels=64, minibatch=128),
)
APART = replace(SMALL, knobs={"size": 7}, train="apart")


def task_of(recipe: Recipe, network: Network | None = None) -> Task:
    shape = frame_shape(recipe)
    made = network or make_network(recipe.arch, shape, FAMILIES.load(recipe.family).world.n_actions, 0)
    return Task(recipe, 0, made, torch.Generator().manual_seed(0), {})


CORRIDOR = "max_steps: 9\n#######\n#d.>c.#\n#######"
CELLS = (np.zeros(5, int), np.zeros(5, int), np.ones(5, int), np.arange(1, 6))


def lesson_of(shares: dict[str, float], level: str = CORRIDOR) -> Lesson:
    teacher = Pursuers(COIN_DISH, shares, gamma=0.5)
    return teacher(from_ascii(level, COIN_DISH.world), CELLS, torch.zeros(5, 1), torch.zeros(5, 0))[0]


def test_a_pursuers_lesson_is_the_one_computed_by_hand() -> None:
    found = lesson_of({"coin": 1.0})
    right, left, any_way = [1, 0, 0, 0], [0, 0, 1, 0], [0.25] * 4
    assert found.policy.tolist() == [right, right, right, any_way, left]
    assert found.values.tolist() == [0.25, 0.5, 1, 0, 1]
    assert found.counts.tolist() == [1, 1, 1, 0, 1]  # on the coin there is nothing left to do


def test_of_several_pursuers_each_has_its_share() -> None:
    found = lesson_of({"coin": 3.0, "dish": 1.0})
    # The dish's pursuer cannot pass the coin, which ends the episode: from behind it, any way is as good.
    assert found.policy[1:3].tolist() == [[0.75, 0, 0.25, 0]] * 2
    assert found.policy[4].tolist() == [0.0625, 0.0625, 0.8125, 0.0625]
    assert found.values.tolist() == [0.75 * 0.25, 0.75 * 0.5 + 0.25, 0.75 + 0.25 * 0.5, 0, 0.75]
    assert found.counts.tolist() == [0, 1, 1, 0, 1]  # neither on the dish nor on the coin


def test_the_loss_is_the_one_computed_by_hand() -> None:
    lesson = Lesson(
        obs=torch.zeros(3, 1),
        policy=torch.tensor([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]]),
        values=torch.tensor([1.0, 0.0, 5.0]),
        counts=torch.tensor([1.0, 1.0, 0.0]),
    )
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.1, 0.9]]))
    _, parts = imitation_slopes(logits, torch.tensor([0.0, 1.0, 0.0]), lesson, value_weight=0.5)
    # KL: ½ log(½ / ¼) + ½ log(½ / ¾) = ½ log 4/3, and log 2; the third state does not count.
    assert parts.tolist() == pytest.approx([(0.5 * np.log(4 / 3) + np.log(2)) / 2, 0.5], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_slopes_are_autograds(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    logits, values = draw(64, 4).requires_grad_(), draw(64).requires_grad_()
    counts = (draw(64) > 0).double()
    lesson = Lesson(draw(64, 1), torch.softmax(3 * draw(64, 4), -1), draw(64), counts)
    divergence = torch.nn.functional.kl_div(torch.log_softmax(logits, -1), lesson.policy, reduction="none").sum(-1)
    errors = 0.5 * (values - lesson.values).square()
    loss = ((divergence + 0.7 * errors) * counts).sum() / counts.sum()
    wanted = torch.autograd.grad(loss, [logits, values])
    found, parts = imitation_slopes(logits.detach(), values.detach(), lesson, value_weight=0.7)
    torch.testing.assert_close(parts[0] + 0.7 * parts[1], loss.detach())
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other)


def test_nothing_to_learn_is_no_step_and_no_nan() -> None:
    lesson = Lesson(torch.zeros(2, 1), torch.full((2, 4), 0.25), torch.zeros(2), torch.zeros(2))
    slopes, parts = imitation_slopes(torch.randn(2, 4), torch.ones(2), lesson, value_weight=0.5)
    assert not slopes[0].any() and not slopes[1].any() and not parts.any()


def test_students_without_memory_are_shown_all_states_of_a_level() -> None:
    task = task_of(replace(APART, learner=ImitationConfig(levels=4, pursues={"dish": 1.0})))
    lesson, _ = next(show(task, find_teacher(task)))
    levels = training_distribution(task.recipe, 0).draw(range(4))
    agents = (lesson.obs[:, 1] > 0).flatten(1)
    assert agents.sum(1).tolist() == [1] * len(agents)
    coin = levels.marks & COIN_DISH.world.bit("coin") > 0
    wanted = [(w, c) for w, room in enumerate(~levels.walls & ~coin) for c in np.flatnonzero(room)]
    number = np.searchsorted(np.cumsum((~levels.walls & ~coin).sum((1, 2))), np.arange(len(agents)), side="right")
    assert list(zip(number.tolist(), agents.int().argmax(1).tolist(), strict=True)) == wanted
    first = training_levels(task.recipe, 0, 4).engine.reset()
    assert all((lesson.obs == torch.from_numpy(frame)).flatten(1).all(1).any() for frame in first)
    assert (lesson.counts == 0).sum() == 4  # on the dish, which does not end the episode


def test_every_round_shows_new_levels_and_every_heading() -> None:
    recipe = Recipe(name="run", family="coin_run", query="off_end", arch="mlp", learner=ImitationConfig(levels=1))
    task = task_of(recipe)
    first, second = (lesson for lesson, _ in islice(show(task, find_teacher(task)), 2))
    frames = first.obs.flatten(1)
    assert len(frames) % 4 == 0 and len(np.unique(frames.numpy(), axis=0)) == len(frames)
    assert not any(torch.equal(frame, other) for frame in frames for other in second.obs.flatten(1))
    start = training_levels(recipe, 0, 1).engine.reset()
    best = first.policy[(frames == torch.from_numpy(start).flatten(1)).all(1)]
    level, coin_run = training_distribution(recipe, 0).draw([0]), FAMILIES.load("coin_run")
    x, y, heading, _ = level.agent[0]
    wanted = pursuer_policy(coin_run, distances(coin_run, coin_run.goal("coin"), level))[0, heading, y, x]
    assert best.tolist() == [wanted.tolist()] and best.max() < 1


def test_what_is_shown_at_play_is_what_the_pursuer_does_there() -> None:
    task = task_of(replace(APART, arch="lstm", learner=ImitationConfig(envs=8, steps=40, last_share=0.0)))
    for lesson, summary in islice(play(task, find_teacher(task)), 2):
        assert isinstance(lesson, Histories) and summary["return"] == 1  # the teacher acts
        here = (lesson.rows.obs[:, :, 1] > 0).flatten(2).int().argmax(2)
        gone, goes_on = here[1:] - here[:-1], ~lesson.begins[1:]
        action = (gone == 7) * 1 + (gone == -1) * 2 + (gone == -7) * 3  # 0, right, where it is 1
        policy, values = lesson.rows.policy.view(40, 8, 4), lesson.rows.values.view(40, 8)
        taken = policy[:-1].gather(2, action[..., None])[..., 0]
        assert goes_on.any() and (gone[goes_on] != 0).all() and (taken[goes_on] > 0).all()
        torch.testing.assert_close(values[:-1][goes_on], 0.97 * values[1:][goes_on])


def test_a_round_goes_on_from_what_the_student_remembers() -> None:
    task = task_of(replace(APART, arch="lstm", learner=ImitationConfig(envs=8, steps=10)))
    memory = task.network.initial_memory(8)
    for lesson, _ in islice(play(task, find_teacher(task)), 3):
        assert isinstance(lesson, Histories) and torch.equal(lesson.memory, memory)
        for obs, begins in zip(lesson.rows.obs, lesson.begins, strict=True):
            memory = task.network.step(obs, memory * ~begins[:, None])[2].detach()


def test_the_student_acts_ever_more_often() -> None:
    config = ImitationConfig(envs=32, steps=40)
    task = task_of(replace(APART, arch="lstm", budget=2 * 32 * 40, learner=config))
    first, _, last = (summary["return"] for _, summary in islice(play(task, find_teacher(task)), 3))
    assert first == 1 and last < 0.7  # an untrained student does not find the coin


def test_a_teacher_that_remembers_is_asked_with_what_it_remembers() -> None:
    teacher = make_network("lstm", frame_shape(APART), 4, 1, channels=2, width=8)
    with torch.no_grad():
        teacher.get_parameter("policy.weight").mul_(300)
    task = task_of(replace(APART, arch="lstm", learner=ImitationConfig(envs=6, steps=30)))
    memory, met = teacher.initial_memory(6), 0
    for lesson, _ in islice(play(task, Imitated(teacher, COIN_DISH.goals)), 3):
        assert isinstance(lesson, Histories)
        for t in range(30):
            logits, values, memory = teacher.step(lesson.rows.obs[t], memory * ~lesson.begins[t][:, None])
            torch.testing.assert_close(torch.softmax(logits, -1), lesson.rows.policy.view(30, 6, 4)[t])
            torch.testing.assert_close(values, lesson.rows.values.view(30, 6)[t])
        met += int(lesson.begins.sum())
    assert met > 8
    alone, _ = next(play(task_of(APART), Imitated(teacher, COIN_DISH.goals)))
    assert not isinstance(alone, Histories)  # a student without memory learns from frames


@pytest.mark.parametrize("family", ["keys_chests", "coin_run"])
def test_pursuers_teach_where_things_change_and_where_agents_turn(family: str) -> None:
    recipe = Recipe(name="other", family=family, query="train", arch="mlp", learner=ImitationConfig(envs=16, steps=60))
    task = task_of(replace(recipe, learner=replace(recipe.learner, last_share=0.0)))
    lesson, summary = next(play(task, find_teacher(task)))
    assert summary["return"] >= 1 and lesson.rows.values.max() == 1
    assert len(list(islice(imitate(task, find_teacher(task)), 2))) == 2


def test_it_learns_a_small_room_and_gives_the_same_bytes_twice() -> None:
    first, second = train(SMALL, seed=1), train(SMALL, seed=1)
    assert competence(first) > 0.95
    assert first.curve[-1]["divergence"] < 0.2 < first.curve[0]["divergence"]
    assert first.curve[-1]["value_loss"] < 0.01 < first.curve[0]["value_loss"]
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_student_that_remembers_learns_at_play() -> None:
    config = ImitationConfig(envs=128, steps=8, minibatch=128, learning_rate=4e-3)
    agent = train(replace(SMALL, arch="lstm", arch_options={"channels": 4}, budget=20_480, learner=config), seed=1)
    assert agent.curve[-1]["divergence"] < 0.2 < agent.curve[0]["divergence"]
    assert competence(agent) > 0.95


class Peculiar(Network):
    """Acts by the column it is in, and values its row."""

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        agent = (obs[:, 1] > 0).float()
        across, down = agent.sum(1), agent.sum(2)
        columns = torch.arange(agent.shape[2])[None, :, None] == torch.arange(4)[None, None]
        logits = 4.0 * (across[:, :, None] * columns).sum(1)
        return logits, (down * torch.arange(agent.shape[1]) / 5).sum(1), memory


def test_a_student_of_an_agent_does_and_values_what_that_one_does() -> None:
    teacher = Agent(SMALL, 3, Peculiar(), {}, [])
    student = train(replace(SMALL, learner=replace(SMALL.learner, teacher=weights_id(teacher))), 1, given=[teacher])
    assert student.curve[-1]["divergence"] < 0.02 and student.curve[-1]["value_loss"] < 0.002
    assert student.curve[0]["divergence"] > 0.2 and student.curve[0]["value_loss"] > 0.02


@pytest.mark.parametrize("arch", ARCHITECTURES.names())
def test_every_architecture_can_be_a_student(arch: str) -> None:
    task = task_of(
        replace(SMALL, arch=arch, budget=1024, learner=ImitationConfig(envs=16, steps=32, levels=64, minibatch=64))
    )
    rows = list(imitate(task, find_teacher(task)))
    first, last = (row["divergence"] + row["value_loss"] for row in rows)
    assert last < first


def test_a_teacher_is_one_and_pursuers_are_followed() -> None:
    with pytest.raises(DeclarationError, match="Imitation has one teacher, got 'dish_open@.{12}' and pursuers"):
        ImitationConfig(teacher="dish_open", pursues={"coin": 1.0})
    with pytest.raises(DeclarationError, match="must be positive, got {'coin': 0}"):
        ImitationConfig(pursues={"coin": 0})


def test_a_teacher_that_cannot_teach_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="no goal of coin_dish 'coyn'. Did you mean 'coin'"):
        train(replace(SMALL, learner=ImitationConfig(pursues={"coyn": 1.0})), 0)
    with pytest.raises(DeclarationError, match="leave `pays` empty"):
        train(replace(SMALL, pays="dish"), 0)
    teacher = Agent(replace(SMALL, view="full"), 0, Peculiar(), {}, [])
    student = replace(SMALL, learner=ImitationConfig(teacher=weights_id(teacher)))
    with pytest.raises(DeclarationError, match="must see the same.* coin_dish in planes and coin_dish in full"):
        train(student, 0, given=[teacher])
