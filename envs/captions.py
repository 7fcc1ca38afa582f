"""What a picture of a level does not show, in a few words: its mission, its values, counters that begin above 0."""

from __future__ import annotations

from collections.abc import Iterator

from goalscope.envs.display import Display, Plane, Shows
from goalscope.envs.family import Family
from goalscope.envs.levels import Levels


def unpictured(family: Family, levels: Levels, i: int, display: Display) -> str:
    """Such as "red ball", "one .92 two .35" or "keys 3"; empty where the picture shows all that an agent sees."""
    words = [family.words[word] for word in levels.mission[i].tolist()] if family.words else []
    values = [part for plane in dict.fromkeys(display.planes) for part in _values(family, levels, i, plane)]
    begun = zip(family.world.counters, levels.counters[i].tolist(), strict=False)
    return " ".join([*words, *values, *(f"{name} {count}" for name, count in begun if count)])


def _values(family: Family, levels: Levels, i: int, plane: Plane) -> Iterator[str]:
    """Name and value of each thing of a plane that shows their own values."""
    if plane.shows is not Shows.OWN_VALUE:
        return
    shown = (thing.name for bit, thing in enumerate(family.world.things) if plane.operand >> 8 >> bit & 1)
    for event, name in enumerate(shown, plane.operand & 0xFF):
        yield f"{name} {levels.value[i, event]:.2f}".replace(" 0.", " .")
