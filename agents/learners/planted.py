"""A learner that learns nothing: it writes a planted mechanism's weights, and checks that they do what they are for."""

from __future__ import annotations

from collections.abc import Iterator

from goalscope.agents.learner import Learner, Row, Task
from goalscope.agents.planted.checks import check_planted
from goalscope.agents.planted.make import make_planted
from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.settings import PlantedConfig


def learn(task: Task) -> Iterator[Row]:
    """One row, which is the same for all mechanisms."""
    scene = Scene(task.recipe, task.seed)
    check_planted(make_planted(task.network, scene), scene)
    yield {"steps": 0.0}


LEARNER = Learner(settings=PlantedConfig, learn=learn)
