"""A zoo's page: its numbers, worked out by hand; what is read from disk; and one file with everything in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import isnan, log10
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.command import complaint, output
from tests.suites.made_up import CORNER, DISH, save_zoo, untrained

from goalscope.agents.agent import agent_id
from goalscope.agents.labels import STAGES
from goalscope.agents.measure import measure
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.errors import StorageError
from goalscope.seeding import generator
from goalscope.suites.population_figures import apart, dose_places, outcome_bars, outcomes_by_steps
from goalscope.suites.population_groups import UNKNOWN, Census, Conduct, Group, read_census
from goalscope.suites.population_page import made, share, write_population_page
from goalscope.suites.population_table import (
    as_json,
    dose_series,
    mean_interval,
    sd_interval,
    stage_table,
    summary,
)

NASTY = "<b>x</b>"
KEYS = Recipe(name="keys", family="keys_chests", query="many_keys", budget=800)
"""Asked about key and chest, in that order; the chest is intended."""
SHARES = {0: (0.1, 0.5, 0.4), 1: (0.3, 0.3, 0.4), 2: (0.2, 0.2, 0.6), 3: (0.0, 0.32, 0.68)}
COMPETENCE = {0: 1.0, 1: 0.9, 2: 0.96, 3: 0.89}
STAGED = {0: {100: (0.0, 0.0, 1.0), 200: (0.1, 0.3, 0.6)}, 2: {200: (0.1, 0.1, 0.8)}}


def group(recipe: Recipe = KEYS, seeds: tuple[int, ...] = (0, 1, 2, 3), staged: bool = False) -> Group:
    """Agents of `SHARES`: P(chest | any goal) is 5/6, 1/2 and 1/2 of those that count; the last is not competent."""
    kept = STAGED if staged else {}
    agents = [
        Conduct(
            agent_id=f"agent {seed}",
            seed=seed,
            competence=COMPETENCE[seed],
            shares=np.array(SHARES[seed]),
            stages={steps: np.array(shares) for steps, shares in kept.get(seed, {}).items()},
        )
        for seed in seeds
    ]
    return Group(recipe, ("key", "chest"), 1, np.array([0.04, 0.04, 0.92]), tuple(agents))


def dosed(**changes: object) -> Recipe:
    return Recipe(**{**KEYS.__dict__, **changes})


def census(*groups: Group) -> Census:
    return Census("made_up", "0" * 64, {UNKNOWN: 4}, groups)


# Numbers


def test_the_mean_of_three_shares_has_students_interval() -> None:
    found = mean_interval(np.array([0.3, 0.35, 0.4]))
    reach = 4.302653 * 0.05 / 3**0.5  # t(2) at 97.5 %
    assert (found.value, found.low, found.high) == pytest.approx((0.35, 0.35 - reach, 0.35 + reach), abs=1e-6)
    wide = mean_interval(np.array([0.2, 0.8]))
    assert (wide.low, wide.high) == (0.0, 1.0)  # a share ends there


def test_the_sd_of_five_shares_has_its_chi_square_interval() -> None:
    found = sd_interval(np.array([0.3, 0.4, 0.5, 0.6, 0.7]))
    sd = 0.025**0.5
    low, high = sd * (4 / 11.143287) ** 0.5, sd * (4 / 0.484419) ** 0.5  # χ²(4) at 97.5 % and 2.5 %
    assert (found.value, found.low, found.high) == pytest.approx((sd, low, high), rel=1e-5)


def test_no_sd_is_larger_than_that_of_zeros_and_ones() -> None:
    found = sd_interval(np.array([0.0, 1.0]))
    assert found.value == pytest.approx(0.5**0.5) and found.high == pytest.approx(0.5**0.5)
    assert found.low == pytest.approx(0.5**0.5 / 5.023886**0.5, rel=1e-5)


def test_of_one_agent_there_is_a_mean_and_nothing_else() -> None:
    one, none = mean_interval(np.array([0.4])), mean_interval(np.array([]))
    assert one.value == 0.4 and isnan(one.low) and isnan(one.high) and isnan(none.value)
    assert isnan(sd_interval(np.array([0.4])).value)


@pytest.mark.parametrize("agents", [2, 16])
def test_intervals_hold_what_they_promise_for_spread_out_shares(agents: int) -> None:
    draws = generator("intervals", agents).random((1000, agents))
    sds, means = [sd_interval(d) for d in draws], [mean_interval(d) for d in draws]
    assert np.mean([i.low <= 12**-0.5 <= i.high for i in sds]) > 0.94
    assert np.mean([i.low <= 0.5 <= i.high for i in means]) > 0.92


def test_a_recipe_in_one_row() -> None:
    row = summary(group())
    assert (row.agents, row.counted) == (4, 3)
    assert (row.competence, row.least_competent, row.most_competent) == pytest.approx((0.9375, 0.89, 1.0))
    assert (row.intended, row.proxies, row.neither) == pytest.approx((1.32 / 4, 0.6 / 4, 2.08 / 4))
    assert row.outcomes == pytest.approx({"key": 0.15, "chest": 0.33, "neither": 0.52})
    assert row.excess == pytest.approx(0.48 - 0.08)
    assert (row.lowest, row.highest) == pytest.approx((0.5, 5 / 6))
    assert row.conditional.value == pytest.approx(11 / 18)  # (5/6 + 1/2 + 1/2) / 3
    assert row.spread.value == pytest.approx(27**-0.5)  # deviations 2/9, −1/9, −1/9: variance (6/81) / 2


def test_an_agent_counts_that_is_both_competent_and_purposeful() -> None:
    assert group().is_counted.tolist() == [True, True, True, False]
    lost = replace(group().agents[0], shares=np.array([0.2, 0.17, 0.63]))  # 0.37 - 0.08 < 0.3
    assert replace(group(), agents=(lost,)).is_counted.tolist() == [False]
    row = summary(replace(group(), agents=(lost,)))
    assert row.counted == 0 and isnan(row.conditional.value) and isnan(row.lowest) and row.intended == 0.17


# Dose–response


def doses(*recipes: Recipe) -> list[tuple[str, list[float]]]:
    return [(s.alpha_shift, [d.alpha for d in s.doses]) for s in dose_series([group(r) for r in recipes])]


def test_recipes_that_differ_in_alpha_alone_are_a_dose_response() -> None:
    high = dosed(name="c", alpha=0.1, alpha_shift="many_keys")
    low = dosed(name="b", alpha=0.01, alpha_shift="many_keys", role="anchor", checkpoints=3)
    assert doses(high, KEYS, low) == [("many_keys", [0.0, 0.01, 0.1])]
    assert doses(KEYS) == doses(low) == []
    assert doses(low, replace(low, name="d")) == []  # the same dose twice


@pytest.mark.parametrize(
    "change",
    [
        {"budget": 801},
        {"query": "more_keys"},
        {"knobs": {"keys": 3}},
        {"arch": "mlp"},
        {"arch_options": {"width": 8}},
        {"learner": PPOConfig(gamma=0.9)},
        {"start": "dish_walls"},
        {"pays": "key"},
        {"view": "full"},
    ],
)
def test_recipes_that_differ_in_anything_else_are_none(change: dict[str, object]) -> None:
    assert doses(KEYS, dosed(alpha=0.1, alpha_shift="many_keys", **change)) == []


def test_levels_mixed_in_from_another_shift_are_another_series() -> None:
    one = dosed(name="b", alpha=0.1, alpha_shift="many_keys")
    other = dosed(name="c", alpha=0.2, alpha_shift="more_keys")
    assert doses(KEYS, one, other) == [("many_keys", [0.0, 0.1]), ("more_keys", [0.0, 0.2])]
    assert doses(one, other) == []


def test_the_mean_of_a_dose_is_over_those_who_count() -> None:
    (series,) = dose_series([group(), group(dosed(alpha=0.1, alpha_shift="many_keys"), seeds=(1, 2))])
    assert [dose.mean.value for dose in series.doses] == pytest.approx([11 / 18, 0.5])


def test_doses_stand_in_decades_and_zero_before_them() -> None:
    assert dose_places([0.0, 0.01, 0.1]) == pytest.approx([-2.8, -2.0, -1.0])
    assert dose_places([0.02, 0.1]) == pytest.approx([log10(0.02), -1.0])


# Stages


def test_stages_that_all_have_and_what_they_do_now() -> None:
    table = stage_table(group(staged=True))
    assert list(table) == [200, 800]  # only one has a stage after 100 steps
    assert table[200].tolist() == [[0.1, 0.3, 0.6], [0.1, 0.1, 0.8]]
    assert table[800].tolist() == [list(SHARES[0]), list(SHARES[2])]
    assert stage_table(group()) == {}


# Reading


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained agents of each of two recipes; one kept a stage: it did then what it does now."""
    folder = tmp_path_factory.mktemp("zoos") / "tiny"
    save_zoo(folder, [replace(DISH, role="control"), replace(CORNER, role="anchor")])
    row = next(r for r in pq.read_table(folder / "labels.parquet").to_pylist() if r["agent_id"] == agent_id(DISH, 1))
    pq.write_table(STAGES.empty_table().from_pylist([{**row, "steps": 7}], STAGES), folder / "stages.parquet")
    return folder


@pytest.fixture(scope="module")
def tiny(zoo: Path) -> Census:
    return read_census(zoo)


def test_what_is_read_is_what_measuring_the_agent_gives(tiny: Census) -> None:
    corner, dish = tiny.groups
    assert (corner.recipe.name, dish.recipe.name) == ("tiny_corner", "tiny_dish")  # anchors before controls
    assert dish.outcomes == ("coin", "dish", "neither") and dish.intended == 0
    known, found = measure(untrained(DISH, 1), 256), dish.measures[1]
    for name in ("intended", "proxies", "neither", "excess"):
        assert getattr(found, name) == pytest.approx(getattr(known, name), abs=1e-12)
    assert found.competence == 0.5  # as the manifest says


def test_stages_are_read_and_belong_to_their_agent(tiny: Census) -> None:
    first, second = tiny.groups[1].agents
    assert first.stages == {}
    assert second.stages.keys() == {7} and second.stages[7] == pytest.approx(second.shares)


def test_it_is_said_who_made_the_agents(tiny: Census) -> None:
    ((origin, agents),) = tiny.origins.items()
    assert agents == tiny.size == 4 and "torch" in origin and "goalscope" in origin


def test_a_zoo_that_is_not_whole_is_refused(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no agents in .*nowhere: goalscope zoo build nowhere"):
        read_census(tmp_path / "nowhere")
    save_zoo(tmp_path / "half", [replace(DISH, role="control")])
    labels = tmp_path / "half" / "labels.parquet"
    pq.write_table(pq.read_table(labels).slice(1), labels)
    with pytest.raises(StorageError, match="no label for 1 of 2 agents.*goalscope zoo build half"):
        read_census(tmp_path / "half")
    labels.unlink()
    with pytest.raises(StorageError, match="no readable table of labels"):
        read_census(tmp_path / "half")


def test_labels_of_other_levels_are_refused(zoo: Path, tmp_path: Path) -> None:
    save_zoo(tmp_path / "other", [replace(DISH, role="control")])
    labels = tmp_path / "other" / "labels.parquet"
    rows = [{**row, "query_sha256": "0" * 64} for row in pq.read_table(labels).to_pylist()]
    pq.write_table(pq.read_table(labels).from_pylist(rows), labels)
    with pytest.raises(StorageError, match="labels other query levels"):
        read_census(tmp_path / "other")


# Figures


@pytest.mark.parametrize("places", [[0.5], [0.1, 0.5, 0.9], [0.01, 0.02, 0.03], [0.9, 0.98, 0.99], [0.0, 0.98, 1.0]])
def test_labels_are_moved_apart_and_no_further(places: list[float]) -> None:
    moved = apart(np.array(places), 0.15)
    assert (np.diff(moved) >= 0.15 - 1e-12).all() and moved[-1] <= 0.925
    if (np.diff(places) >= 0.15).all() and places[-1] <= 0.925:
        assert moved.tolist() == places


def test_bars_stand_in_the_order_of_the_goal_and_are_named() -> None:
    figure = outcome_bars(group())
    assert re.findall(r">(\d)</text>", figure) == ["1", "2", "0", "3"]  # 1/2, 1/2, 5/6, 1
    assert all(f">{text}<" in figure for text in ("random", "mean", "chest, intended 33 %", "key 15 %", "neither 52 %"))


def test_lines_by_steps_end_with_what_agents_do_now() -> None:
    figure = outcomes_by_steps(group(staged=True))
    assert all(f">{text}<" in figure for text in ("chest, intended 35 %", "key 15 %", "neither 50 %", "200", "800"))


# The page


def written(folder: Path, whole: Census) -> str:
    write_population_page(whole, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def everything() -> Census:
    """Doses, stages, a nasty name, a recipe of one, and one of whom nobody counts."""
    return census(
        group(staged=True),
        group(dosed(name=NASTY, alpha=0.1, alpha_shift="many_keys"), seeds=(1, 2)),
        group(dosed(name="one", budget=7), seeds=(0,)),
        group(dosed(name="nobody", budget=9), seeds=(3,)),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, everything: Census) -> str:
    return written(tmp_path_factory.mktemp("page"), everything)


def test_everything_is_in_the_one_file(page: str) -> None:
    assert "http:" not in page and "https:" not in page and "src=" not in page
    assert "<script" not in page and "<link" not in page and "@import" not in page
    references = re.findall(r'(?:xlink:href|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert references and all("".join(pair).startswith("#") for pair in references)


def test_links_lead_somewhere_and_no_id_is_used_twice_for_two_things(page: str) -> None:
    found: dict[str, set[str]] = {}
    for element, identity in re.findall(r'(<[^>]*\bid="([^"]*)"[^>]*>)', page):
        found.setdefault(identity, set()).add(element)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(found)
    assert all(len(elements) == 1 for elements in found.values())


def test_names_are_text_not_markup(page: str) -> None:
    assert NASTY not in page and page.count("&lt;b&gt;x&lt;/b&gt;") >= 4  # table, card, overview, doses


def test_the_table_has_the_numbers_of_the_summary(page: str) -> None:
    row = re.search(r"<tr>(?:(?!</tr>).)*>keys<.*?</tr>", page, re.DOTALL)
    assert row is not None
    cells = " ".join(re.sub(r"<[^>]*>", " ", row[0]).split())
    assert cells == (
        "keys admitted · keys_chests, many_keys 0 conv ppo 3 of 4 0.94 0.89 to 1.00 0.40 33 % 15 % 52 % "
        "0.61 0.50 to 0.83 0.19 [0.10, 0.61]"
    )


def test_what_is_not_known_is_a_dash(page: str) -> None:
    row = re.search(r"<tr>(?:(?!</tr>).)*>nobody<.*?</tr>", page, re.DOTALL)
    assert row is not None and row[0].count(">–<") == 2
    assert ">nan" not in page and ">None" not in page


def test_the_same_zoo_gives_the_same_bytes(page: str, everything: Census, tmp_path: Path) -> None:
    assert written(tmp_path, everything) == page


def test_sections_without_content_are_left_out(page: str, tmp_path: Path) -> None:
    plain = written(tmp_path, census(group()))
    assert 'id="doses"' in page and "environment steps" in page
    assert 'id="doses"' not in plain and "environment steps" not in plain


def test_a_line_says_how_agents_were_made() -> None:
    assert made(KEYS) == "α 0 · conv · ppo · 800 steps"
    unusual = dosed(alpha=0.005, alpha_shift="more_keys", pays="key", start="dish_open", learner=PPOConfig(gamma=0.9))
    assert made(unusual) == (
        "paid for key only · started from dish_open · α 0.5 % of more_keys · conv · ppo gamma 0.9 · 800 steps"
    )
    assert [share(a) for a in (0.0, 0.005, 0.1, 1.0)] == ["0", "0.5 %", "10 %", "100 %"]


# The command


def test_the_command_writes_the_page_and_prints_its_numbers(
    zoo: Path, tiny: Census, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = output("zoo", "page", "tiny", "--folder", zoo.parent)
    assert said == "Page about 4 agents: population-tiny.html\n"
    assert (tmp_path / "population-tiny.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(output("zoo", "page", "tiny", "--folder", zoo.parent, "--json"))
    assert [p.name for p in tmp_path.iterdir()] == ["population-tiny.html"]  # numbers alone need no file
    ours = as_json(tiny)
    assert found["sha256"] == ours["sha256"] and found["agents"] == 4
    assert found["recipes"][1]["members"][1] == ours["recipes"][1]["members"][1]
    assert found["recipes"][1]["spread"]["low"] is None  # nobody counts: no number, and JSON has no NaN


def test_a_zoo_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "There is no zoo 'nowhere'" in complaint("zoo", "page", "nowhere")
    assert "There are no agents" in complaint("zoo", "page", "nowhere", "--folder", tmp_path)
