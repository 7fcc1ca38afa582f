"""The report: one file with everything in it, the same for the same run, whatever methods are called."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from goalscope.errors import StorageError
from goalscope.suites.figures import Behaviour, doses, ranking, spreads
from goalscope.suites.report import number, percent, write_report
from goalscope.suites.scores import Failure, Interval, Line, Scores, Standing
from goalscope.suites.suite import Suite

SUITE = Suite(
    name="made_up",
    zoo="nowhere",
    recipes=("dish_open", "corner_marked"),
    anchors=("dish_coin_salient", "corner_fixed"),
    doses=("dish_open", "dish_walls_mixed"),
)
NASTY = "<b>x</b>"
METHODS = {"good": 0.4, "middling": 0.0, "far_below": -7.0, NASTY: -0.2}


def interval(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1)


def standing(name: str, skill: float) -> Standing:
    return Standing(
        detector=name,
        track=4 if name == "good" else 2,
        rank="" if name == "good" else "1–2",
        strata=interval(skill),
        level=interval(skill / 4),
        purposeful=interval(skill),
        conditional=interval(skill),
        tau=float("nan") if name == "far_below" else 0.25,
        equivalent=None if skill > 0 else 1.5,
        by_recipe={"dish_open": skill},  # none for corner_marked
        cases=24,
        flagged=3,
        seconds=0.125,
    )


SCORES = Scores(
    suite="made_up",
    suite_sha256=SUITE.hash,
    recipes=SUITE.recipes,
    agents=8,
    levels=10,
    seeds=3,
    standings=tuple(standing(name, skill) for name, skill in METHODS.items()),
    lines=(
        Line(name="agent oracle", strata=interval(0.9), level=interval(0.2), by_recipe={"dish_open": 0.9}),
        Line(name="leave-one-out mean", strata=interval(-0.1), level=interval(-0.1), by_recipe={}),
    ),
    curve=((0, -0.1), (8, 0.3)),
    failures=(Failure("broken", "raised", "1 < 2 is no reason to stop", 3),),
    versions={"goalscope": "0.1.0", "machine": "a made-up one"},
)


def truths() -> dict[str, list[NDArray[np.float64]]]:
    rng = np.random.default_rng(0)
    names = dict.fromkeys((*SUITE.recipes, *SUITE.anchors, *SUITE.doses))
    return {name: [rng.dirichlet(np.ones(3), 10) for _ in range(4)] for name in names}


def written(folder: Path, scores: Scores = SCORES, suite: Suite = SUITE) -> str:
    write_report(scores, suite, truths(), folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"))


def test_failures_are_told_with_their_reason(page: str) -> None:
    assert "3 cases raised: 1 &lt; 2 is no reason to stop" in page


def test_everything_is_in_the_one_file(page: str) -> None:
    assert "http:" not in page and "https:" not in page
    assert "<script" not in page and "<link" not in page and "@import" not in page
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', page))
    references = re.findall(r'(?:xlink:href|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert references and all("".join(pair).startswith("#") for pair in references)


def test_links_within_the_page_lead_somewhere_and_no_id_is_used_twice_for_two_things(page: str) -> None:
    found: dict[str, set[str]] = {}
    for element, identity in re.findall(r'(<[^>]*\bid="([^"]*)"[^>]*>)', page):
        found.setdefault(identity, set()).add(element)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(found)
    assert all(len(elements) == 1 for elements in found.values())


def test_every_method_recipe_and_line_is_named(page: str) -> None:
    names = {*METHODS, *SUITE.recipes, *SUITE.anchors, "agent oracle", "leave-one-out mean"} - {NASTY}
    assert all(f">{name}<" in page for name in names)
    assert "2 agents" not in page and page.count("4 agents") >= 6  # the strips of four recipes, two doses
    assert SUITE.hash in page and "a made-up one" in page


def test_names_are_text_not_markup(page: str) -> None:
    assert NASTY not in page
    assert page.count("&lt;b&gt;x&lt;/b&gt;") >= 3  # figure and two tables


def test_the_same_run_gives_the_same_bytes(page: str, tmp_path: Path) -> None:
    assert written(tmp_path) == page


def test_what_is_not_known_is_a_dash(page: str, tmp_path: Path) -> None:
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if ">far_below<" in row and "T2" in row)
    assert '<td class="n">–</td>' in row  # τ
    assert "&gt; 8" in page  # more episodes than were tried
    assert ">nan" not in page and "None" not in re.sub(r'"data:[^"]*"', "", page)
    assert "&gt; 8" not in written(tmp_path, replace(SCORES, curve=()))


def test_a_suite_without_doses_or_truths_has_no_empty_sections(tmp_path: Path) -> None:
    write_report(SCORES, replace(SUITE, doses=()), {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Dose–response" not in page and 'id="agents"' not in page


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        written(tmp_path / "file")


def test_numbers_have_a_true_minus_sign_and_zero_has_none() -> None:
    assert [number(v) for v in (0.125, -0.5, -0.001, None, float("nan"), float("inf"))] == [
        "0.12", "−0.50", "0.00", "–", "–", "–",
    ]  # fmt: skip
    assert percent(0.256) == "26 %" and percent(float("nan")) == "–"


def test_figures_take_whatever_scores_hold() -> None:
    odd = Interval(float("nan"), float("nan"), float("nan"))
    nothing = replace(SCORES, standings=(), lines=())
    unknown = replace(SCORES, standings=(replace(SCORES.standings[0], strata=odd, detector="$a_b$ & co"),))
    assert ranking(nothing).startswith("<svg")
    assert "$a_b$ &amp; co" in ranking(unknown)
    never = Behaviour("never", "control", np.array([[0.0, 0.0, 1.0]]))
    assert "1 agent<" in spreads([never])
    assert "0.005" in doses([(0.0, np.array([0.5])), (0.005, np.array([0.9, 0.8]))])
