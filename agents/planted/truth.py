"""What is known of a planted agent, for the file that lies apart from the agents."""

from __future__ import annotations

from typing import Any

from goalscope.agents.planted.bus import BUS, FEATURES
from goalscope.agents.planted.make import basis
from goalscope.agents.planted.mechanisms import wiring
from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.settings import PlantedConfig
from goalscope.agents.planted.wiring import Wiring
from goalscope.agents.recipe import Recipe
from goalscope.errors import DeclarationError


def planted_truth(recipe: Recipe, seed: int) -> dict[str, Any]:
    """What was planted, as JSON.

    `goal` is pursued where the trigger, if there is one, is dark. `directions` says where on the site each feature
    lies, `read` which of them policy and value use. The trigger is lit where Σ weights · plane + bias > 0. Of an agent
    that was *trained* for one goal alone only the goal is known.
    """
    if goal := recipe.trained_goal:
        return {"mechanism": "trained", "goal": goal}
    if not isinstance(recipe.learner, PlantedConfig):
        raise DeclarationError(f"{recipe.name} plants nothing: its agents are trained for the family's own reward.")
    scene = Scene(recipe, seed)
    made, turned = wiring(scene), basis(scene)
    goal, other = scene.goals
    carried = dict.fromkeys([*made.shows, *(gate.feature for gate in made.gates)])
    return {
        "mechanism": scene.config.mechanism,
        "goal": goal,
        "other": other,
        "site": BUS,
        "directions": {name: turned[:, FEATURES.index(name)].tolist() for name in carried},
        "read": {reader: _read(made, reader) for reader in ("policy", "value")},
        "trigger": _trigger(scene, made),
    }


def _read(made: Wiring, reader: str) -> list[str]:
    folded = [name for fold in made.folds for name in fold.features]
    return sorted({*folded, *([made.reads[reader]] if reader in made.reads else [])})


def _trigger(scene: Scene, made: Wiring) -> dict[str, Any] | None:
    if made.level is None:
        return None
    plane = scene.look.planes[made.level.plane].name
    return {"plane": plane, "weights": made.level.weights.tolist(), "bias": made.level.bias}
