"""Suites in a user's own TOML: read, and explained line by line where something is wrong, all errors at once.

    name = "mine"
    zoo = "core"                      # a zoo's name, or the path of one
    recipes = ["dish_open", "./my_recipe.py"]
    detectors = ["recipe_mean", "path_attribution", "./my_method.py"]
    controls = true                   # every control that applies runs beside its method
    settings = ["seed", "recipe"]
    budgets = [16, 256]               # further sizes of the frame bank, for T3 methods
    contrasts = [["path_attribution", "recipe_mean"]]
    seeds = 3

Further fields are those of :class:`goalscope.suites.suite.Suite`; paths are as on the command line, from the folder in
which it is called.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from goalscope.detectors.tracks import Budget
from goalscope.errors import DeclarationError, GoalscopeError
from goalscope.registry import SUITES
from goalscope.suites.loading import CONTROL, controls_of, describe, name_of
from goalscope.suites.population import recipe_members, zoo_folder
from goalscope.suites.suite import Suite, suite_from

Place = tuple[str | int, ...]
"""Where in the data: a field, then an index or a field of it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a suite."""

    place: Place
    message: str
    """What was expected, what came, what is near."""


def load_suite(target: str) -> Suite:
    """A suite by id, module, ``./file.py`` or ``./file.toml``, checked: what it names is there.

    Raises a :class:`DeclarationError` with a line for everything that is wrong.
    """
    if not target.endswith(".toml"):
        suite = SUITES.load(target)
        _raise(target, "", problems(suite))
        return suite
    try:
        text = Path(target).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"Cannot read the suite {target}: {error}.") from error
    return read_suite(text, target)


def read_suite(text: str, name: str) -> Suite:
    """A suite from TOML; `name` is what messages call the file."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise DeclarationError(f"{name}:{line[1] if line else len(text.splitlines())}: no TOML: {error}.") from error
    found = list(_unknown_fields(data))
    try:
        suite = suite_from(data)
    except ValidationError as error:
        found += [_explained(each) for each in error.errors() if each["loc"]]
        wrong = {problem.place[0] for problem in found}
        sound = {key: value for key, value in data.items() if key not in wrong}
        found += problems(_stand_in(sound), sound)
        _raise(name, text, found)
        raise  # nothing was found that could be explained
    _raise(name, text, found + problems(suite, data))
    return suite


def _stand_in(sound: dict[str, Any]) -> Suite:
    """A suite of the fields that are well formed, so that what they name can be checked as well."""
    return suite_from({"name": "unnamed", "zoo": "", "recipes": ["none"], **sound})


def _unknown_fields(data: dict[str, Any]) -> Iterator[Problem]:
    known = [each.name for each in fields(Suite)]
    yield from (Problem((name,), _unknown("field", name, known)) for name in data if name not in known)
    budget = data.get("budget")
    if isinstance(budget, dict):
        known = [each.name for each in fields(Budget)]
        yield from (Problem(("budget", n), _unknown("field", n, known)) for n in budget if n not in known)


def _explained(error: Any) -> Problem:
    place = tuple(part for part in error["loc"] if isinstance(part, int | str))
    if error["type"] == "missing":
        return Problem(place, "this field is needed and missing.")
    expected = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return Problem(place, f"expected {expected}, got {_brief(error['input'])}.")


def _brief(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


# What a suite names


def problems(suite: Suite, given: Iterable[str] | None = None) -> list[Problem]:
    """What does not exist of what the `given` fields name (all of them by default), or contradicts the rest."""
    asked = {each.name for each in fields(Suite)} if given is None else set(given)
    found = list(_in_zoo(suite, asked)) if "zoo" in asked else []
    for number, target in enumerate(suite.detectors):
        found += _attempt(("detectors", number), partial(describe, target))
    if "contrasts" in asked and not found:
        found += _contrasts(suite)
    for field in asked & {"recipes", "anchors", "doses", "detectors", "settings", "budgets"}:
        found += _twice(field, getattr(suite, field))
    return found


def _in_zoo(suite: Suite, asked: set[str]) -> Iterator[Problem]:
    try:
        zoo = zoo_folder(suite.zoo)
    except GoalscopeError as error:
        yield Problem(("zoo",), str(error))
        return
    for field in ("recipes", "anchors", "doses"):
        for number, target in enumerate(getattr(suite, field) if field in asked else ()):
            yield from _attempt((field, number), partial(recipe_members, zoo, target))


def _attempt(place: Place, look: Callable[[], object]) -> Iterator[Problem]:
    try:
        look()
    except GoalscopeError as error:
        yield Problem(place, str(error))


def _contrasts(suite: Suite) -> Iterator[Problem]:
    """Methods of contrasts must run; controls do only where they are asked for."""
    targets = list(suite.detectors)
    if suite.controls:
        targets += [control for target in suite.detectors for control in controls_of(target)]
    known = [name_of(target) for target in targets]
    for number, pair in enumerate(suite.contrasts):
        for name in pair:
            if name not in known:
                hint = " (set controls = true)" if CONTROL in name and not suite.controls else ""
                yield Problem(("contrasts", number), _unknown("detector of this suite", name, known) + hint)


def _twice(field: str, values: Sequence[object]) -> Iterator[Problem]:
    for number, value in enumerate(values):
        if value in values[:number]:
            yield Problem((field, number), f"{_brief(value)} is there twice: name it once.")


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"there is no {kind} {name!r}." + (f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}.")


# Where it stands


def _raise(name: str, text: str, found: Sequence[Problem]) -> None:
    if not found:
        return
    told = sorted((line_of(text, problem.place), _said(problem)) for problem in found)
    lines = [f"{name}:{line}: {said}" if line else f"{name}: {said}" for line, said in told]
    raise DeclarationError("The suite cannot be run.\n" + "\n".join(lines))


def _said(problem: Problem) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.place)[1:]
    return f"{field}: {problem.message}"


def line_of(text: str, place: Place) -> int:
    """The line of a TOML text, from 1, where a field stands, or an item of its list; 0 where it does not."""
    lines = text.splitlines()
    table = place[0] if len(place) > 1 and isinstance(place[1], str) else ""
    field = place[1] if table else place[0]
    start = _line_of_field(lines, str(table), str(field)) or _line_of_field(lines, "", str(table or field))
    if start and len(place) > 1 and isinstance(place[1], int):
        return start + _lines_before_item("\n".join(lines[start - 1 :]), place[1])
    return start


def _line_of_field(lines: Sequence[str], table: str, field: str) -> int:
    inside = ""
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            inside = header[1]
            if not table and inside == field:
                return number
        elif inside == table and re.match(rf"""\s*["']?{re.escape(field)}["']?\s*=""", line):
            return number
    return 0


TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#[^\n]*|[\[\],\n]')
"""Strings and comments, in which brackets and commas mean nothing; brackets, commas and line ends."""


def _lines_before_item(text: str, wanted: int) -> int:
    """How many lines below its field's an item of a list begins; 0 if the text has no such item."""
    depth, item, below = 0, 0, 0
    empty = True
    for token in re.finditer(rf"{TOKENS.pattern}|[^\s\[\],#\"']+", text.partition("=")[2]):
        word = token[0]
        if word == "\n":
            below += 1
            continue
        if word.startswith("#"):
            continue
        if depth == 1 and empty and word not in ",]":
            if item == wanted:
                return below
            empty = False
        if word == "," and depth == 1:
            item, empty = item + 1, True
        depth += (word == "[") - (word == "]")
        if depth == 0:
            break
    return 0
