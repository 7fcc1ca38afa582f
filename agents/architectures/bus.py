"""The network of planted agents: a linear bus between an encoder of one ReLU layer and an exact planner."""

from __future__ import annotations

from goalscope.agents.layers import encoder
from goalscope.agents.network import Shape
from goalscope.agents.planted.bus import BusNetwork
from goalscope.errors import UnsupportedError


def bus(shape: Shape, n_actions: int) -> BusNetwork:
    """Sites: input, bus. For observations of planes, and the four moves of cardinal worlds."""
    if shape[-1] == 3 or n_actions != 4:
        raise UnsupportedError(
            f"A bus network plans four moves over planes [planes, rows, columns], got observations {list(shape)} and "
            f"{n_actions} actions: choose a family with cardinal moves, and view='planes'."
        )
    encode, planes, height, width = encoder(shape)
    return BusNetwork(encode, planes, height, width, n_actions)


ARCHITECTURE = bus
