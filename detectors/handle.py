"""The handle: what a detector gets instead of an agent.

It answers what the detector's track allows, about frames that it issued itself, within a budget, and keeps the tally.
In process this is audited, not enforced: whoever holds the weights could simulate. Outside code gets none of this
object, only its answers: see :mod:`goalscope.detectors.sandbox`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.agent import Agent, Player
from goalscope.agents.layers import SCALE, encoder
from goalscope.agents.network import Network, make_network
from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import Functional, donated, find_site, patch, record, site_gradient, site_shapes
from goalscope.detectors.frames import UNISSUED, Frames, Source, direction
from goalscope.detectors.linearity import affine_sites
from goalscope.detectors.query import Query
from goalscope.detectors.readings import INPUT, Array, Outputs, Played
from goalscope.detectors.shown_recipe import shown_recipe
from goalscope.detectors.sights import source
from goalscope.detectors.tracks import Budget, Tally, Track
from goalscope.envs import Distribution, Family, Goal, Levels
from goalscope.envs.pursuit import step_gains, targets
from goalscope.envs.rollout import outcomes, play
from goalscope.errors import ForbiddenError, OverspentError, UnsupportedError
from goalscope.registry import ARCHITECTURES, FAMILIES
from goalscope.seeding import generator, stream

__all__ = ["INPUT", "AgentHandle", "Array", "Outputs", "Played"]
READ_AN_EPISODE = 3
"""Numbers: what came first, its length, its return."""


class AgentHandle:
    """One frozen agent, through the eyes of one detector with one seed."""

    def __init__(self, agent: Agent, track: Track, budget: Budget, seed: int) -> None:
        self._agent = agent
        self._network = agent.network
        self._source: Source = source(agent.recipe, seed)
        self._issued: set[str] = set()
        self.recipe: Recipe = shown_recipe(agent.recipe)
        """How the agent came about, without what would name its goal."""
        self.track = track
        self.tally = Tally(budget)
        self.rng: np.random.Generator = generator("detector", self.recipe.hash, seed)
        """Draws of the detector's own: by recipe and detector seed, the same for all agents of a recipe."""
        self._seed = seed

    # ── what everybody knows ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def family(self) -> Family:
        return FAMILIES.load(self.recipe.family)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals asked about, in the order of the forecast's columns."""
        return self._source.bank.goals

    @property
    def intended(self) -> int:
        """The intended goal's place among them."""
        return self.goals.index(self.family.intended(self._source.train.settings))

    @property
    def planes(self) -> list[list[int]]:
        """For each goal the planes of an observation that show its feature; agents that see MiniGrid's views have none.

        Raises an :class:`UnsupportedError` for those: their planes are objects, colours and states, not things.
        """
        if self.recipe.view != "planes":
            raise UnsupportedError(
                f"{self.recipe.family} is seen in MiniGrid's {self.recipe.view!r} view: "
                f"no plane shows a goal's feature alone."
            )
        return [self.family.feature_planes(goal, self._source.train.settings) for goal in self.goals]

    @cached_property
    def sites(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every site, the observation's (`input`) first, as the network encodes it: as planes."""
        return site_shapes(self._network, torch.zeros(1, *self._shape, dtype=torch.uint8))

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Of one observation in bytes."""
        return self._source.training(0, 1).obs.shape[1:]

    @cached_property
    def _affine(self) -> frozenset[str]:
        return affine_sites(self._network, self.sites[INPUT])

    # ── T1: outputs on the support ──────────────────────────────────────────────────────────────────────────────────

    def frames(self, n: int, steps: int = 1) -> Frames:
        """`n` fresh coincident training frames (T1): the first observations of levels that no agent trained on.

        Agents that see a window are shown the level from where something of the goals is in sight, on the way there.
        With more `steps` they are histories, for agents that remember: what that many steps of a random walk show, in
        which nothing is entered that counts. Answers, activations and gradients then have a time axis after the first.
        """
        self._need(Track.BLACKBOX, "training frames")
        _check_number(n, "frames")
        if steps < 1:
            raise ForbiddenError(f"A history has at least one step, got {steps}.")
        first = self.tally.frames
        self.tally.spend("frames", n * steps)
        return self._issue(self._source.training(first, n) if steps == 1 else self._source.histories(first, n, steps))

    def together(self, frames: Frames) -> Frames:
        """For each training frame one of the same layout in which what coincides lies elsewhere, together (T1)."""
        self._check(frames)
        self.tally.spend("frames", len(frames))
        return self._issue(self._source.together(frames))

    def direction(self, start: Frames, end: Frames) -> Array:
        """`[N, A]` by how many steps each action brings the agent nearer to what lies in `end` and not in `start`."""
        self._check(start)
        self._check(end)
        return direction(start, end, self.recipe)

    def approach(self, frames: Frames, goal: int) -> Array:
        """`[N, A]` by how many steps each action brings the agent nearer to a goal."""
        self._check(frames)
        cells = targets(self.family, self.goals[goal], frames.levels)
        return step_gains(self.family.world, frames.levels, cells)

    def outputs(self, frames: Frames) -> Outputs:
        """The agent's answers to issued frames (T1; T3 for frames under the shift)."""
        self._need(Track.BLACKBOX, "outputs")
        logits, values = self._forward(frames)
        return self._read(logits, values)

    def episodes(self, n: int) -> Played:
        """`n` episodes on coincident training levels, one each (T1)."""
        self._need(Track.BLACKBOX, "episodes")
        _check_number(n, "episodes")
        self.tally.spend("episodes", n)
        self.tally.spend("values", READ_AN_EPISODE * n)
        return self._play(self._source.train, self._source.training(0, n).levels)

    # ── T2: inside, on the support ──────────────────────────────────────────────────────────────────────────────────

    def activations(self, frames: Frames, sites: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Site -> activations `[N, …]` (T2)."""
        self._need(Track.WHITEBOX, "activations")
        with record(self._network, sites) as kept:
            self._forward(frames)
        found = {name: np.asarray(kept[name].numpy(), np.float32) for name in sites}
        self.tally.spend("values", sum(each.size for each in found.values()))
        return found

    def gradients(self, frames: Frames, of: Functional, site: str = INPUT) -> NDArray[np.float32]:
        """`[N, …]` the gradient of a functional of the outputs by the activation at a site (T2)."""
        self._need(Track.WHITEBOX, "gradients")
        self._check(frames)
        self.tally.spend("passes", 2 * len(frames) * frames.steps)
        return self._gradients(self._encoded(frames), of, site)

    def site_gradients(self, frames: Frames, site: str, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """`[N, planes, H, W]` the gradient by the observation of a linear reading of a site (T2).

        `weights` `[*site]`, or `[N, *site]` for another reading in every frame: the reading is Σ weights · activation.
        """
        self._need(Track.WHITEBOX, "gradients")
        self._check(frames)
        self.tally.spend("passes", 2 * len(frames) * frames.steps)
        obs = self._encoded(frames).requires_grad_()
        given = torch.from_numpy(np.asarray(weights, np.float32))
        with record(self._network, [site]) as kept:
            self._network(obs)
            _check_fits(given, kept[site], "weights")
            (found,) = torch.autograd.grad((kept[site] * given).sum(), obs)
        self.tally.spend("values", found.numel())
        return np.asarray(found.numpy(), np.float32)

    def line_gradients(self, start: Frames, end: Frames, of: Functional, points: int = 8) -> NDArray[np.float32]:
        """`[N, planes, H, W]` the mean gradient by the observation along the line between frames of one layout (T2).

        Midpoint rule. Times (end − start) these are integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365).
        """
        self._need(Track.WHITEBOX, "gradients")
        self._check(start)
        self._check(end)
        self._check_line(start, end)
        _check_number(points, "points of a line")
        self.tally.spend("passes", 2 * points * len(start) * start.steps)
        from_, to = self._encoded(start), self._encoded(end)
        total = np.zeros(from_.shape, np.float32)
        for k in range(points):
            total += self._gradients(from_ + (k + 0.5) / points * (to - from_), of, INPUT)
        return total / np.float32(points)

    def patched(self, base: Frames, donor: Frames, site: str, where: NDArray[np.bool_] | None = None) -> Outputs:
        """Outputs on `base` with a site's activations taken from `donor` (T2), everywhere or at entries `where`.

        `where` has the site's shape. The observation itself cannot be patched: that would be another frame. So would be
        a patch before the first nonlinearity, by which T2 could rebuild a frame that nobody issued: it is for T3, as
        are donors from the bank.
        """
        self._need(Track.WHITEBOX, "patches")
        if site == INPUT:
            raise ForbiddenError("The observation cannot be patched, only sites after it: " + ", ".join(self.sites))
        if base.obs.shape != donor.obs.shape:
            shapes = f"{list(base.obs.shape)}, {list(donor.obs.shape)}"
            raise ForbiddenError(f"A patch needs as many donor as base frames of one kind: {shapes}.")
        find_site(self._network, site)
        if site in self._affine:
            self._need(Track.STATIC, f"patches at {site!r}, before the first nonlinearity,")
        with record(self._network, [site]) as kept:
            self._forward(donor)
        mask = None if where is None else torch.from_numpy(np.asarray(where, np.bool_))
        if mask is not None:
            _check_fits(mask, kept[site] if base.steps == 1 else kept[site][:, 0], "entries")
        with patch(self._network, {site: donated(kept[site], mask)}):
            logits, values = self._forward(base)
        return self._read(logits, values)

    def weight_norms(self, *, initial: bool = False) -> dict[str, NDArray[np.float64]]:
        """Parameter -> Euclidean norm of its weights from each input channel, now or before training (T2).

        For a first layer `[out, planes, …]` that is `[planes]`; biases are left out.
        """
        self._need(Track.WHITEBOX, "weights")
        weights = self._agent.initial if initial else dict(self._network.named_parameters())
        norms = {
            name: w.detach().double().transpose(0, 1).flatten(1).norm(dim=1).numpy()
            for name, w in weights.items()
            if w.ndim >= 2
        }
        self.tally.spend("values", sum(each.size for each in norms.values()))
        return norms

    def untrained(self) -> AgentHandle:
        """A handle on a fresh, untrained network of the same architecture (T2), on this handle's tally: a control.

        It is the same for all agents of a recipe. Where nobody registered the architecture, as a stranger's module's,
        it is the agent's own with every part drawn anew by PyTorch's `reset_parameters`.
        """
        self._need(Track.WHITEBOX, "untrained networks")
        options, actions = self.recipe.arch_options, self.family.world.n_actions
        seed = stream("untrained", self.recipe.hash, self._seed)
        if self.recipe.arch in ARCHITECTURES.names():
            network = make_network(self.recipe.arch, self._shape, actions, seed, **options).eval()
        else:
            network = drawn_anew(self._network, seed)
        fresh = replace(self._agent, network=network, initial=dict(network.state_dict()))
        other = AgentHandle(fresh, self.track, self.tally.budget, self._seed)
        other.tally, other._issued, other.rng, other._source = self.tally, self._issued, self.rng, self._source
        return other

    # ── T3: frames under the shift ──────────────────────────────────────────────────────────────────────────────────

    def bank(self, n: int) -> Frames:
        """The first `n` frames of the sealed bank under the shift (T3): drawn, not chosen; layouts not the query's.

        Of 64 frames the first 16 are those that asking for 16 gives: frames asked for again are not counted again.
        """
        self._need(Track.STATIC, "frames under the shift")
        _check_number(n, "frames")
        self.tally.spend("bank_frames", max(0, n - self.tally.bank_frames))
        return self._issue(self._source.shifted(n))

    def twins(self, frames: Frames, factor: str) -> Frames:
        """Bank frames with exactly one factor changed (T3): `agent`, or what the family names. They are not counted."""
        self._need(Track.STATIC, "frames under the shift")
        self._check(frames)
        return self._issue(self._source.twins(frames, factor))

    # ── T4: episodes under the shift ────────────────────────────────────────────────────────────────────────────────

    def rollouts(self, query: Query, k: int) -> tuple[NDArray[np.int64], Played]:
        """`[k]` query levels drawn at random, and one real episode on each (T4)."""
        self._need(Track.ROLLOUT, "episodes under the shift")
        _check_number(k, "episodes")
        self.tally.spend("rollouts", k)
        self.tally.spend("values", READ_AN_EPISODE * k)
        chosen = self.rng.choice(len(query), size=k, replace=k > len(query))
        return chosen, self._play(query.distribution, query.levels.take(chosen))

    # ── within ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _need(self, track: Track, what: str) -> None:
        if self.track < track:
            raise ForbiddenError(
                f"{what.capitalize()} are for track {track.label} and above; this detector is on {self.track.label}. "
                f"Declare the higher track, or do without."
            )

    def _issue(self, frames: Frames) -> Frames:
        self._issued.add(frames.issue)
        return frames

    def forget(self) -> None:
        """Issue no frames of before any more, of any agent of the recipe; those asked for again are drawn again."""
        self._issued.clear()
        self._source.forget()

    def issued(self, issue: str, rows: NDArray[np.int64]) -> Frames:
        """Frames by their provenance alone, if this handle issued them; others are as good as none at all."""
        if issue not in self._issued:
            raise ForbiddenError(f"{UNISSUED}.")
        if len(rows) > self.tally.budget.passes:
            raise OverspentError(f"{len(rows)} rows are more than all {self.tally.budget.passes} passes: ask for less.")
        return self._source.part(issue, rows)

    def _check(self, frames: Frames) -> None:
        self._source.check(frames)
        if frames.issue not in self._issued:
            raise ForbiddenError("These frames were issued to another detector: ask this handle for its own.")

    def _check_line(self, start: Frames, end: Frames) -> None:
        if not (start.is_training and end.is_training):
            raise ForbiddenError("A line runs between two training frames; frames under the shift are not its ends.")
        same = len(start) == len(end) and np.array_equal(start.levels.walls, end.levels.walls)
        if not same or not np.array_equal(start.levels.agent, end.levels.agent):
            raise ForbiddenError("A line runs between frames of one layout: pair `frames` with `together` of them.")

    def _forward(self, frames: Frames) -> tuple[Tensor, Tensor]:
        self._check(frames)
        self.tally.spend("passes", len(frames) * frames.steps)
        with torch.no_grad():
            logits, values = self._network(torch.from_numpy(frames.obs.copy()))
        return logits, values

    def _encoded(self, frames: Frames) -> Tensor:
        """`[N, planes, H, W]` floats, or `[N, T, …]`: what the network makes of the bytes, its site `input`.

        MiniGrid's codes become planes where the network's own encoder makes them; else bytes are numbers in [0, 1].
        """
        obs = torch.from_numpy(frames.obs.copy())
        if self.sites[INPUT] == self._shape:
            return obs * SCALE
        planes: Tensor = encoder(self._shape)[0](obs.reshape(-1, *self._shape))
        return planes.reshape(*obs.shape[: -len(self._shape)], *planes.shape[1:])

    def _read(self, logits: Tensor, values: Tensor) -> Outputs:
        self.tally.spend("values", logits.numel() + values.numel())
        shares = torch.softmax(logits.double(), dim=-1)
        return Outputs(shares.numpy(), values.double().numpy())

    def _gradients(self, obs: Tensor, of: Functional, site: str) -> NDArray[np.float32]:
        def checked(logits: Tensor, values: Tensor) -> Tensor:
            wanted = of(logits, values)
            if wanted.shape != values.shape:
                raise ForbiddenError(
                    f"A functional must return one number a frame, {list(values.shape)}, got {list(wanted.shape)}."
                )
            return wanted

        found = site_gradient(self._network, obs, checked, site)
        self.tally.spend("values", found.numel())
        return np.asarray(found.numpy(), np.float32)

    def _play(self, distribution: Distribution, levels: Levels) -> Played:
        family, goals = distribution.family, distribution.goals
        display = family.look(distribution.settings)
        seed, view = int(self.rng.integers(2**31)), self.recipe.view
        done = play(family, levels, Player(self._network), seed=seed, view=view, display=display)
        first = outcomes(family, levels, goals, done).argmax(1)
        return Played(levels, first, done.lengths[:, 0], done.returns[:, 0])


def drawn_anew(network: Network, seed: int) -> Network:
    """A copy of a network with all parameters and buffers drawn anew, from a seed alone.

    Raises an :class:`UnsupportedError` for one of whose parts nobody can say how it began.
    """
    copy = deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        for name, part in copy.named_modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
            elif part._parameters or part._buffers:
                raise UnsupportedError(
                    f"Nobody registered this architecture, and its part {name!r} ({type(part).__name__}) holds weights "
                    f"but has no `reset_parameters`, so there is no untrained network of it: register the architecture."
                )
    return copy.eval()


def _check_number(n: int, what: str) -> None:
    """Fewer than none would be credit, and none a reason to work for nothing."""
    if n < 1:
        raise ForbiddenError(f"Ask for one or more {what}, got {n}.")


def _check_fits(given: Tensor, activation: Tensor, what: str) -> None:
    """Whether numbers fit an activation `[N, …]` as it is, or every frame's: others would make it larger."""
    shape, own = list(activation.shape), list(given.shape)
    wanted = shape[len(shape) - len(own) :] if len(own) <= len(shape) else shape
    if len(own) != len(wanted) or any(a not in (1, b) for a, b in zip(own, wanted, strict=True)):
        raise ForbiddenError(f"Expected {what} {shape[1:]} of the site, or {shape}, got {own}.")
