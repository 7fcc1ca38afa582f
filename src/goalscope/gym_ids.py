"""Gymnasium ids of all families, registered by name alone: no family's module is imported."""

from __future__ import annotations

import re
import warnings

from goalscope.errors import PluginWarning
from goalscope.registry import FAMILIES


def gym_id(family_id: str) -> str:
    """The Gymnasium id of a family: ``coin_corner`` is ``goalscope/CoinCorner-v0``, ``…_v1`` is ``…-v1``."""
    found = re.fullmatch(r"(?P<name>.+)_v(?P<version>\d+)", family_id)
    name, version = (found["name"], found["version"]) if found else (family_id, "0")
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return f"goalscope/{camel}-v{version}"


def register_gym_ids() -> None:
    """Make every family known to ``gymnasium.make``; what is registered already stays as it is."""
    for family_id in FAMILIES.names():
        _register(family_id)


def _register(family_id: str) -> None:
    import gymnasium  # here, so that nothing heavy is imported before goalscope has set up the process

    env_id = gym_id(family_id)
    if env_id in gymnasium.registry:
        return
    try:
        gymnasium.register(
            id=env_id,
            entry_point="goalscope.envs.single_env:GridEnv",
            vector_entry_point="goalscope.envs.vector_env:GridVectorEnv",
            kwargs={"family": family_id},
        )
    except gymnasium.error.Error as error:
        warnings.warn(f"Family {family_id!r} gets no Gymnasium id: {error}", PluginWarning, stacklevel=2)
