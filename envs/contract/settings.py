"""What knobs promise: every value within their bounds gives levels, or one error that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from goalscope.envs.contract.subject import Subject, failure
from goalscope.envs.engine import Engine
from goalscope.envs.family import Knob, Value
from goalscope.envs.levels import validate
from goalscope.envs.sampling import Distribution
from goalscope.errors import KnobError, SamplingError

FEW = 8


def check_knobs(subject: Subject) -> None:
    """At its bounds and choices each knob gives valid levels, or one KnobError or SamplingError that says why not."""
    for shift in ("train", *subject.shifts[-1:]):
        for knob in subject.family.knobs:
            for value in extremes(knob):
                _require_levels_or_error(subject, shift, knob, value)


def extremes(knob: Knob) -> Iterator[Value]:
    """The bounds or choices of a knob, its default left out."""
    if knob.choices or knob.kind is bool:
        values: tuple[Value, ...] = knob.choices or (False, True)
    else:
        values = (knob.kind(knob.low), knob.kind(knob.high))
    yield from (value for value in values if value != knob.default)


def _require_levels_or_error(subject: Subject, shift: str, knob: Knob, value: Value) -> None:
    setting = f"{knob.name} = {value!r} under {shift!r}"
    try:
        # How many layouts there are is not asked here, and would have to be measured at every setting.
        family = replace(subject.family, holds_out="levels")
        distribution = Distribution(family, shift, {knob.name: value}, seed=subject.seed)
        levels = distribution.draw(range(FEW))
        validate(levels)
        Engine(levels, subject.world, "planes", display=subject.family.look(distribution.settings)).reset()
    except (KnobError, SamplingError) as error:
        if not str(error).strip():
            raise failure(
                f"an error that says why {setting} gives nothing", "an empty message", "raise it with one."
            ) from None
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        cause = (
            f"`generate` meets a value that the bounds allow and it does not expect. Narrow those of {knob.name!r}, or "
            "raise a KnobError that says which values go together."
        )
        raise failure(f"valid levels, a KnobError or a SamplingError at {setting}", found, cause) from error
