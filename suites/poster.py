"""A run in one picture, for a README or a slide: a training level, a level under the shift, and the ranking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure, SubFigure

from goalscope.agents.measure import query_distribution
from goalscope.envs import Distribution
from goalscope.files import write_whole
from goalscope.suites.figures import FAINT, INK, draw_levels, draw_ranking, house_style, ranking_height
from goalscope.suites.population import find_recipe, zoo_folder
from goalscope.suites.scores import Scores
from goalscope.suites.suite import Suite

DOTS_PER_INCH = 160


@house_style()
def write_poster(scores: Scores, suite: Suite, out: Path) -> None:
    """Write the picture as PNG; the levels are of the suite's first recipe."""
    board = scores.headline
    figure = Figure(figsize=(11, ranking_height(board) + 0.4), layout="constrained", facecolor="white")
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=[1, 2.4]))
    recipe = find_recipe(zoo_folder(suite.zoo), suite.recipes[0])
    asked = query_distribution(recipe)
    trained = Distribution(asked.family, knobs=recipe.knobs)
    upper, lower = left.subfigures(2, 1)
    _draw_level(upper, trained, "In training the goals coincide.", False)
    _draw_level(lower, asked, "Under the shift they come apart.", True)
    right.suptitle(f"Which method forecasts what {board.agents} agents then do?", color=INK, fontsize=11)
    draw_ranking(right, board)
    write_whole(out, lambda path: figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None}))


def _draw_level(part: SubFigure, source: Distribution, caption: str, with_paths: bool) -> None:
    axes = part.add_subplot()
    axes.imshow(draw_levels(source, with_paths, 1))
    axes.set_axis_off()
    axes.set_title(caption, color=FAINT, fontsize=10)
