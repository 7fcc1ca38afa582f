"""Zoos: built in parallel, resumed after a kill, repaired, verified, labelled from the stored weights."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from goalscope.agents import labels as labelling
from goalscope.agents.labels import query_hash, read_labels, write_tables
from goalscope.agents.measure import agent_outcomes, query_distribution
from goalscope.agents.members import Member, members, read_members
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.storage import load_agent
from goalscope.agents.training import train
from goalscope.agents.verify import retrain, verify
from goalscope.agents.zoo import build, find_zoo, read_costs, unfinished
from goalscope.errors import StorageError
from goalscope.seeding import generator

TINY = Recipe(
    name="tiny",
    family="coin_dish",
    query="apart",
    knobs={"size": 7},
    role="control",
    arch="mlp",
    budget=4096,
    learner=PPOConfig(envs=32),
)
ROOT = Path(__file__).parents[2]
SLOW_BUILD = """
import sys
from pathlib import Path
from goalscope.agents.members import Member
from goalscope.agents.zoo import build
from tests.agents.test_zoo import TINY
build(Path(sys.argv[1]), [Member(TINY, s) for s in range(6)], 1, lambda m: print(m.seed, flush=True))
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that two builds have in common: what training took is not the same twice."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name != "costs.csv"}


def ignore(member: Member) -> None:
    pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "tiny"
    build(folder, members([TINY]), 1, ignore)
    return folder


@pytest.fixture
def zoo(built: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    for name, content in contents(built).items():
        (tmp_path / "zoo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "zoo" / name).write_bytes(content)
    return tmp_path / "zoo"


FIRST, SECOND = members([TINY])


def change_label(zoo: Path, **columns: Any) -> None:
    """Write other things into the first member's label."""
    rows = read_labels(zoo).rows
    write_tables(zoo, [{**row, **(columns if key == FIRST.id else {})} for key, row in rows.items()], [])


def change_manifest(zoo: Path, **values: Any) -> None:
    path = zoo / "agents" / f"{FIRST.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# Who belongs to it


def test_roles_say_how_many_seeds() -> None:
    assert [m.seed for m in members([TINY])] == [0, 1]
    assert [len(members([replace(TINY, role=role)])) for role in ("admitted", "anchor", "planted")] == [16, 2, 2]
    assert len(members([TINY, replace(TINY, name="other", budget=1)], 5)) == 10
    with pytest.raises(StorageError, match="tiny: a zoo knows no role 'odd'. Known: admitted, anchor"):
        members([replace(TINY, role="odd")])
    with pytest.raises(StorageError, match="1 to 10000 agents"):
        members([TINY], 10_001)


def test_a_zoo_lists_its_members_with_all_that_trains_them_again(built: Path) -> None:
    assert read_members(built) == members([TINY])
    (built / "zoo.json").rename(built / "gone")
    try:
        assert sorted(read_members(built), key=lambda m: m.seed) == members([TINY])
    finally:
        (built / "gone").rename(built / "zoo.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "goalscope.zoo/2", "members": []}'])
def test_a_broken_list_of_members_is_one_error(zoo: Path, text: str) -> None:
    (zoo / "zoo.json").write_text(text)
    with pytest.raises(StorageError, match="no readable list of members"):
        build(zoo, [FIRST], 1, ignore)


def test_one_name_for_two_recipes_and_two_names_for_the_same_agents_are_refused(zoo: Path) -> None:
    before = contents(zoo)
    with pytest.raises(StorageError, match="Two recipes are called 'tiny' and differ in budget: rename one"):
        build(zoo, members([replace(TINY, budget=2048)]), 1, ignore)
    with pytest.raises(StorageError, match="'near' and 'tiny' train the same agents"):
        build(zoo, members([replace(TINY, name="near", query="near")]), 1, ignore)
    assert contents(zoo) == before


# Built, labelled, resumed


def test_a_zoo_is_whole_and_its_labels_are_distributions(built: Path) -> None:
    wanted = members([TINY])
    assert verify(built, wanted) == [] and unfinished(built, wanted) == []
    labels = read_labels(built)
    assert labels.rows.keys() == {m.id for m in wanted} == read_costs(built).keys()
    assert all(0 < minutes < 5 for minutes in read_costs(built).values())
    levels = query_distribution(TINY).draw(range(256))
    for member in wanted:
        outcomes = labels.of(member.id, levels)
        assert outcomes.shape == (256, 3) and np.allclose(outcomes.sum(1), 1)
    with pytest.raises(StorageError, match="other query levels"):
        labels.of(wanted[0].id, levels.take(slice(None, None, -1)))
    with pytest.raises(StorageError, match="cannot ask 255"):
        labels.of(wanted[0].id, levels.take(slice(0, 255)))
    with pytest.raises(StorageError, match="no label for nobody"):
        labels.of("nobody", levels)


def test_labels_are_the_truth_of_the_stored_weights_not_of_those_before_rounding(built: Path) -> None:
    distribution = query_distribution(TINY)
    levels = distribution.draw(range(256))
    label = read_labels(built).of(FIRST.id, levels)
    assert np.array_equal(label, agent_outcomes(load_agent(built / "agents", FIRST.id), distribution, levels))
    unrounded = agent_outcomes(train(TINY, 0), distribution, levels)
    assert 0 < np.abs(label - unrounded).max() < 0.05


def test_several_processes_make_the_bytes_that_one_does(built: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    build(tmp_path, members([TINY]), 2, lambda member: seen.append(member.seed))
    assert sorted(seen) == [0, 1] and contents(tmp_path) == contents(built)


def test_a_build_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    wanted = [Member(TINY, seed) for seed in range(6)]
    build(tmp_path / "whole", wanted, 1, ignore)
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "killed")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "0"
        os.killpg(process.pid, signal.SIGKILL)
    there = list((tmp_path / "killed" / "agents").glob("[!.]*.json"))
    assert 1 <= len(there) < 6
    before = {path: path.stat().st_ctime_ns for path in there}
    build(tmp_path / "killed", wanted, 1, ignore)
    assert {path: path.stat().st_ctime_ns for path in there} == before
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_build_killed_ten_times_ends_the_same(tmp_path: Path) -> None:
    recipe = {"family": "coin_dish", "query": "apart", "knobs": {"size": 7}, "arch": "mlp", "budget": 8192}
    mixed = {**recipe, "alpha": 0.1, "alpha_shift": "near", "checkpoints": 2}
    (tmp_path / "recipes.json").write_text(json.dumps({"one": recipe, "two": mixed}))
    command = [sys.executable, "-m", "goalscope", "zoo", "build", "zoo", "--file", str(tmp_path / "recipes.json")]
    command += ["--seeds", "12", "--workers", "2", "--folder"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)

    def there() -> int:
        return len(list((tmp_path / "killed").glob("zoo/agents/[!.]*.json")))

    rng = generator("kills")
    for _ in range(10):
        before = there()
        with subprocess.Popen([*command, str(tmp_path / "killed")], start_new_session=True) as process:
            while there() == before and process.poll() is None:
                sleep(0.01)
            sleep(0.5 * rng.random())  # a fraction of a training, or of writing what came of it
            assert process.poll() is None, "finished before it was killed"
            os.killpg(process.pid, signal.SIGKILL)
    assert 10 <= there() < 24
    subprocess.run([*command, str(tmp_path / "killed")], check=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


REPAIRED: dict[str, Callable[[Path], object]] = {
    "weights missing": lambda zoo: (zoo / "agents" / f"{FIRST.id}.safetensors").unlink(),
    "weights damaged": lambda zoo: (zoo / "agents" / f"{FIRST.id}.safetensors").write_bytes(b"not weights"),
    "manifest damaged": lambda zoo: (zoo / "agents" / f"{FIRST.id}.json").write_text("{"),
    "label of other weights": lambda zoo: change_label(zoo, weights_sha256="0" * 64),
    "label of other code": lambda zoo: change_label(zoo, code="0" * 64),
    "label under another shift": lambda zoo: change_label(zoo, shift="near"),
}


@pytest.mark.parametrize("what", REPAIRED)
def test_the_same_command_repairs_what_is_missing_damaged_or_stale(zoo: Path, built: Path, what: str) -> None:
    REPAIRED[what](zoo)
    assert unfinished(zoo, members([TINY])) == [FIRST]
    build(zoo, members([TINY]), 1, ignore)
    assert contents(zoo) == contents(built)


def test_damaged_tables_are_measured_anew(zoo: Path, built: Path) -> None:
    (zoo / "labels.parquet").write_bytes(b"not a table")
    build(zoo, members([TINY]), 1, ignore)
    assert contents(zoo) == contents(built)
    (zoo / "costs.csv").write_text("agent_id,core_minutes\nx,long\n")
    with pytest.raises(StorageError, match="no readable table of costs.*Delete it"):
        build(zoo, members([TINY]), 1, ignore)


def test_what_is_there_is_neither_trained_nor_measured_again(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(labelling, "agent_outcomes", fail)
    before, seen = contents(zoo), []
    build(zoo, members([TINY]), 1, lambda member: seen.append(member))
    assert seen == [] and contents(zoo) == before
    with pytest.raises(AssertionError, match="measured again"):
        build(zoo, [Member(TINY, 2)], 1, ignore)


def test_members_that_are_added_leave_the_others_alone(zoo: Path) -> None:
    labels = read_labels(zoo).rows
    build(zoo, [Member(TINY, 2)], 1, ignore)
    assert [member.seed for member in read_members(zoo)] == [0, 1, 2]
    assert {key: read_labels(zoo).rows[key] for key in labels} == labels


def test_only_old_leftovers_of_killed_writes_are_swept(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = zoo / "agents" / ".0123.safetensors"
    left.write_bytes(b"half")
    build(zoo, [FIRST], 1, ignore)
    assert left.exists()
    monkeypatch.setattr("goalscope.agents.zoo.STALE", -1.0)
    build(zoo, [FIRST], 1, ignore)
    assert not left.exists()


def test_the_bundled_zoo_is_found_before_one_of_the_same_name() -> None:
    assert find_zoo("smoke").name == "smoke" and len(read_members(find_zoo("smoke"))) == 80
    with pytest.raises(StorageError, match="There is no zoo 'zebras'.*goalscope zoo build zebras"):
        find_zoo("zebras")


def test_tables_without_the_later_columns_are_read(tmp_path: Path) -> None:
    pq.write_table(
        pq.read_table(find_zoo("smoke") / "labels.parquet").drop_columns("code"), tmp_path / "labels.parquet"
    )
    rows = read_labels(tmp_path).rows
    assert len(rows) == 80 and {row["code"] for row in rows.values()} == {None}


# Verified


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (REPAIRED["weights missing"], "Cannot read .*safetensors"),
    "other weights": (REPAIRED["weights damaged"], "does not match its manifest"),
    "no manifest": (lambda zoo: (zoo / "agents" / f"{FIRST.id}.json").unlink(), "not a readable manifest"),
    "another's manifest": (lambda zoo: change_manifest(zoo, seed=7), "files were renamed, or its recipe edited"),
    "no labels": (lambda zoo: (zoo / "labels.parquet").unlink(), "no readable table of labels"),
    "no label": (lambda zoo: change_label(zoo, agent_id="other"), f"{FIRST.id} has no label"),
    "a label of other weights": (REPAIRED["label of other weights"], "labelled with other weights"),
    "a label of other levels": (lambda zoo: change_label(zoo, query_sha256="0"), "on other query levels than tiny's"),
    "a short label": (lambda zoo: change_label(zoo, outcomes=[1.0]), "a label of 1 numbers, not of 256 levels times 3"),
    "no distribution": (lambda zoo: change_label(zoo, outcomes=[0.5] * 768), "no distribution over outcomes"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_names_what_is_wrong(zoo: Path, what: str) -> None:
    damage, said = DAMAGE[what]
    assert verify(zoo, members([TINY])) == []
    damage(zoo)
    (problem,) = verify(zoo, members([TINY]))
    assert re.search(said, problem), problem


def test_agents_trained_anew_are_the_same_or_it_is_said_why_they_may_not_be(zoo: Path) -> None:
    def again() -> list[str]:
        return retrain(zoo, [FIRST], 1, 1, ignore)

    assert again() == []
    change_label(zoo, outcomes=[1.0, 0.0, 0.0] * 256)
    (problem,) = again()
    assert "measured anew from its stored weights, does something else than its label says" in problem
    (zoo / "labels.parquet").unlink()
    write_tables(zoo, [], [])
    for name in (".json", ".safetensors"):  # another seed's weights in its place
        content = (zoo / "agents" / f"{SECOND.id}{name}").read_bytes().replace(SECOND.id.encode(), FIRST.id.encode())
        (zoo / "agents" / f"{FIRST.id}{name}").write_bytes(content)
    (problem,) = again()
    assert "(tiny, seed 0), trained anew, has other weights: the same code" in problem and "replaced" in problem
    change_manifest(zoo, made_with={"code": "0" * 64, "torch": "1.0"})
    (problem,) = again()
    assert "other code or another machine made it (code 000000000000…, now" in problem and "torch 1.0, now" in problem
    change_manifest(zoo, made_with={})
    assert "does not say by what code and machine" in again()[0]


def test_query_levels_have_a_name_that_their_order_counts_in() -> None:
    levels = query_distribution(TINY).draw(range(4))
    assert query_hash(levels) == query_hash(levels.take([0, 1, 2, 3])) != query_hash(levels.take([1, 0, 2, 3]))
