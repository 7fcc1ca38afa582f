"""Norms of the first layer's weights, goal by goal, trained or initial: shared by the methods on either."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from goalscope.detectors.contrast import check_shown, feature_planes, log_ratios
from goalscope.detectors.handle import INPUT, AgentHandle, Array
from goalscope.errors import DeclarationError


def norm_ratios(agent: AgentHandle, *, initial: bool = False) -> Array:
    """`[proxies]` log norm of the first layer's weights from the intended goal's planes minus that from the proxy's."""
    check_shown(agent)
    squares = plane_norms(agent.weight_norms(initial=initial), agent.sites[INPUT]) ** 2
    return log_ratios(agent, np.sqrt([squares[planes].sum() for planes in feature_planes(agent)]))


def plane_norms(norms: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """`[planes]` norms of the first layer, from those of all parameters, name -> `[inputs]`.

    That is the first layer that takes planes, or observations of `shape` laid flat.
    """
    for found in norms.values():
        if len(found) == shape[0]:
            return found
        if len(found) == math.prod(shape):
            return np.asarray(np.linalg.norm(found.reshape(shape[0], -1), axis=1))
    raise DeclarationError(f"No layer takes {shape[0]} planes or {math.prod(shape)} inputs: it is not a first layer.")
