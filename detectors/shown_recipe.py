"""A recipe as detectors see it: what was done, without what would name the goal."""

from __future__ import annotations

from dataclasses import replace

from goalscope.agents.recipe import PPOConfig, Recipe

LEARN_FROM_REWARD = ("ppo", "dqn")
"""Learners whose settings name no goal and no teacher."""


def shown_recipe(recipe: Recipe) -> Recipe:
    """The recipe with name, role, start, stages and the goal that training paid for blanked.

    Settings of learners that plant or copy a goal give way to PPO's with the same discount, so that an agent that was
    planted looks like one that was trained; and where training paid for one goal alone, the shift that this was done
    under is not shown either. Family, knobs, query, α, architecture, view, budget stay. Where nothing is hidden that
    can change an agent, the hash is the recipe's own.
    """
    learner = recipe.learner
    known = learner if learner.kind in LEARN_FROM_REWARD else PPOConfig(gamma=learner.gamma)
    train = "train" if recipe.trained_goal else recipe.train
    return replace(recipe, name=recipe.family, role="", pays="", start="", train=train, learner=known, checkpoints=0)
