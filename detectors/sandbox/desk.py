"""This side's desk: it answers what the other side asks of its handles, and believes nothing.

A request names a method of a handle, the handle by its number, and frames by their issue and rows. So frames cannot be
forged, the handle's own checks hold on every track, and its tally counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from goalscope.agents.sites import Functional
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import AgentHandle, Outputs
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox.forms import (
    Plain,
    error_in,
    error_out,
    frames_out,
    generator_in,
    generator_out,
    played_out,
    recipe_out,
)
from goalscope.detectors.sandbox.wire import Ended, TimeOver, Wire
from goalscope.errors import ForbiddenError, ProtocolError

Call = Callable[["Desk", AgentHandle, Plain], Any]


class Desk:
    """Answers about some handles over a wire, until a result comes."""

    def __init__(self, wire: Wire, handles: Sequence[AgentHandle], query: Query) -> None:
        self.wire = wire
        self.handles = list(handles)
        self.query = query

    def until(self, wanted: str) -> Plain:
        """Serve until a message with the field `wanted` comes; raises what the other side says went wrong."""
        while True:
            message = self.wire.receive()
            if "error" in message:
                raise error_in(message)
            if wanted in message:
                return message
            if "cleaned" in message:
                raise Ended("the detector's process ended without an answer.")
            self.wire.send(self._answer(message))

    def _answer(self, request: Plain) -> Plain:
        try:
            name, place = request.get("ask"), request.get("agent")
            if name not in CALLS or type(place) is not int or not 0 <= place < len(self.handles):
                raise ForbiddenError(f"There is nothing to ask that is called {name!r}.")
            return {"value": CALLS[name](self, self.handles[place], request.get("with", {}))}
        except (Ended, TimeOver):
            raise
        except Exception as error:  # a stranger's arguments may make anything fail
            return error_out(error)

    def functional(self) -> Functional:
        """Theirs, by its gradient: they get the outputs and say how their number changes with each.

        What is returned here has the same gradient, so backward through the network it gives theirs.
        """

        def linear(logits: Tensor, values: Tensor) -> Tensor:
            self.wire.send({"functional": {"logits": logits.detach().numpy(), "values": values.detach().numpy()}})
            slopes = self.until("slopes")["slopes"]
            by_logits, by_values = (torch.from_numpy(np.asarray(slopes[k])) for k in ("logits", "values"))
            if by_logits.shape != logits.shape or by_values.shape != values.shape:
                raise ProtocolError("The slopes of a functional have another shape than the outputs.")
            return (logits * by_logits).sum(-1) + values * by_values

        return linear

    def hand_out(self, handle: AgentHandle) -> int:
        """The number of a further handle."""
        self.handles.append(handle)
        return len(self.handles) - 1


def common(handle: AgentHandle) -> Plain:
    """What is the same for all agents of a recipe."""
    return {
        "recipe": recipe_out(handle.recipe),
        "track": int(handle.track),
        "budget": vars(handle.tally.budget),
        "intended": handle.intended,
        "planes": handle.planes if handle.recipe.view == "planes" else [],
        "sites": {name: list(shape) for name, shape in handle.sites.items()},
        "rng": generator_out(handle.rng),
    }


def _frames(handle: AgentHandle, given: Any) -> Frames:
    return handle.issued(str(given["issue"]), np.asarray(given["rows"]).astype(np.int64))


def _said(outputs: Outputs) -> Plain:
    return dict(vars(outputs))


def _play(handle: AgentHandle, given: Plain, play: Callable[[], Any]) -> Plain:
    """Play with their generator, so that it draws what it would draw on this side."""
    handle.rng.bit_generator.state = generator_in(given["rng"]).bit_generator.state
    return {"played": play(), "rng": generator_out(handle.rng)}


def _rollouts(desk: Desk, handle: AgentHandle, given: Plain) -> Plain:
    def play() -> Plain:
        chosen, played = handle.rollouts(desk.query, int(given["k"]))
        return {"chosen": chosen, **played_out(played)}

    return _play(handle, given, play)


CALLS: dict[str, Call] = {
    "frames": lambda d, h, w: frames_out(h.frames(int(w["n"]), int(w["steps"]))),
    "together": lambda d, h, w: frames_out(h.together(_frames(h, w["frames"]))),
    "direction": lambda d, h, w: h.direction(_frames(h, w["start"]), _frames(h, w["end"])),
    "approach": lambda d, h, w: h.approach(_frames(h, w["frames"]), int(w["goal"])),
    "outputs": lambda d, h, w: _said(h.outputs(_frames(h, w["frames"]))),
    "episodes": lambda d, h, w: _play(h, w, lambda: played_out(h.episodes(int(w["n"])))),
    "activations": lambda d, h, w: h.activations(_frames(h, w["frames"]), [str(s) for s in w["sites"]]),
    "gradients": lambda d, h, w: h.gradients(_frames(h, w["frames"]), d.functional(), str(w["site"])),
    "site_gradients": lambda d, h, w: h.site_gradients(_frames(h, w["frames"]), str(w["site"]), w["weights"]),
    "line_gradients": lambda d, h, w: h.line_gradients(
        _frames(h, w["start"]), _frames(h, w["end"]), d.functional(), int(w["points"])
    ),
    "patched": lambda d, h, w: _said(
        h.patched(_frames(h, w["base"]), _frames(h, w["donor"]), str(w["site"]), w["where"])
    ),
    "weight_norms": lambda d, h, w: h.weight_norms(initial=bool(w["initial"])),
    "untrained": lambda d, h, w: d.hand_out(h.untrained()),
    "bank": lambda d, h, w: frames_out(h.bank(int(w["n"]))),
    "twins": lambda d, h, w: frames_out(h.twins(_frames(h, w["frames"]), str(w["factor"]))),
    "rollouts": _rollouts,
    "tally": lambda d, h, w: {**h.tally.counts(), "seconds": h.tally.seconds},
}
"""What may be asked, by the name of the handle's method."""
