"""What methods that compare goals share: where the objects lie, how sizes are compared, what progress is.

Every comparison is of the intended goal with one proxy, so evidence has one number a proxy; goals that nothing in the
observation shows (a corner, say) are left out of it, because there is nothing of theirs to differentiate. A feature is
planes, or in MiniGrid's views the change that it makes: see :mod:`goalscope.detectors.features`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.sites import Functional
from goalscope.detectors.features import check_one_hot, feature_changes, lit_planes, one_hot
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


def has_planes(agent: AgentHandle) -> bool:
    """Whether observations are planes of things, not MiniGrid's codes."""
    return agent.recipe.view == "planes"


def feature_planes(agent: AgentHandle) -> list[list[int]]:
    """For each goal the planes of the network's input that its feature lights; none where nothing shows it."""
    return agent.planes if has_planes(agent) else lit_planes(agent.recipe, agent.goals)


def shown_proxies(agent: AgentHandle) -> list[int]:
    """The proxies that observations show; the intended goal must be shown, and one of them."""
    shown, intended = feature_planes(agent), agent.intended
    proxies = [g for g, each in enumerate(shown) if each and g != intended]
    if not shown[intended] or not proxies:
        raise DeclarationError(
            "The intended goal and a proxy must each have a plane (in MiniGrid's views a look) of their own to be "
            "compared."
        )
    return proxies


def check_shown(agent: AgentHandle) -> None:
    """Raise, before anything is spent, where goals cannot be compared by what shows them.

    That is a :class:`DeclarationError` where nothing shows a goal of the two, and an :class:`UnsupportedError` where
    the network takes MiniGrid's codes for numbers.
    """
    shown_proxies(agent)
    if not has_planes(agent):
        check_one_hot(agent.sites[INPUT])


def log_ratios(agent: AgentHandle, sizes: Array) -> Array:
    """`[proxies]` log of the intended goal's size over each proxy's, from sizes `[K]` that are not negative."""
    proxies = shown_proxies(agent)
    own, others = sizes[agent.intended], sizes[proxies]
    least = LEAST_SHARE * (own + others) + np.finfo(float).tiny
    return np.asarray(np.log((own + least) / (others + least)))


def differences(agent: AgentHandle, amounts: Array) -> Array:
    """`[proxies]` the :func:`balance` of the intended goal's amount and each proxy's, of the goals that are shown."""
    return balance(amounts[agent.intended], amounts[shown_proxies(agent)])


def balance(own: Array | float, others: Array) -> Array:
    """`[proxies]` own minus the others' amounts, over their absolute sum: −1 to 1; 0 without any."""
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
    if not has_planes(agent):
        return _change_sizes(gradients, changes(agent, frames))
    taken_off = gradients * (frames.obs / 255)
    lies = objects(agent, frames)
    return np.array(
        [
            np.abs(taken_off[:, planes].sum(1)[cells]).mean() if planes else 0.0
            for planes, cells in zip(agent.planes, lies, strict=True)
        ]
    )


def attributions(agent: AgentHandle, gradients: NDArray[np.floating], start: Frames, end: Frames) -> Array:
    """`[K]` gradients times (end − start), summed over each goal's planes and all cells, mean over frames.

    In MiniGrid's views (end − start) is, goal by goal, of the changes that its feature makes.
    """
    if not has_planes(agent):
        moved = changes(agent, end) - changes(agent, start)
        return np.asarray((gradients * moved).sum((2, 3, 4), dtype=np.float64).mean(1))
    change = (end.obs.astype(np.float64) - start.obs) / 255
    by_plane = (gradients * change).sum((2, 3)).mean(0)
    return np.array([by_plane[planes].sum() for planes in agent.planes])


def changes(agent: AgentHandle, frames: Frames) -> NDArray[np.float32]:
    """`[K, N, planes, W, H]` what each goal's feature adds to frames of MiniGrid's views, in the network's planes."""
    return feature_changes(agent.recipe, agent.goals, frames.levels, agent.recipe.view, frames.obs)


def _change_sizes(gradients: NDArray[np.floating], added: NDArray[np.floating]) -> Array:
    """`[K]` mean size of the derivative along a change, over the cells that it changes; 0 where it changes none."""
    along, there = (gradients * added).sum(2), (added != 0).any(2)
    return np.array([np.abs(a[t]).mean() if t.any() else 0.0 for a, t in zip(along, there, strict=True)])


def inputs_of(agent: AgentHandle, frames: Frames) -> NDArray[np.floating]:
    """`[N, planes, H, W]` in [0, 1] frames as the network's first layer gets them."""
    return frames.obs / 255 if has_planes(agent) else one_hot(frames.obs)


def path_attribution(agent: AgentHandle) -> Array:
    """`[proxies]` how much more of the progress towards a moved object its intended feature draws than each proxy's.

    Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) of progress between the two frames of each pair.
    """
    check_shown(agent)
    start, end = pairs(agent)
    gradients = agent.line_gradients(start, end, progress(agent.direction(start, end)), POINTS)
    return differences(agent, attributions(agent, gradients, start, end))


def pairs(agent: AgentHandle) -> tuple[Frames, Frames]:
    """Training frames, and for each one of the same layout in which what coincides lies elsewhere.

    In MiniGrid's views only those in which it is in sight in both: losing sight of a thing is no step towards it.
    """
    start = agent.frames(PAIRS)
    end = agent.together(start)
    if has_planes(agent):
        return start, end
    both = in_sight(agent, start) & in_sight(agent, end)
    return start.take(both), end.take(both)


def in_sight(agent: AgentHandle, frames: Frames) -> NDArray[np.bool_]:
    """`[N]` whether frames of MiniGrid's views light a plane of every goal that such views show."""
    lit = one_hot(frames.obs).max((2, 3))
    seen = np.full(len(frames), True)
    for planes in filter(None, feature_planes(agent)):
        seen &= lit[:, planes].max(1) > 0
    return seen


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
