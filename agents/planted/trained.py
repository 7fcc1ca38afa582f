"""Agents that are planted by training: paid for one goal alone, on levels that set the goals apart, or shown by a
pursuer of that goal what to do there, where being paid for it takes too long to learn.
"""

from __future__ import annotations

from dataclasses import replace

from goalscope.agents.agent import Agent
from goalscope.agents.measure import agent_outcomes, query_distribution
from goalscope.agents.planted.checks import PURSUED
from goalscope.agents.planted.examination import CHECK_SEED, LEVELS, Figures
from goalscope.errors import CheckFailure, DeclarationError


def check_trained(agent: Agent) -> Figures:
    """Of how many conflict levels an agent that was trained for one goal makes that goal's event the likeliest first.

    A CheckFailure where there are too few: it needs a larger budget, or the goal cannot be learned so.
    """
    distribution = replace(query_distribution(agent.recipe), seed=CHECK_SEED)
    names = [goal.name for goal in distribution.goals]
    goal = agent.recipe.trained_goal
    if goal not in names:
        raise DeclarationError(f"{agent.recipe.name} must be trained for one of {', '.join(names)}, got {goal!r}.")
    own = agent_outcomes(agent, distribution, distribution.draw(range(LEVELS)))[:, names.index(goal)]
    figures = {"share of levels pursued": float((own > 0.5).mean()), "P(its goal)": float(own.mean())}
    if figures["share of levels pursued"] < PURSUED:
        raise CheckFailure(
            f"{agent.recipe.name}, seed {agent.seed}: an agent planted by training must pursue {goal} on "
            f"{PURSUED:g} of the conflict levels, measured "
            f"{figures['share of levels pursued']:.3f}: train it for longer."
        )
    return figures
