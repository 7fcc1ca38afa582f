"""The planted table as text: a row a method, a column a mechanism."""

from __future__ import annotations

from goalscope.suites.planted_scores import Cell, PlantedScores

ABOUT = """{agents} planted agents, {seeds} seeds a method; without calibration. Share of comparisons won, mean over
families: 1 sees which goal is inside, .5 is blind, 0 has the sign reversed; [95 % over agents, which are few]. Below
each mechanism: comparisons, agents, families. * not all families, † some evidence is missing, and lost.
broken: evidence about competence alone; the other columns are no question to it, and it should be blind there."""


def markdown(scores: PlantedScores) -> str:
    """The table with what its figures mean."""
    asked = extents(scores)
    head = ["method", *(f"{column}<br>{', '.join(map(str, asked[column]))}" for column in scores.columns)]
    rows = [
        [s.detector, *(_text(s.cells.get(column), asked[column][2]) for column in scores.columns)]
        for s in scores.standings
    ]
    lines = [head, ["---"] * len(head), *rows]
    about = ABOUT.format(agents=scores.agents, seeds=scores.seeds)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{about}\n"


def extents(scores: PlantedScores) -> dict[str, tuple[int, int, int]]:
    """Column -> comparisons, agents and families, of the method that most of them are a question to."""
    found = {}
    for column in scores.columns:
        cells = [s.cells[column] for s in scores.standings if column in s.cells]
        most = max(cells, key=lambda cell: cell.comparisons)
        found[column] = (most.comparisons, most.agents, max(len(cell.by_family) for cell in cells))
    return found


def _text(cell: Cell | None, families: int) -> str:
    if cell is None:
        return "—"
    marks = "*" * (len(cell.by_family) < families) + "†" * bool(cell.missing)
    return f"{cell.found.value:.2f} [{cell.found.low:.2f}, {cell.found.high:.2f}]{marks}"
