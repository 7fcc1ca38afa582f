"""Reading levels from text; the grammar stands in :mod:`goalscope.envs.ascii`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np

from goalscope.envs.ascii_grammar import (
    CODES,
    HEADINGS,
    MAX_STEPS,
    Cell,
    Labels,
    alphabet,
    events_of,
    kinds_of,
    marks_of,
)
from goalscope.envs.codes import EMPTY_CODE
from goalscope.envs.levels import Levels, blank, concatenate, validate
from goalscope.envs.world import MOST_THINGS, World
from goalscope.errors import LevelError

AN_OBJECT = "an object such as 'key blue' or 'box red holding key blue'"
A_MOVER = "'KIND at X,Y', then perhaps 'dead' and 'script X,Y X,Y -'"


def from_ascii(text: str | Sequence[str], world: World) -> Levels:
    """The level that a text describes, or the levels of several texts on one canvas.

    Blank lines around a text and its common indentation are ignored. A fault raises one :class:`LevelError` that names
    line and column of the text as given, what was expected there, and what came.
    """
    texts = [text] if isinstance(text, str) else list(text)
    parts = []
    for n, each in enumerate(texts):
        try:
            parts.append(_read(each, world))
        except LevelError as error:
            if len(texts) == 1:
                raise
            raise LevelError(f"Text {n} of {len(texts)}: {error}") from None
    levels = concatenate(parts)
    validate(levels)
    return levels


class _Piece(NamedTuple):
    """A piece of text and where it begins, both counted from 1."""

    line: int
    column: int
    text: str

    def fail(self, expected: str, got: str | None = None, at: int = 0) -> NoReturn:
        """Raise the error for the character `at`; what came is the whole piece unless `got` says otherwise."""
        came = repr(self.text) if got is None else got
        raise LevelError(f"Line {self.line}, column {self.column + at}: expected {expected}, got {came}.")

    def part(self, span: tuple[int, int]) -> _Piece:
        return _Piece(self.line, self.column + span[0], self.text[span[0] : span[1]])

    def split(self, separator: str) -> Iterator[_Piece]:
        start = 0
        for text in self.text.split(separator):
            yield self.part((start, start + len(text)))
            start += len(text) + len(separator)

    def integer(self, dtype: type[np.integer]) -> int:
        """The whole number that the piece is, if the array can hold it."""
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if not re.fullmatch(r"-?[0-9]{1,20}", self.text) or not low <= int(self.text) <= high:
            self.fail(f"a whole number from {low} to {high}")
        return int(self.text)

    def object(self) -> tuple[int, int]:
        """The code of the object that the piece names, and of what it holds (0 for nothing)."""
        words, holding, held = self.text.partition(" holding ")
        if words not in CODES or (holding and held not in CODES):
            self.fail(AN_OBJECT)
        return CODES[words], CODES[held] if holding else 0


@dataclass
class _Draft:
    """What the lines of one text have said."""

    world: World
    width: int
    max_steps: int = MAX_STEPS
    carried: tuple[int, int] = (0, 0)
    mission: list[int] = field(default_factory=list)
    counters: list[int] = field(default_factory=list)
    value: dict[int, float] = field(default_factory=dict)
    quota: dict[int, int] = field(default_factory=dict)
    movers: list[tuple[int, int, int, int]] = field(default_factory=list)
    scripts: list[list[int]] = field(default_factory=list)
    key: tuple[int, int] = (0, 0)

    def read(self, name: _Piece, value: _Piece) -> None:
        """Take in one header line."""
        match name.text:
            case "max_steps":
                self.max_steps = value.integer(np.int32)
            case "carried":
                self.carried = value.object()
            case "mission":
                self.mission = [word.integer(np.int16) for word in value.split(" ")]
            case "counters":
                self.counters = [number.integer(np.int16) for number in value.split(" ")]
                if len(self.counters) != len(self.world.counters):
                    value.fail(f"{len(self.world.counters)} numbers, one a counter of this world")
            case "value":
                number, event = self._number_and_event(value)
                self.value[event] = _real(number)
            case "quota":
                number, event = self._number_and_event(value)
                self.quota[event] = number.integer(np.int16)
            case "mover":
                self._read_mover(value)
            case "key":
                self.key = self._read_key(value)
            case _:
                name.fail("a header: max_steps, carried, mission, value, quota, counters, mover or key")

    def _number_and_event(self, value: _Piece) -> tuple[_Piece, int]:
        labels = events_of(self.world)
        number, _, event = value.text.partition(" ")
        index = labels.number(event)
        if index is None or not 0 <= index < len(self.world.events):
            value.fail(f"a number, a space and an event of this world ({labels})")
        return value.part((0, len(number))), index

    def _read_mover(self, value: _Piece) -> None:
        found = re.fullmatch(r"(.+) at (-?\d+),(-?\d+)( dead)?(?: script (.+))?", value.text)
        if found is None:
            value.fail(A_MOVER)
        kind = kinds_of(self.world).number(found.group(1))
        if kind is None:
            value.fail(f"a kind of mover of this world ({kinds_of(self.world)})", repr(found.group(1)))
        x, y = (value.part(found.span(g)).integer(np.int16) for g in (2, 3))
        script = value.part(found.span(5)).split(" ") if found.group(5) else ()
        self.movers.append((x, y, kind, 0 if found.group(4) else 1))
        self.scripts.append([self._script_cell(cell) for cell in script])

    def _script_cell(self, cell: _Piece) -> int:
        found = re.fullmatch(r"([0-9]{1,3}),([0-9]{1,5})", cell.text)
        index = -1 if found is None else int(found.group(2)) * self.width + int(found.group(1))
        if cell.text != "-" and (found is None or int(found.group(1)) >= self.width or index > np.iinfo(np.int16).max):
            cell.fail("a cell X,Y of the canvas, or '-'")
        return index

    def _read_key(self, value: _Piece) -> tuple[int, int]:
        words = [word.integer(np.uint64) for word in value.split(" ")]
        if len(words) != 2:
            value.fail("a stream and an index")
        return words[0], words[1]

    def levels(self, cells: list[list[Cell]]) -> Levels:
        """The level, with the movers of the rows after those of the headers."""
        for y, row in enumerate(cells):
            self.movers += [(x, y, cell.kind, 1) for x, cell in enumerate(row) if cell.kind >= 0]
        n_movers, n_script = len(self.movers), max(map(len, self.scripts), default=0)
        canvas, events = (len(cells), self.width), len(self.world.events)
        words, counters = len(self.mission), len(self.counters)
        out = blank(1, canvas, events=events, movers=n_movers, script=n_script, mission=words, counters=counters)
        out.cells[0] = [[cell.object for cell in row] for row in cells]
        out.contents[0] = [[cell.contents for cell in row] for row in cells]
        out.marks[0] = [[cell.marks for cell in row] for row in cells]
        agents = ((x, y, cell.heading) for y, row in enumerate(cells) for x, cell in enumerate(row))
        out.agent[0, :3] = next(agent for agent in agents if agent[2] >= 0)
        out.agent[0, 3] = self.carried[0]
        out.carried_contents[0] = self.carried[1]
        out.movers[0] = np.array(self.movers, np.int16).reshape(n_movers, 4)
        for m, script in enumerate(self.scripts):
            out.scripts[0, m, : len(script)] = script
        out.mission[0], out.max_steps[0], out.key[0] = self.mission, self.max_steps, self.key
        out.counters[0] = self.counters
        out.value[0, list(self.value)] = list(self.value.values())
        out.quota[0, list(self.quota)] = list(self.quota.values())
        return out


def _read(text: str, world: World) -> Levels:
    headers, rows, legend = _sort_lines(text)
    if not rows:
        raise LevelError(f"Line 1, column 1: expected rows of cells such as '#..>#', got {text.strip()[:40]!r}.")
    draft = _Draft(world, len(rows[0].text))
    for line in headers:
        name, separator, _ = line.text.partition(": ")
        draft.read(line.part((0, len(name))), line.part((len(name) + len(separator), len(line.text))))
    return draft.levels(_read_rows(rows, _read_legend(legend, world)))


def _sort_lines(text: str) -> tuple[list[_Piece], list[_Piece], list[_Piece]]:
    """Header lines, rows and legend lines. A row has no space; a line of no sort counts as a row, and fails there."""
    given, plain = text.expandtabs().split("\n"), textwrap.dedent(text.expandtabs()).split("\n")
    headers: list[_Piece] = []
    rows: list[_Piece] = []
    legend: list[_Piece] = []
    for number, (line, dedented) in enumerate(zip(given, plain, strict=True), 1):
        piece = _Piece(number, len(line) - len(dedented) + 1, dedented.rstrip())
        if re.match(r"\S = ", piece.text):
            legend.append(piece)
        elif re.match(r"[a-z_]+: ", piece.text):
            headers.append(piece)
        elif piece.text:
            rows.append(piece)
    return headers, rows, legend


def _read_legend(lines: list[_Piece], world: World) -> dict[str, Cell]:
    """Every character of the rows and what it stands for."""
    cells = alphabet(world)
    for line in lines:
        if line.text[0] in cells:
            line.fail("a character that has no meaning yet", repr(line.text[0]))
        cells[line.text[0]] = _read_cell(line.part((4, len(line.text))), marks_of(world))
    return cells


def _read_cell(text: _Piece, marks: Labels) -> Cell:
    """What ``box red holding key blue + coin + agent >`` says; parts come in any order, each once."""
    cell = Cell(object=-1)
    for part in text.split(" + "):
        bit = marks.number(part.text)
        if bit is not None and 0 <= bit < MOST_THINGS and not cell.marks >> bit & 1:
            cell = cell._replace(marks=cell.marks | 1 << bit)
        elif re.fullmatch(r"agent [>v<^]", part.text) and cell.heading < 0:
            cell = cell._replace(heading=HEADINGS.index(part.text[-1]))
        elif part.text.partition(" holding ")[0] in CODES and cell.object < 0:
            cell = cell._replace(object=part.object()[0], contents=part.object()[1])
        else:
            part.fail(f"{AN_OBJECT}, a thing of this world ({marks}) or 'agent >', each once")
    return cell._replace(object=EMPTY_CODE) if cell.object < 0 else cell


def _read_rows(rows: list[_Piece], known: dict[str, Cell]) -> list[list[Cell]]:
    """The cells, after checking that the rows form one rectangle of known characters with one agent."""
    width = len(rows[0].text)
    for n, row in enumerate(rows):
        if row.line != rows[0].line + n:
            row.fail("a header, a legend line, or the row directly below the others")
        for at, glyph in enumerate(row.text):
            if glyph not in known:
                row.fail(f"one of {''.join(known)} or a legend line such as '{glyph} = key blue'", repr(glyph), at)
        if len(row.text) != width:
            got = f"{len(row.text)} characters"
            row.fail(f"a row of {width} characters like the first", got, min(width, len(row.text)))
    agents = [row.part((at, at + 1)) for row in rows for at, glyph in enumerate(row.text) if known[glyph].heading >= 0]
    if not agents:
        rows[0].fail(f"an agent, one of {HEADINGS}, somewhere in the rows", "none")
    if len(agents) > 1:
        agents[1].fail(f"one agent, and it is on line {agents[0].line}, column {agents[0].column}")
    return [[known[glyph] for glyph in row.text] for row in rows]


def _real(number: _Piece) -> float:
    """The real number that a piece is, if the array can hold it."""
    try:
        real = float(number.text)
    except ValueError:
        number.fail("a number")
    if np.isnan(real) or float(np.finfo(np.float32).max) < abs(real) < np.inf:
        number.fail("a number that fits in 32 bits")
    return real
