"""Zoos: built in parallel, resumed after a kill, verified, labelled from the stored weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from goalscope.agents.measure import query_distribution
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.zoo import Member, build, members, read_labels, verify
from goalscope.errors import StorageError

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
SLOW_BUILD = """
import sys
from pathlib import Path
from goalscope.agents.measure import query_distribution
from goalscope.agents.zoo import Member, build
from tests.agents.test_zoo import TINY
build(Path(sys.argv[1]), [Member(TINY, s) for s in range(6)], 1, lambda m: print(m.seed, flush=True))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ignore(member: Member) -> None:
    pass


def test_roles_say_how_many_seeds() -> None:
    assert [m.seed for m in members([TINY])] == [0, 1]
    assert len(members([Recipe(**{**TINY.__dict__, "role": "admitted"})])) == 16


def test_a_zoo_is_whole_and_its_labels_are_distributions(tmp_path: Path) -> None:
    wanted = members([TINY])
    build(tmp_path, wanted, 1, ignore)
    assert verify(tmp_path, wanted) == []
    labels = read_labels(tmp_path)
    assert labels.rows.keys() == {m.id for m in wanted}
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


def test_a_build_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    wanted = [Member(TINY, seed) for seed in range(6)]
    build(tmp_path / "whole", wanted, 1, ignore)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "killed")]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "0"
        os.killpg(process.pid, signal.SIGKILL)
    there = list((tmp_path / "killed" / "agents").glob("*.json"))
    assert 1 <= len(there) < 6
    before = {path.name: path.stat().st_mtime_ns for path in there}
    build(tmp_path / "killed", wanted, 1, ignore)
    assert {name: (tmp_path / "killed" / "agents" / name).stat().st_mtime_ns for name in before} == before
    finished = {k: v for k, v in contents(tmp_path / "killed").items() if not Path(k).name.startswith(".")}
    assert finished == contents(tmp_path / "whole")


def test_verify_names_what_is_wrong(tmp_path: Path) -> None:
    wanted = members([TINY])
    build(tmp_path, wanted, 1, ignore)
    (tmp_path / "agents" / f"{wanted[0].id}.safetensors").unlink()
    (tmp_path / "labels.parquet").write_bytes(b"not a table")
    first, second = verify(tmp_path, wanted)
    assert wanted[0].id in first and "no readable table of labels" in second
    with pytest.raises(StorageError, match="Build the zoo again"):
        read_labels(tmp_path)
