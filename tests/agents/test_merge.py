"""Merging zoos: nothing is lost, nothing contradicts itself, nothing is half written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.agents.test_zoo import TINY, contents, ignore

from goalscope.agents.labels import read_labels, read_stages, write_tables
from goalscope.agents.members import Member, members, read_members
from goalscope.agents.merge import merge
from goalscope.agents.verify import verify
from goalscope.agents.zoo import build, read_costs
from goalscope.errors import StorageError

OTHER = replace(TINY, name="other", budget=2048, checkpoints=1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two zoos that share an agent, and one of all their agents."""
    folder = tmp_path_factory.mktemp("zoos")
    build(folder / "one", members([TINY]), 1, ignore)
    build(folder / "two", [Member(TINY, 1), Member(TINY, 2), Member(OTHER, 0)], 1, ignore)
    build(folder / "both", [*members([TINY], 3), Member(OTHER, 0)], 1, ignore)
    return folder


@pytest.fixture
def zoos(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "zoos")
    return tmp_path / "zoos"


SHARED = Member(TINY, 1).id


def change_labels(zoo: Path, agents: list[str], **columns: Any) -> None:
    rows = read_labels(zoo).rows
    changed = [{**row, **(columns if key in agents else {})} for key, row in rows.items()]
    write_tables(zoo, changed, read_stages(zoo))


def change_manifest(zoo: Path, agent: str, **values: Any) -> None:
    path = zoo / "agents" / f"{agent}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_whole_is_what_one_build_would_have_made(zoos: Path) -> None:
    assert merge([zoos / "one", zoos / "two"], zoos / "new") == 4
    assert contents(zoos / "new") == contents(zoos / "both")
    assert verify(zoos / "new", read_members(zoos / "new")) == []
    assert read_costs(zoos / "new").keys() == {member.id for member in read_members(zoos / "both")}
    assert merge([zoos / "new", zoos / "one", zoos / "two"], zoos / "again") == 4
    assert contents(zoos / "again") == contents(zoos / "new")


def test_who_made_an_agent_is_no_contradiction(zoos: Path) -> None:
    change_manifest(zoos / "two", SHARED, made_with={"machine": "another"})
    assert merge([zoos / "one", zoos / "two"], zoos / "new") == 4
    assert contents(zoos / "new") == contents(zoos / "both")


def test_an_agent_that_is_not_the_same_in_both_is_refused(zoos: Path) -> None:
    change_manifest(zoos / "two", SHARED, competence=0.25)
    with pytest.raises(StorageError, match=f"{SHARED} is not the same in .*one and .*two: they differ in competence"):
        merge([zoos / "one", zoos / "two"], zoos / "new")
    assert sorted(path.name for path in zoos.iterdir()) == ["both", "one", "two"]


def test_an_agent_that_does_not_do_the_same_in_both_is_refused(zoos: Path) -> None:
    change_labels(zoos / "two", [SHARED], outcomes=[1.0, 0.0, 0.0] * 256)
    with pytest.raises(StorageError, match=f"{SHARED} is labelled differently in .*one and .*two"):
        merge([zoos / "one", zoos / "two"], zoos / "new")


def test_agents_of_a_recipe_that_were_asked_about_other_levels_are_refused(zoos: Path) -> None:
    change_labels(zoos / "two", [SHARED, Member(TINY, 2).id], query_sha256="0" * 64)
    with pytest.raises(StorageError, match="are of one recipe and were asked about different levels"):
        merge([zoos / "one", zoos / "two"], zoos / "new")


def test_one_name_for_two_recipes_is_refused(zoos: Path) -> None:
    build(zoos / "three", [Member(replace(OTHER, name="tiny"), 0)], 1, ignore)
    with pytest.raises(StorageError, match="Two recipes are called 'tiny' and differ in budget, checkpoints"):
        merge([zoos / "one", zoos / "three"], zoos / "new")


def test_a_damaged_agent_stops_it_and_leaves_nothing_half_done(zoos: Path) -> None:
    victim = zoos / "two" / "agents" / f"{Member(TINY, 2).id}.safetensors"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(StorageError, match="does not match its manifest"):
        merge([zoos / "one", zoos / "two"], zoos / "new")
    assert sorted(path.name for path in zoos.iterdir()) == ["both", "one", "two"]


def test_nothing_is_overwritten_and_a_place_that_cannot_be_written_is_one_error(zoos: Path) -> None:
    before = contents(zoos)
    with pytest.raises(StorageError, match="exists already"):
        merge([zoos / "one", zoos / "two"], zoos / "both")
    (zoos / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write .*Not a directory. Nothing was merged"):
        merge([zoos / "one", zoos / "two"], zoos / "file" / "new")
    assert {name: content for name, content in contents(zoos).items() if name != "file"} == before
