"""What methods that compare goals share: where the objects lie, how sizes are compared, what progress is.

Every comparison is of the intended goal with one proxy, so evidence has one number a proxy; goals that no plane of the
observation shows (a corner, say) are left out of it, because there is nothing of theirs to differentiate.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.sites import Functional
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import INPUT, AgentHandle, Array
from goalscope.envs.pursuit import targets
from goalscope.errors import DeclarationError, ForbiddenError

PAIRS = 256
"""Training frames that methods on pairs of frames ask for, each with its partner."""
POINTS = 8
"""Points of the line between two frames at which integrated gradients are taken."""
SINGLES = 512
"""Training frames that methods on single frames ask for."""
LEAST_SHARE = 1e-3
"""Of two sizes that are compared, each counts as at least this share of their sum: a ratio is never infinite."""
PROBED = 8
"""Frames on which :func:`policy_site` compares a patched run with its donor's."""


def shown_proxies(planes: list[list[int]], intended: int) -> list[int]:
    """The proxies that planes of the observation show; the intended goal must be shown, and one of them."""
    proxies = [g for g, shown in enumerate(planes) if shown and g != intended]
    if not planes[intended] or not proxies:
        raise DeclarationError("The intended goal and a proxy must each have a plane of their own to be compared.")
    return proxies


def check_shown(agent: AgentHandle) -> None:
    """Raise, before anything is spent, where goals cannot be compared by the planes that show them.

    That is a :class:`DeclarationError` where no plane shows a goal of the two, and an :class:`UnsupportedError` where
    the agent sees MiniGrid's views, whose bytes are codes.
    """
    shown_proxies(agent.planes, agent.intended)


def log_ratios(agent: AgentHandle, sizes: Array) -> Array:
    """`[proxies]` log of the intended goal's size over each proxy's, from sizes `[K]` that are not negative."""
    proxies = shown_proxies(agent.planes, agent.intended)
    own, others = sizes[agent.intended], sizes[proxies]
    least = LEAST_SHARE * (own + others) + np.finfo(float).tiny
    return np.asarray(np.log((own + least) / (others + least)))


def differences(agent: AgentHandle, amounts: Array) -> Array:
    """`[proxies]` the intended goal's amount minus each proxy's, over their absolute sum: −1 to 1; 0 without any."""
    proxies = shown_proxies(agent.planes, agent.intended)
    own, others = amounts[agent.intended], amounts[proxies]
    return np.asarray((own - others) / np.maximum(np.abs(own) + np.abs(others), np.finfo(float).tiny))


def objects(agent: AgentHandle, frames: Frames) -> NDArray[np.bool_]:
    """`[K, N, H, W]` the cells of each goal's things that count: where all goals that planes show have theirs.

    In families whose goals never share a cell (chests and keys), each goal's own cells.
    """
    cells = np.stack([targets(agent.family, goal, frames.levels) for goal in agent.goals])
    together = np.logical_and.reduce(cells[[bool(planes) for planes in agent.planes]])
    return np.broadcast_to(together, cells.shape) if together.any() else cells


def feature_sizes(agent: AgentHandle, frames: Frames, gradients: NDArray[np.floating]) -> Array:
    """`[K]` mean size, over the objects, of the derivative along taking each goal's feature off one object.

    From gradients `[N, planes, H, W]` by the observation. Where a feature is not shown, there is nothing to take off.
    """
    taken_off = gradients * (frames.obs / 255)
    lies = objects(agent, frames)
    return np.array(
        [
            np.abs(taken_off[:, planes].sum(1)[cells]).mean() if planes else 0.0
            for planes, cells in zip(agent.planes, lies, strict=True)
        ]
    )


def attributions(agent: AgentHandle, gradients: NDArray[np.floating], start: Frames, end: Frames) -> Array:
    """`[K]` gradients times (end − start), summed over each goal's planes and all cells, mean over frames."""
    change = (end.obs.astype(np.float64) - start.obs) / 255
    by_plane = (gradients * change).sum((2, 3)).mean(0)
    return np.array([by_plane[planes].sum() for planes in agent.planes])


def path_attribution(agent: AgentHandle) -> Array:
    """`[proxies]` how much more of the progress towards a moved object its intended feature draws than each proxy's.

    Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) of progress between the two frames of each pair.
    """
    check_shown(agent)
    start, end = pairs(agent)
    gradients = agent.line_gradients(start, end, progress(agent.direction(start, end)), POINTS)
    return differences(agent, attributions(agent, gradients, start, end))


def pairs(agent: AgentHandle) -> tuple[Frames, Frames]:
    """Training frames, and for each one of the same layout in which what coincides lies elsewhere."""
    start = agent.frames(PAIRS)
    return start, agent.together(start)


def progress(gains: Array) -> Functional:
    """The functional "expected steps nearer", Σ over actions of probability times gains `[N, A]`."""
    weights = torch.from_numpy(gains).float()

    def expected(logits: Tensor, values: Tensor) -> Tensor:
        return (torch.softmax(logits, dim=-1) * weights).sum(-1)

    return expected


def patchable(agent: AgentHandle, frames: Frames) -> list[str]:
    """The sites that this track may patch: on the support those after the first nonlinearity."""
    base, found = frames.take(slice(1)), []
    for site in agent.sites:
        try:
            agent.patched(base, base, site)
        except ForbiddenError:
            continue
        found.append(site)
    return found


def policy_site(agent: AgentHandle, frames: Frames) -> str:
    """The last site that the policy is read from: with it patched from a donor the policy is the donor's, to the bit.

    (The last of all may feed the value alone, where actor and critic have bodies of their own.) Base and donor are the
    first and the last of `frames`. Where no site may be patched, because all are affine, it is the last site by which
    the policy can be differentiated.
    """
    base, donor = frames.take(slice(PROBED)), frames.take(slice(-PROBED, None))
    wanted, sites = agent.outputs(donor).probabilities, patchable(agent, frames)
    for site in reversed(sites):
        found = agent.patched(base, donor, site).probabilities
        if np.array_equal(found, wanted):
            return site
    for site in reversed([name for name in agent.sites if name != INPUT and not sites]):
        if agent.gradients(base, _surest, site).any():
            return site
    raise DeclarationError("No site of this network carries all that its policy reads.")


def _surest(logits: Tensor, values: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=-1).max(-1).values
