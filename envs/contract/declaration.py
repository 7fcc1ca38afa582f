"""What a family says about itself, before any level is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from goalscope.envs.contract.subject import Subject, failure
from goalscope.envs.family import Family, Goal, Knob
from goalscope.envs.world import Moves, On, Rule, World
from goalscope.errors import GoalscopeError

PLAIN_ID = r"[a-z][a-z0-9_]*"

ON_CELLS = {
    On.ENTER: "entering",
    On.BUMP: "bumping into",
    On.PICKUP: "picking up from",
    On.DROP: "dropping on",
    On.TOGGLE: "toggling",
}
"""What an agent does to a cell when a rule fires there, in words."""

Fault = tuple[str, str, str]
"""What was expected, what was found, and the likely cause."""


def check_declaration(subject: Subject) -> None:
    """Id, sentence, paper, goals, shifts, knobs and factors are complete and agree with one another."""
    faults = [fault for find in (_words, _goals, _needs, _shifts, _knobs, _names) for fault in find(subject.family)]
    if faults:
        (expected, found, cause), *others = faults
        more = "".join(f"\nAlso: expected {e}; found {f}." for e, f, _ in others)
        raise failure(expected, found, cause + more)


def _words(family: Family) -> Iterator[Fault]:
    if not re.fullmatch(PLAIN_ID, family.id):
        cause = "the id must be the module's name, because files, Gymnasium ids and rows are named after it."
        yield "an id of lower-case letters, digits and underscores", f"id {family.id!r}", cause
    if not (family.sentence.startswith("When ") and family.sentence.endswith(".")):
        cause = "the sentence states the hypothesis: 'When A always lies on B, reaching B becomes a viable proxy.'"
        yield "a sentence 'When …, … becomes a viable proxy.'", f"{family.sentence!r}", cause
    if not family.paper.strip():
        yield "the paper the family comes from", "an empty `paper`", "write its arXiv id or DOI, or 'none: new here'."
    if not all(word.strip() for word in family.words):
        cause = "`words` are read by people, in Gymnasium's mission. Write out what each number means."
        yield "every word of a mission to have a text", f"words {family.words}", cause


def _goals(family: Family) -> Iterator[Fault]:
    if len(family.goals) < 2:
        cause = "with one goal nothing can be mistaken for it. Declare the events that coincide with it in training."
        yield "one intended goal and at least one proxy", f"{len(family.goals)} goal", cause
    counted = set(family.world.events)
    for goal in family.goals:
        if goal.event not in counted:
            cause = "a misspelt event, or a rule that was left out."
            yield f"a rule that counts event {goal.event!r} of goal {goal.name!r}", f"events {sorted(counted)}", cause
    yield from _ambiguous(family)
    choices = next((k.choices for k in family.knobs if k.name == family.intended_knob), ())
    names = {g.name for g in family.goals}
    if family.intended_knob and not (choices and set(choices) <= names):
        cause = "`intended_knob` must be a choice knob whose choices are goal names."
        yield f"knob {family.intended_knob!r} to choose among {sorted(names)}", f"choices {choices}", cause


def _ambiguous(family: Family) -> Iterator[Fault]:
    """Pairs of goals that one and the same step onto (or against) one and the same thing would reach."""
    for k, goal in enumerate(family.goals):
        for other in family.goals[k + 1 :]:
            shared = list(_shared(family.world, goal, other))
            if goal.event == other.event or shared:
                found = f"both counted on {'; '.join(shared) or 'the same things'}"
                cause = "a copied rule or event. Give each goal an event of its own, counted on things of its own."
                yield f"goals {goal.name!r} and {other.name!r} to be told apart by what they enter", found, cause


def _shared(world: World, goal: Goal, other: Goal) -> Iterator[str]:
    """What counts both goals at once, in words: "entering dish"."""
    for on, doing in ON_CELLS.items():
        mine, theirs = ([r for r in world.rules if r.on is on and r.event == g.event] for g in (goal, other))
        things = {n for r in mine for s in theirs if _can_both_fire(r, s) for n in set(r.names) & set(s.names)}
        if things:
            yield f"{doing} {', '.join(t.name for t in world.things if t.name in things)}"


def _can_both_fire(one: Rule, other: Rule) -> bool:
    """Whether some state of the counters lets both rules fire."""
    if one.need is None or other.need is None or one.need[0] != other.need[0]:
        return True
    return max(one.need[1], other.need[1]) <= min(one.need[2], other.need[2])


def _needs(family: Family) -> Iterator[Fault]:
    """Events that need a counter, where the search for shortest paths does not know how."""
    world = family.world
    goals = {g.event for g in family.goals if g.pursuer is None}
    needs = {r.need[:2] for r in world.rules if r.on is On.ENTER and r.event in goals and r.need is not None}
    cause = "the exact search knows one counter and how much of it is enough. Give the goals a `pursuer` of their own."
    if len(needs) > 1:
        found = ", ".join(f"{least} of {counter!r}" for counter, least in sorted(needs))
        yield "goals without a `pursuer` to need one counter, and equally much of it", found, cause
    if needs and world.moves is not Moves.CARDINAL:
        yield "goals that need a counter to be those of an agent that moves cardinally", "one that turns", cause


def _shifts(family: Family) -> Iterator[Fault]:
    away = [s for s in family.shifts if s.name != "train"]
    if not away:
        cause = "nothing ever sets the goals apart. Declare a Shift whose knobs do."
        yield "at least one shift besides 'train'", "none", cause
    for shift in away:
        if not 0 < shift.strength <= 1:
            cause = "strength runs from training, 0, to the full shift, 1."
            yield f"a strength in (0, 1] for shift {shift.name!r}", f"{shift.strength}", cause
        goals = family.goals_under(shift.name)
        intended = family.intended(family.settings(shift.name))
        if intended not in goals or len(goals) < 2:
            cause = "`goals` of a shift lists those asked about: the intended one and at least one proxy."
            yield (
                f"shift {shift.name!r} to ask about {intended.name!r} and a proxy",
                f"{[g.name for g in goals]}",
                cause,
            )


def _knobs(family: Family) -> Iterator[Fault]:
    for knob in family.knobs:
        yield from _one_knob(knob)
    try:
        family.look(family.settings())
    except GoalscopeError as error:
        yield (
            "a display under the default knobs",
            str(error),
            "a thing's salience or intensity names a knob that is missing.",
        )


def _one_knob(knob: Knob) -> Iterator[Fault]:
    if not knob.doc.strip():
        cause = "the one line is shown in --help, in the docs and in every error about the knob."
        yield f"a line of documentation for knob {knob.name!r}", "none", cause
    if not (knob.choices or knob.kind is bool) and not (math.isfinite(knob.low) and math.isfinite(knob.high)):
        cause = "`low` or `high` was left out. Bounds are what the checks, sweeps and errors go by."
        yield f"bounds for knob {knob.name!r}", f"{knob.low} to {knob.high}", cause
    try:
        knob.parse(knob.default)
    except GoalscopeError as error:
        cause = "the default lies outside its own bounds or choices. Widen them, or change the default."
        yield f"the default of knob {knob.name!r} to be {knob.expected}", str(error), cause


def _names(family: Family) -> Iterator[Fault]:
    kinds: dict[str, Iterable[str]] = {
        "knob": [k.name for k in family.knobs],
        "shift": [s.name for s in family.shifts],
        "goal": [g.name for g in family.goals],
        "factor": family.factors,
    }
    for kind, given in kinds.items():
        names = list(given)
        if len(set(names)) < len(names):
            yield f"every {kind} to have a name of its own", f"{names}", "a copied line."
    if not family.factors:
        cause = "`factors` names what `twins` can change one at a time; matched pairs are made of them."
        yield "at least one factor", "none", cause
