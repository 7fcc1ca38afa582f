"""What goes between the two processes, as plain data: levels, frames, queries, episodes, generators, errors."""

from __future__ import annotations

from dataclasses import fields
from errno import ENOMEM
from typing import Any, cast

import numpy as np

from goalscope.agents.recipe import PPOConfig, Recipe, recipe_from
from goalscope.detectors.frames import Frames
from goalscope.detectors.query import Query
from goalscope.detectors.readings import Played
from goalscope.envs import Distribution, Levels
from goalscope.errors import (
    DeclarationError,
    ForbiddenError,
    ForecastError,
    LoadError,
    OverspentError,
    ProtocolError,
    UnknownNameError,
    UnsupportedError,
)
from goalscope.registry import FAMILIES

Plain = dict[str, Any]
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        DeclarationError,
        ForbiddenError,
        ForecastError,
        LoadError,
        OverspentError,
        ProtocolError,
        UnknownNameError,
        UnsupportedError,
    )
}
"""Errors that stay what they are on the other side."""


def levels_out(levels: Levels) -> Plain:
    return {column.name: getattr(levels, column.name) for column in fields(levels)}


def levels_in(data: Plain) -> Levels:
    return Levels(**data)


def frames_out(frames: Frames) -> Plain:
    """Frames with all that they show: from this side to the other."""
    return {"obs": frames.obs, "levels": levels_out(frames.levels), "issue": frames.issue, "rows": frames.rows}


def frames_in(data: Plain) -> Frames:
    """Read-only, as the handle's own are."""
    levels = levels_in(data["levels"])
    for array in (data["obs"], *levels_out(levels).values()):
        array.setflags(write=False)
    return Frames(data["obs"], levels, data["issue"], data["rows"])


def named(frames: Frames) -> Plain:
    """Frames by their provenance alone: all that the other side may say about them."""
    if not isinstance(frames, Frames):
        got = type(frames).__name__
        raise ForbiddenError(f"Expected Frames as the handle issues them, got {got}: ask `frames` or `bank`.")
    return {"issue": frames.issue, "rows": np.asarray(frames.rows)}


def played_out(played: Played) -> Plain:
    return {**vars(played), "levels": levels_out(played.levels)}


def played_in(data: Plain) -> Played:
    return Played(**{**data, "levels": levels_in(data["levels"])})


def recipe_out(recipe: Recipe) -> Plain:
    return recipe.as_json()


def recipe_in(data: Plain) -> Recipe:
    """The commonest learner's settings are read here: looking learners up brings in torch."""
    if PPOConfig.kind not in data:
        return recipe_from(data)
    given = {name: value for name, value in data.items() if name != PPOConfig.kind}
    return Recipe(**given, learner=PPOConfig(**data[PPOConfig.kind]))


def query_out(query: Query) -> Plain:
    asked = query.distribution
    return {
        "family": asked.family.id,
        "shift": asked.shift,
        "knobs": dict(asked.knobs),
        "split": asked.split,
        "seed": asked.seed,
        "levels": levels_out(query.levels),
    }


def query_in(data: Plain) -> Query:
    given = {name: data[name] for name in ("shift", "knobs", "split", "seed")}
    return Query(Distribution(FAMILIES.load(data["family"]), **given), levels_in(data["levels"]))


def generator_out(rng: np.random.Generator) -> Plain:
    return dict(rng.bit_generator.state)


def generator_in(state: Plain) -> np.random.Generator:
    bits = np.random.Philox(0)
    bits.state = cast(Any, state)
    return np.random.Generator(bits)


def error_out(error: BaseException, place: str = "") -> Plain:
    """An error's kind and message; of those that nobody foresaw also the line that raised it."""
    kind = next((name for name, known in ERRORS.items() if isinstance(error, known)), "")
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == ENOMEM):
        return {"error": "OverspentError", "message": "memory is over: hold less at a time."}
    if kind:
        return {"error": kind, "message": str(error)}
    return {"error": "ProtocolError", "message": f"{error} ({type(error).__name__}{place})"}


def error_in(data: Plain) -> Exception:
    return ERRORS.get(str(data["error"]), ProtocolError)(str(data["message"]))
