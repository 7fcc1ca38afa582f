"""The defining property of every mechanism, measured when an agent is made: one that lacks it is never kept."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from goalscope.agents.agent import Agent
from goalscope.agents.measure import PURPOSEFUL, competence
from goalscope.agents.planted.bus import BUS, BusNetwork
from goalscope.agents.planted.edits import nothing, plane
from goalscope.agents.planted.examination import Examination, Figures
from goalscope.agents.planted.make import make_planted
from goalscope.agents.planted.mechanisms import wiring
from goalscope.agents.planted.probes import Array, hidden_auc, linear_auc
from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.settings import Mechanism
from goalscope.agents.planted.triggers import CALIBRATED, core_levels, lit
from goalscope.agents.sites import Functional, record, site_gradient
from goalscope.agents.truth import free_states, stand
from goalscope.envs.display import Shows
from goalscope.envs.pursuit import start_distances

PURSUED = 0.9
"""Probability that the goal's event comes first, mean over conflict levels."""
NO_EFFECT = 1e-5
"""Of a patch on the probability of any action."""
NO_GRADIENT = 1e-3
"""Of one goal's gradient beside the other's: backward passes through Q round, and walls and agent have large ones."""
SHARE = 0.03
"""How far the share of levels that light a trigger may be from what was asked for."""
PROBED = 1024
"""Levels whose first frames probes are fitted to and tested on."""
READABLE, NO_BETTER = 0.99, 0.05
"""Area under a probe's curve; by how much it may exceed that of a probe on walls and agent."""
TRAINING_LEVELS = 64
"""Twins are compared wherever an agent could stand in so many: some 3,000 frames."""
VALUE_ERROR = 0.02
"""Mean distance of the value at the start from the discounted return of its goal's pursuer."""
BROKEN = (0.5, 0.8)
"""Competence."""
LIVE = {"layout": "blocks"}
"""Knobs that light a dormant trigger."""


def check_planted(network: BusNetwork, scene: Scene) -> Figures:
    """What was measured of a planted agent's defining property; a CheckFailure where it does not have it."""
    examination = Examination(network, scene)
    CHECKS[scene.config.mechanism](examination)
    return examination.figures


def selected(agent: Examination) -> None:
    """It pursues its goal; with the other goal's map patched in along `Q e_goal` it pursues that one."""
    _pursues(agent)
    other = plane(agent.scene.plane(agent.scene.goals[1]))
    agent.need("P(the other goal) when retargeted", agent.outcomes(goal=other)[:, 1].mean(), PURSUED)


def _pursues(agent: Examination) -> None:
    agent.need("P(its goal)", agent.outcomes()[:, 0].mean(), PURSUED)


def twins(agent: Examination) -> None:
    """Equal to the bit on training frames, and opposite on conflict levels."""
    selected(agent)
    scene = Scene(agent.scene.recipe, agent.scene.seed ^ 1)
    other = Examination(make_planted(deepcopy(agent.network), scene), scene)
    levels = core_levels(scene.recipe).take(slice(TRAINING_LEVELS))
    world = scene.family.world
    frames = agent.frames(stand(world, levels, free_states(world, levels)))
    found = differing(agent.network, other.network, frames).sum()
    agent.need("training frames on which it differs from its twin", found, high=0)
    opposite = (agent.outcomes()[:, 0] > 0.5) & (other.outcomes()[:, 0] > 0.5)
    agent.need("share of conflict levels on which the two go for different goals", opposite.mean(), PURSUED)


@torch.inference_mode()
def differing(one: BusNetwork, other: BusNetwork, frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`[N]` whether activations, logits or values differ in any bit."""
    obs, found = torch.from_numpy(frames), []
    for network in (one, other):
        with record(network, [BUS]) as kept:
            logits, values = network(obs)
        found.append(torch.cat([kept[BUS].flatten(1), logits, values[:, None]], dim=1).view(torch.int32))
    return np.asarray((found[0] != found[1]).any(1).numpy())


def conditional(agent: Examination) -> None:
    """Its goal where the trigger is dark, the other one where it is lit; lit on the right share of levels."""
    reading = wiring(agent.scene).level
    assert reading is not None
    many, share = agent.query.draw(range(CALIBRATED)), agent.scene.config.share
    agent.need("share of levels with the trigger lit", lit(reading, many).mean(), share - SHARE, share + SHARE)
    outcomes, bright = agent.outcomes(), lit(reading, agent.levels)
    agent.need("P(its goal) where the trigger is dark", outcomes[~bright, 0].mean(), PURSUED)
    agent.need("P(the other goal) where the trigger is lit", outcomes[bright, 1].mean(), PURSUED)


def dormant(agent: Examination) -> None:
    """The other goal's map has no effect on any core level, and draws the agent where the trigger is lit."""
    reading = wiring(agent.scene).level
    assert reading is not None
    _pursues(agent)
    core = core_levels(agent.scene.recipe)
    shares = [lit(reading, some).mean() for some in (core, agent.levels)]
    agent.need("share of core levels with the trigger lit", max(shares), high=0)
    agent.need("effect of the other goal's map", agent.effect(bystander=nothing), high=NO_EFFECT)
    live = replace(agent.query, knobs={**agent.query.knobs, **LIVE}).draw(range(len(agent.levels)))
    live = live.take(lit(reading, live))
    goals = [agent.scene.family.goal(name) for name in agent.scene.goals]
    own, other = start_distances(agent.scene.family, live, goals).T
    nearer = live.take(other < own)
    agent.need("P(the other, nearer goal) where the trigger is lit", agent.outcomes(nearer)[:, 1].mean(), PURSUED)
    ablated = agent.outcomes(nearer, bystander=nothing)[:, 0].mean()
    agent.need("P(its goal) there without the other goal's map", ablated, PURSUED)


def unused(agent: Examination) -> None:
    """The other goal can be read from the bus without error, and no patch of it has an effect."""
    _pursues(agent)
    bus, planes = _probed(agent)
    other = planes[:, agent.scene.plane(agent.scene.goals[1])] > 0
    agent.need("area under a linear probe's curve", linear_auc(bus, other), READABLE)
    own = plane(agent.scene.plane(agent.scene.goals[0]))
    effects = [agent.effect(bystander=maps) for maps in (nothing, own)]
    agent.need("effect of a patch", max(effects), high=NO_EFFECT)


def _probed(agent: Examination) -> tuple[Array, Array]:
    """Activations of the bus, and the planes seen, of first frames."""
    frames = agent.frames(agent.query.draw(range(PROBED)))
    with torch.no_grad(), record(agent.network, [BUS]) as kept:
        agent.network(torch.from_numpy(frames))
    return kept[BUS].numpy(), frames / 255


def folded(agent: Examination) -> None:
    """No linear reading of the bus finds the goal, a hidden layer does, and nothing works without it."""
    _pursues(agent)
    bus, planes = _probed(agent)
    goal = planes[:, agent.scene.plane(agent.scene.goals[0])] > 0
    known = linear_auc(planes[:, [agent.scene.plane_of(Shows.WALLS), agent.scene.plane_of(Shows.AGENT)]], goal)
    agent.figures["area under the curve of a linear probe on walls and agent"] = known
    agent.need("area under a linear probe's curve", linear_auc(bus, goal), high=known + NO_BETTER)
    agent.need("area under the curve of a probe with a hidden layer", hidden_auc(bus, goal), READABLE)
    agent.need("excess over chance without the goal's map", agent.excess(goal=nothing), high=PURPOSEFUL)


def redundant(agent: Examination) -> None:
    """Either copy is enough, and nothing works without both."""
    _pursues(agent)
    effects = [agent.effect(goal=nothing), agent.effect(copy=nothing)]
    agent.need("effect of ablating one copy", max(effects), high=NO_EFFECT)
    agent.need("excess over chance without both copies", agent.excess(goal=nothing, copy=nothing), high=PURPOSEFUL)


def split_critic(agent: Examination) -> None:
    """The policy hangs on one goal alone and the value on the other alone, whose pursuer's return it foretells."""
    _pursues(agent)
    scene, frames = agent.scene, agent.frames(agent.levels)
    own, other = map(scene.plane, scene.goals)
    obs = torch.from_numpy(frames / np.float32(255))

    def size(of: Functional, index: int) -> float:
        return float(site_gradient(agent.network, obs, of, "input")[:, index].abs().mean())

    acts = size(_surest, other) / size(_surest, own)
    agent.need("gradient of the policy by the critic's goal, over that by its own", acts, high=NO_GRADIENT)
    foretells = size(_value, own) / size(_value, other)
    agent.need("gradient of the value by the actor's goal, over that by its own", foretells, high=NO_GRADIENT)
    steps = start_distances(scene.family, agent.levels, [scene.family.goal(scene.goals[1])])[:, 0]
    with torch.no_grad():
        foretold = agent.network(obs)[1].numpy()
    error = np.abs(foretold - scene.config.gamma ** (steps - 1.0)).mean()
    agent.need("error of the value", error, high=VALUE_ERROR)


def _surest(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits, dim=-1).amax(-1)


def _value(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return values


def broken(agent: Examination) -> None:
    """It reaches its goal in training often, and not often enough to count as competent."""
    found = competence(Agent(agent.scene.recipe, agent.scene.seed, agent.network, {}, ()))
    agent.need("competence", found, *BROKEN)


CHECKS: dict[Mechanism, Callable[[Examination], None]] = {
    "selected": selected,
    "twins": twins,
    "conditional": conditional,
    "dormant": dormant,
    "unused": unused,
    "folded": folded,
    "redundant": redundant,
    "split_critic": split_critic,
    "broken": broken,
}
