"""The page about planted agents: in one file, complete, the same again, and honest about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from goalscope.suites.planted_page import QUESTIONS, write_planted_report
from goalscope.suites.planted_pairs import COLUMNS
from goalscope.suites.planted_scores import Cell, PlantedScores, PlantedStanding
from goalscope.suites.scores import Failure, Interval


def cell(value: float, missing: int = 0, families: tuple[str, ...] = ("coin_dish", "coin_run")) -> Cell:
    found = Interval(value, max(0, value - 0.1), min(1, value + 0.1))
    return Cell(found, dict.fromkeys(families, value), comparisons=12, agents=5, missing=missing)


def standing(name: str, **cells: Cell) -> PlantedStanding:
    return PlantedStanding(detector=name, track=2, cells=cells, cases=30, flagged=3, seconds=0.25)


SCORES = PlantedScores(
    suite="made_up",
    suite_sha256="a" * 64,
    agents=15,
    seeds=2,
    columns=("selected", "twins", "broken"),
    standings=(
        standing("sees", selected=cell(0.97), twins=cell(1.0)),
        standing("<i>blind</i>", selected=cell(0.5, missing=4), twins=cell(0.5, families=("coin_dish",))),
        standing("competence", broken=cell(0.03)),
    ),
    failures=(Failure("sees", "raised", "a < b", 3),),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("planted"), SCORES)


def written(folder: Path, scores: PlantedScores) -> str:
    write_planted_report(scores, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_every_column_has_a_question() -> None:
    assert tuple(QUESTIONS) == COLUMNS


def test_everything_is_in_the_one_file(page: str) -> None:
    assert not re.search(r"https?:|<script|<link|@import|src=", page)
    ids = re.findall(r'<[^>]*\bid="([^"]*)"', page)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def test_methods_and_mechanisms_are_named_with_their_figures(page: str) -> None:
    assert all(f">{name}<" in page for name in ("sees", "competence", "selected", "twins", "coin_run"))
    assert "<i>blind" not in page and page.count("&lt;i&gt;blind&lt;/i&gt;") >= 3  # figure and two tables
    assert "0.97" in page and "[0.87, 1.00]" in page and QUESTIONS["twins"] in page and "graded" not in page
    (lost,) = re.findall(r"0\.50 <span class=\"ci\">[^<]*</span> †", page)
    assert lost and "3 cases raised: a &lt; b" in page and "3 of 30" in page


def test_what_is_no_question_to_a_method_is_a_dash_and_no_zero(page: str) -> None:
    row = next(r for r in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if ">competence<" in r)
    assert row.count("–") == 2 and "nan" not in page


def test_the_same_scores_give_the_same_bytes(page: str, tmp_path: Path) -> None:
    assert written(tmp_path, SCORES) == page
    assert written(tmp_path, replace(SCORES, failures=())).count("What went wrong") == 0
