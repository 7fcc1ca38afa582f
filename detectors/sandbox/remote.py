"""The other side's handle: the same methods as :class:`goalscope.detectors.handle.AgentHandle`, each a question.

There is no agent behind it, and no torch in it but where a functional of the outputs is differentiated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.frames import Frames
from goalscope.detectors.query import Query
from goalscope.detectors.readings import INPUT, Array, Outputs, Played
from goalscope.detectors.sandbox.forms import (
    Plain,
    error_in,
    error_out,
    frames_in,
    generator_in,
    generator_out,
    named,
    played_in,
    recipe_in,
)
from goalscope.detectors.sandbox.wire import Wire
from goalscope.detectors.tracks import Budget, Tally, Track
from goalscope.envs import Family, Goal
from goalscope.errors import ForbiddenError, UnsupportedError
from goalscope.registry import FAMILIES


class RemoteHandle:
    """One frozen agent that lives in another process."""

    def __init__(self, wire: Wire, number: int, common: Plain, goals: tuple[Goal, ...]) -> None:
        self._wire, self._number, self._common = wire, number, common
        self.recipe = recipe_in(common["recipe"])
        self.track = Track(common["track"])
        self.goals = goals
        self.intended: int = common["intended"]
        self.sites: dict[str, tuple[int, ...]] = {name: tuple(shape) for name, shape in common["sites"].items()}
        self.rng: np.random.Generator = generator_in(common["rng"])
        self._started = time.perf_counter()

    @property
    def family(self) -> Family:
        return FAMILIES.load(self.recipe.family)

    @property
    def planes(self) -> list[list[int]]:
        if self.recipe.view != "planes":
            raise UnsupportedError(f"{self.recipe.family} is seen in MiniGrid's {self.recipe.view!r} view.")
        return [list(planes) for planes in self._common["planes"]]

    @property
    def tally(self) -> Tally:
        """What was used so far."""
        counts = {name: int(count) for name, count in self._ask("tally").items() if name != "seconds"}
        return Tally(Budget(**self._common["budget"]), started=self._started, **counts)

    def frames(self, n: int, steps: int = 1) -> Frames:
        return frames_in(self._ask("frames", n=n, steps=steps))

    def together(self, frames: Frames) -> Frames:
        return frames_in(self._ask("together", frames=named(frames)))

    def direction(self, start: Frames, end: Frames) -> Array:
        return np.asarray(self._ask("direction", start=named(start), end=named(end)))

    def approach(self, frames: Frames, goal: int) -> Array:
        return np.asarray(self._ask("approach", frames=named(frames), goal=goal))

    def outputs(self, frames: Frames) -> Outputs:
        return Outputs(**self._ask("outputs", frames=named(frames)))

    def episodes(self, n: int) -> Played:
        return played_in(self._played("episodes", n=n))

    def activations(self, frames: Frames, sites: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        return dict(self._ask("activations", frames=named(frames), sites=list(sites)))

    def gradients(self, frames: Frames, of: Callable[[Any, Any], Any], site: str = INPUT) -> NDArray[np.float32]:
        return np.asarray(self._ask("gradients", of, frames=named(frames), site=site))

    def site_gradients(self, frames: Frames, site: str, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        given = np.asarray(weights, np.float32)
        return np.asarray(self._ask("site_gradients", frames=named(frames), site=site, weights=given))

    def line_gradients(
        self, start: Frames, end: Frames, of: Callable[[Any, Any], Any], points: int = 8
    ) -> NDArray[np.float32]:
        return np.asarray(self._ask("line_gradients", of, start=named(start), end=named(end), points=points))

    def patched(self, base: Frames, donor: Frames, site: str, where: NDArray[np.bool_] | None = None) -> Outputs:
        mask = None if where is None else np.asarray(where, np.bool_)
        return Outputs(**self._ask("patched", base=named(base), donor=named(donor), site=site, where=mask))

    def weight_norms(self, *, initial: bool = False) -> dict[str, NDArray[np.float64]]:
        return dict(self._ask("weight_norms", initial=initial))

    def untrained(self) -> RemoteHandle:
        other = RemoteHandle(self._wire, self._ask("untrained"), self._common, self.goals)
        other.rng = self.rng
        return other

    def bank(self, n: int) -> Frames:
        return frames_in(self._ask("bank", n=n))

    def twins(self, frames: Frames, factor: str) -> Frames:
        return frames_in(self._ask("twins", frames=named(frames), factor=factor))

    def rollouts(self, query: Query, k: int) -> tuple[NDArray[np.int64], Played]:
        """Of the query that this side was given: no other is played."""
        found = self._played("rollouts", k=k)
        return found.pop("chosen"), played_in(found)

    def _played(self, name: str, **with_: Any) -> Plain:
        """Play, and take this handle's generator to where that left it."""
        found = self._ask(name, rng=generator_out(self.rng), **with_)
        self.rng.bit_generator.state = found["rng"]
        return dict(found["played"])

    def _ask(self, name: str, of: Callable[[Any, Any], Any] | None = None, **with_: Any) -> Any:
        self._wire.send({"ask": name, "agent": self._number, "with": with_})
        while True:
            answer = self._wire.receive()
            if "functional" in answer and of is not None:
                self._wire.send(_slopes(of, answer["functional"]))
            elif "error" in answer:
                raise error_in(answer)
            else:
                return answer["value"]


def _slopes(of: Callable[[Any, Any], Any], outputs: Plain) -> Plain:
    """The gradient of a functional, summed over frames, by the outputs; or what went wrong."""
    import torch  # takes seconds: only for who differentiates

    logits, values = (torch.from_numpy(outputs[k]).requires_grad_() for k in ("logits", "values"))
    try:
        wanted = of(logits, values)
        if wanted.shape != values.shape:
            raise ForbiddenError(
                f"A functional must return one number a frame, {list(values.shape)}, got {list(wanted.shape)}."
            )
        slopes = torch.autograd.grad(wanted.sum(), (logits, values), materialize_grads=True)
    except Exception as error:  # told to the other side, which waits; it tells it back
        return error_out(error)
    return {"slopes": {name: slope.numpy() for name, slope in zip(("logits", "values"), slopes, strict=True)}}
