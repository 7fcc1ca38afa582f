"""Arguments and options that several commands share, and the distribution they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from goalscope.errors import KnobError
from goalscope.registry import FAMILIES

if TYPE_CHECKING:
    from goalscope.envs.sampling import Distribution

TargetArgument: TypeAlias = Annotated[str, typer.Argument(metavar="FAMILY", help="id, module or ./file.py")]
ShiftOption: TypeAlias = Annotated[str, typer.Option(help="Which shift to draw levels from.")]
SplitOption: TypeAlias = Annotated[str, typer.Option(help="train, reference or query.")]
SeedOption: TypeAlias = Annotated[int, typer.Option(help="Another seed gives other levels.")]
KnobOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--knob", metavar="NAME=VALUE", help="Set a knob, for instance size=13; repeatable.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]


def distribution(target: str, shift: str, split: str, seed: int, knobs: list[str] | None) -> Distribution:
    """The distribution that a command line describes."""
    from goalscope.envs.sampling import Distribution

    return Distribution(FAMILIES.load(target), shift, knob_values(knobs or []), split, seed)


def knob_values(texts: list[str]) -> dict[str, str]:
    """``["size=13"]`` as a mapping; the values stay text, which knobs parse themselves."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise KnobError(f"--knob expects NAME=VALUE, for instance --knob size=13, got {text!r}.")
    return {name.strip(): value.strip() for name, _, value in pairs}
