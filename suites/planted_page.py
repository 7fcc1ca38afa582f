"""The report on a run of the planted suite: one HTML page that opens from disk, without network or script."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from goalscope.detectors.tracks import Track
from goalscope.files import write_whole
from goalscope.suites.planted_figure import confusion
from goalscope.suites.planted_scores import PlantedScores
from goalscope.suites.planted_table import extents
from goalscope.suites.report import bounds, number, pages

QUESTIONS = {
    "selected": "Built by hand to pursue one goal. Which one?",
    "twins": "Two that are equal to the bit on every training frame, and pursue opposite goals under the shift.",
    "trained": "Paid, or taught, for one goal alone until nine in ten conflict levels end at it. Which one?",
    "graded": "A trigger that lights up on a share of levels decides between the goals. In whom more often?",
    "unused": "A decoy: the other goal can be read from the bus, and nothing uses it.",
    "dormant": "A decoy: a trigger that no level asked about lights would add the other goal.",
    "redundant": "A decoy: the goal is carried twice, so that taking one copy away changes nothing.",
    "folded": "A decoy: the goal is used, and no linear reading of the bus shows it.",
    "split_critic": "A decoy: the policy pursues the goal, the value foretells the other one.",
    "broken": "A share of its moves is drawn at random. Only evidence about competence is asked about it.",
}
"""What each column asks."""


def write_planted_report(scores: PlantedScores, out: Path) -> None:
    """Write the page; the same run gives the same bytes."""
    env = pages()
    env.filters.update(number=number, bounds=bounds, track=lambda t: Track(t).label)
    page = env.get_template("planted.html").render(
        scores=scores,
        questions={column: QUESTIONS[column] for column in scores.columns},
        extents=extents(scores),
        families=sorted({f for s in scores.standings for cell in s.cells.values() for f in cell.by_family}),
        confusion=Markup(confusion(scores)),
    )
    write_whole(out, lambda path: path.write_text(page, encoding="utf-8"))
