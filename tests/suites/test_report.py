"""The report: one file with everything in it, the same for the same run, whatever methods are called."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from goalscope.cli.score import print_scores
from goalscope.errors import StorageError
from goalscope.suites.figures import Behaviour, calibration, doses, ranking, spreads
from goalscope.suites.report import number, percent, write_report
from goalscope.suites.scores import Bin, Board, Difference, Failure, Interval, Line, Scores, Standing
from goalscope.suites.suite import Suite

SUITE = Suite(
    name="made_up",
    zoo="smoke",
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
        log=interval(skill),
        calibration_error=0.05,
        calibration=(Bin(0.2, 0.3, 10), Bin(0.8, 0.7, 10)),
        by_margin=(skill,) * 5,
        by_strength=((1.0, skill),),
        worst="dish_open",
        reseed=None if name == "good" else 0.01,
        tau=float("nan") if name == "far_below" else 0.25,
        equivalent=None if skill > 0 else 1.5,
        by_recipe={"dish_open": skill},  # none for corner_marked
        cases=24,
        flagged=3,
        seconds=0.125,
    )


CONTRAST = Difference(method="good", baseline="middling", found=interval(0.4), p=0.01, corrected=0.0123)
BOARD = Board(
    setting="seed",
    recipes=SUITE.recipes,
    agents=8,
    standings=tuple(standing(name, skill) for name, skill in METHODS.items()),
    lines=(
        Line(name="agent oracle", strata=interval(0.9), level=interval(0.2), by_recipe={"dish_open": 0.9}),
        Line(name="leave-one-out mean", strata=interval(-0.1), level=interval(-0.1), by_recipe={}),
    ),
    curve=((0, -0.1), (8, 0.3)),
    contrasts=(CONTRAST,),
    exploratory=(Difference(method="middling", baseline=NASTY, found=interval(0.2), p=0.2, corrected=0.4),),
    smallest_difference=0.17,
    reseed=0.01,
    separated=0.5,
)
SCORES = Scores(
    suite="made_up",
    suite_sha256=SUITE.hash,
    levels=10,
    seeds=3,
    headline=BOARD,
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


def test_contrasts_stand_before_the_table_and_other_differences_after_it(page: str) -> None:
    fixed, table, others = (page.index(f">{text}<") for text in ("0.012", "Worth episodes", "0.400"))
    assert fixed < table < others
    assert "differ by 0.17 or more" in page and "50 % of pairs" in page


def test_other_settings_have_their_own_tables_and_no_episodes(tmp_path: Path) -> None:
    other = replace(BOARD, setting="recipe", curve=(), contrasts=())
    page = written(tmp_path, replace(SCORES, transfer=(other,)))
    assert page.count('class="standings"') == 4 and page.count("Worth episodes</th>") == 1
    assert page.index('id="setting-recipe"') > page.index('id="standings"')
    assert 'href="#setting-recipe"' in page


def test_the_table_and_the_json_have_every_setting_and_the_contrasts(capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(BOARD, setting="recipe", curve=(), contrasts=())
    scores = replace(SCORES, transfer=(other,))
    print_scores(scores, as_json=False)
    said = capsys.readouterr()
    assert said.out.count("agent oracle") == 2 and said.out.count("Unseen recipes.") == 1
    assert "Contrast good − middling:  0.40 [ 0.30,  0.50], p 0.0123 (Holm)" in said.out
    assert "Smallest reliable difference 0.17" in said.out and "3 cases raised" in said.err
    print_scores(scores, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [s["detector"] for s in found["standings"]] == list(METHODS) and found["setting"] == "seed"
    assert found["suite"] == "made_up" and found["contrasts"][0]["corrected"] == 0.0123
    assert [board["setting"] for board in found["transfer"]] == ["recipe"] and "headline" not in found


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
    assert "&gt; 8" not in written(tmp_path, replace(SCORES, headline=replace(BOARD, curve=())))


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
    nothing = replace(BOARD, standings=(), lines=())
    unknown = replace(BOARD, standings=(replace(BOARD.standings[0], strata=odd, detector="$a_b$ & co"),))
    assert ranking(nothing).startswith("<svg") and calibration(nothing).startswith("<svg")
    assert "$a_b$ &amp; co" in ranking(unknown)
    never = Behaviour("never", "control", np.array([[0.0, 0.0, 1.0]]))
    assert "1 agent<" in spreads([never])
    assert "0.005" in doses([(0.0, np.array([0.5])), (0.005, np.array([0.9, 0.8]))])
