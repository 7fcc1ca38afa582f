"""What was planted in the agents of a zoo, ``truth.json``: apart from the agents, as their labels are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goalscope.agents.members import Member
from goalscope.agents.planted.truth import planted_truth
from goalscope.agents.recipe import Recipe
from goalscope.errors import StorageError
from goalscope.files import write_whole


def write_planted(zoo: Path, members: Sequence[Member]) -> None:
    """Write what is known of the planted members, if there are any."""
    if known := _truths(members):
        text = json.dumps(known, indent=1, allow_nan=False)
        write_whole(zoo / "truth.json", lambda path: path.write_text(text))


def read_planted(zoo: Path) -> dict[str, dict[str, Any]]:
    """Agent -> what was planted in it, as :func:`goalscope.agents.planted.truth.planted_truth` says it."""
    path = zoo / "truth.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        return {str(identity): dict(truth) for identity, truth in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise StorageError(f"{path} is no readable list of planted truths: {error!r}. Build the zoo again.") from error


def changed_truths(zoo: Path, members: Sequence[Member]) -> list[str]:
    """The members of which the file does not say what it should."""
    found = read_planted(zoo)
    return [identity for identity, truth in _truths(members).items() if found.get(identity) != truth]


def _truths(members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    planted = sorted((member for member in members if _is_planted(member.recipe)), key=lambda member: member.id)
    return {member.id: json.loads(json.dumps(planted_truth(member.recipe, member.seed))) for member in planted}


def _is_planted(recipe: Recipe) -> bool:
    """By hand, or by training for one goal alone."""
    return bool(recipe.trained_goal) or recipe.learner.kind == "planted"
