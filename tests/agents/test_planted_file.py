"""What was planted lies in a file of its own, which nobody who holds an agent needs to hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.agents.test_zoo import TINY, ignore

from goalscope.agents.labels import read_labels
from goalscope.agents.members import Member
from goalscope.agents.planted import planted_truth
from goalscope.agents.planted_file import changed_truths, read_planted, write_planted
from goalscope.agents.recipe import recipe_from
from goalscope.agents.verify import verify
from goalscope.agents.zoo import build
from goalscope.errors import CheckFailure, StorageError

TRAINED = Member(replace(TINY, name="trained", train="apart", pays="dish", role="planted", budget=1024), 0)
BY_HAND = Member(
    recipe_from(
        {
            "name": "by_hand",
            "family": "coin_dish",
            "query": "apart",
            "role": "planted",
            "arch": "bus",
            "budget": 0,
            "planted": {"mechanism": "selected", "goal": "coin"},
        }
    ),
    1,
)
PLAIN = Member(TINY, 0)


def test_a_build_writes_what_was_planted_apart_from_the_agents(tmp_path: Path) -> None:
    build(tmp_path, [PLAIN, BY_HAND], 1, ignore)
    assert read_planted(tmp_path) == {BY_HAND.id: planted_truth(BY_HAND.recipe, 1)}
    assert verify(tmp_path, [PLAIN, BY_HAND]) == []
    (tmp_path / "truth.json").write_text("{}")
    assert verify(tmp_path, [PLAIN, BY_HAND]) == [
        f"{tmp_path / 'truth.json'} does not say what was planted in {BY_HAND.id}: build it again."
    ]
    build(tmp_path, [PLAIN, BY_HAND], 1, ignore)
    assert verify(tmp_path, [PLAIN, BY_HAND]) == []


def test_an_agent_without_what_training_was_to_plant_has_no_label_and_stops_nobody(tmp_path: Path) -> None:
    for _ in range(2):  # the second time it is there, and still is not what it should be
        with pytest.raises(CheckFailure, match="trained, seed 0: .* must pursue dish .* train it for longer"):
            build(tmp_path, [TRAINED, PLAIN], 1, ignore)
        assert set(read_labels(tmp_path).rows) == {PLAIN.id}


def test_where_nothing_was_planted_there_is_no_file(tmp_path: Path) -> None:
    write_planted(tmp_path, [PLAIN])
    assert list(tmp_path.iterdir()) == [] and read_planted(tmp_path) == {} == dict.fromkeys(
        changed_truths(tmp_path, [PLAIN])
    )


def test_mechanisms_come_back_as_they_were_said(tmp_path: Path) -> None:
    write_planted(tmp_path, [BY_HAND, TRAINED])
    found = read_planted(tmp_path)
    assert found[BY_HAND.id] == planted_truth(BY_HAND.recipe, 1) and found[BY_HAND.id]["goal"] == "coin"
    assert list(found) == sorted(found) and changed_truths(tmp_path, [BY_HAND, TRAINED]) == []
    assert changed_truths(tmp_path, [Member(BY_HAND.recipe, 2), BY_HAND]) == [Member(BY_HAND.recipe, 2).id]


@pytest.mark.parametrize("text", ["", "[]", '{"0a": 3}'])
def test_a_damaged_file_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(StorageError, match="no readable list of planted truths.*Build the zoo again"):
        read_planted(tmp_path)
