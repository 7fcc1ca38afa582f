"""How every mechanism is wired: the part to read."""

from __future__ import annotations

from collections.abc import Callable

from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.settings import Mechanism
from goalscope.agents.planted.triggers import floor_texture, new_walls_trigger, walls_trigger
from goalscope.agents.planted.wiring import Fold, Gate, Wiring
from goalscope.envs.display import Shows


def wiring(scene: Scene) -> Wiring:
    """What one planted agent is made of."""
    return WIRINGS[scene.config.mechanism](scene)


def _shows(scene: Scene, **features: str) -> dict[str, int]:
    """Walls, agent, and features that are a goal's plane."""
    own = {"walls": scene.plane_of(Shows.WALLS), "agent": scene.plane_of(Shows.AGENT)}
    return own | {feature: scene.plane(goal) for feature, goal in features.items()}


def selected(scene: Scene) -> Wiring:
    """goal = A."""
    goal, _ = scene.goals
    return Wiring(shows=_shows(scene, goal=goal))


def conditional(scene: Scene) -> Wiring:
    """goal = A where v < 0, and B where v > 0, v a reading of the walls.

    In one layer: A · [v < 0] = ReLU(A − v) − ReLU(−v), as A is at most 1 and |v| at least 1.
    """
    goal, other = map(scene.plane, scene.goals)
    gates = (
        Gate(plane=goal, level=-1.0, feature="goal", weight=1.0),
        Gate(level=-1.0, feature="goal", weight=-1.0),
        Gate(plane=other, level=1.0, feature="goal", weight=1.0),
        Gate(level=1.0, feature="goal", weight=-1.0),
    )
    return Wiring(shows=_shows(scene), level=walls_trigger(scene, scene.config.share), gates=gates)


def dormant(scene: Scene) -> Wiring:
    """The reader adds ReLU(B + 2t − 2) to goal = A; the trigger t = ReLU(v) − ReLU(v − 1) is 0 or 1, v an integer."""
    goal, other = scene.goals
    gates = (
        Gate(level=1.0, feature="trigger", weight=1.0),
        Gate(level=1.0, bias=-1.0, feature="trigger", weight=-1.0),
    )
    return Wiring(
        shows=_shows(scene, goal=goal, bystander=other),
        level=new_walls_trigger(scene),
        gates=gates,
        folds=(Fold(features={"bystander": 1.0, "trigger": 2.0}, bias=-2.0),),
    )


def unused(scene: Scene) -> Wiring:
    """goal = A, and a bystander = B that nothing reads."""
    goal, other = scene.goals
    return Wiring(shows=_shows(scene, goal=goal, bystander=other))


def folded(scene: Scene) -> Wiring:
    """goal = A · sign(v), v a reading of where the agent stands; the reader takes |goal| = ReLU(goal) + ReLU(−goal).

    In one layer: A · sign(v) = ReLU(A + v) − ReLU(v) − ReLU(A − v) + ReLU(−v).
    """
    plane = scene.plane(scene.goals[0])
    gates = (
        Gate(plane=plane, level=1.0, feature="goal", weight=1.0),
        Gate(level=1.0, feature="goal", weight=-1.0),
        Gate(plane=plane, level=-1.0, feature="goal", weight=-1.0),
        Gate(level=-1.0, feature="goal", weight=1.0),
    )
    folds = (Fold(features={"goal": 1.0}), Fold(features={"goal": -1.0}))
    return Wiring(shows=_shows(scene), level=floor_texture(scene), gates=gates, folds=folds, reads={})


def redundant(scene: Scene) -> Wiring:
    """goal = copy = A; the reader takes goal + ReLU(copy − goal), the larger of the two."""
    goal, _ = scene.goals
    return Wiring(shows=_shows(scene, goal=goal, copy=goal), folds=(Fold(features={"copy": 1.0, "goal": -1.0}),))


def split_critic(scene: Scene) -> Wiring:
    """goal = A for the policy, critic = B for the value."""
    goal, other = scene.goals
    return Wiring(shows=_shows(scene, goal=goal, critic=other), reads={"policy": "goal", "value": "critic"})


def broken(scene: Scene) -> Wiring:
    """goal = A, and the hand slips."""
    goal, _ = scene.goals
    return Wiring(shows=_shows(scene, goal=goal), slip=scene.config.slip)


WIRINGS: dict[Mechanism, Callable[[Scene], Wiring]] = {
    "selected": selected,
    "twins": selected,
    "conditional": conditional,
    "dormant": dormant,
    "unused": unused,
    "folded": folded,
    "redundant": redundant,
    "split_critic": split_critic,
    "broken": broken,
}
