"""Stages of training: kept in one file, labelled, loaded as agents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.agents.test_zoo import TINY, contents, ignore

from goalscope.agents.checkpoints import load_stage
from goalscope.agents.labels import read_labels, read_stages
from goalscope.agents.measure import agent_outcomes, query_distribution
from goalscope.agents.members import Member, read_members
from goalscope.agents.storage import STORED, load_agent, read_manifest
from goalscope.agents.training import Weights, train
from goalscope.agents.verify import verify
from goalscope.agents.zoo import build, unfinished
from goalscope.errors import StorageError

STAGED = replace(TINY, checkpoints=2)
ONE = Member(STAGED, 0)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    build(folder, [ONE], 1, ignore)
    return folder


def test_stages_hold_the_weights_that_training_had_then_rounded(zoo: Path) -> None:
    kept: dict[int, Weights] = {}
    train(STAGED, 0, keep=kept.__setitem__)
    assert sorted(kept) == [1024, 2048] == list(read_manifest(zoo / "agents" / f"{ONE.id}.json").stages)
    for steps, weights in kept.items():
        stage = load_stage(zoo / "agents", ONE.id, steps)
        assert (stage.id, stage.curve[-1]["steps"]) == (ONE.id, steps)
        for name, tensor in stage.network.state_dict().items():
            assert torch.equal(tensor, weights[name].to(STORED).float())
    last, first = load_agent(zoo / "agents", ONE.id), load_stage(zoo / "agents", ONE.id, 1024)
    assert all(torch.equal(first.initial[name], tensor) for name, tensor in last.initial.items())
    assert not torch.equal(first.network.state_dict()["policy.weight"], last.network.state_dict()["policy.weight"])


def test_the_truth_at_each_stage_lies_in_a_table_of_its_own(zoo: Path) -> None:
    distribution = query_distribution(STAGED)
    levels = distribution.draw(range(256))
    rows = read_stages(zoo)
    assert [(row["agent_id"], row["steps"]) for row in rows] == [(ONE.id, 1024), (ONE.id, 2048)]
    for row in rows:
        stage = load_stage(zoo / "agents", ONE.id, row["steps"])
        assert row["outcomes"] == agent_outcomes(stage, distribution, levels).ravel().tolist()
    assert rows[0]["outcomes"] != rows[1]["outcomes"] != read_labels(zoo).rows[ONE.id]["outcomes"]
    assert verify(zoo, [ONE]) == [] and unfinished(zoo, [ONE]) == []


def test_a_stage_that_was_not_kept_is_one_error_that_names_those_that_were(zoo: Path) -> None:
    with pytest.raises(StorageError, match=r"no stage after 512 steps. Known: 1024, 2048\."):
        load_stage(zoo / "agents", ONE.id, 512)


def test_asking_for_stages_later_makes_them_and_changes_no_agent(zoo: Path, tmp_path: Path) -> None:
    build(tmp_path, [Member(TINY, 0)], 1, ignore)
    assert not (tmp_path / "stages.parquet").exists()
    weights = tmp_path / "agents" / f"{ONE.id}.safetensors"
    before, label = weights.read_bytes(), read_labels(tmp_path).rows
    assert unfinished(tmp_path, [ONE]) == [ONE]
    build(tmp_path, [ONE], 1, ignore)
    assert weights.read_bytes() == before and read_labels(tmp_path).rows == label
    assert contents(tmp_path) == contents(zoo) and read_members(tmp_path)[0].recipe.checkpoints == 2


def test_stages_that_were_damaged_or_not_labelled_are_named_and_repaired(zoo: Path, tmp_path: Path) -> None:
    build(tmp_path, [ONE], 1, ignore)
    path = tmp_path / "agents" / f"{ONE.id}.stages.safetensors"
    (tmp_path / "stages.parquet").unlink()
    assert [problem.partition(" has")[0] for problem in verify(tmp_path, [ONE])] == [
        f"{ONE.id} after 1024 steps",
        f"{ONE.id} after 2048 steps",
    ]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "does not match its manifest" in verify(tmp_path, [ONE])[0]
    build(tmp_path, [ONE], 1, ignore)
    assert contents(tmp_path) == contents(zoo)
    assert np.isfinite(read_stages(tmp_path)[0]["outcomes"]).all()
