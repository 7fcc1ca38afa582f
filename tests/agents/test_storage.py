"""Agents on disk: whole or not at all, checked when read, without pickle."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from goalscope.agents import storage
from goalscope.agents.agent import Agent
from goalscope.agents.network import make_network
from goalscope.agents.provenance import code_hash
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import DATE, load_agent, manifests, read_manifest, rounded, save_agent, stored_tensors
from goalscope.errors import StorageError
from goalscope.files import write_whole

SHAPE = (4, 9, 9)


@pytest.fixture
def agent() -> Agent:
    network = make_network("conv", SHAPE, 4, 1)
    initial = make_network("conv", SHAPE, 4, 2).state_dict()
    curve = [{"steps": 1.0, "return": float("nan")}]
    return rounded(Agent(Recipe(name="r", family="coin_dish", query="apart"), 7, network.eval(), initial, curve))


def test_what_is_read_is_what_was_written(agent: Agent, tmp_path: Path) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    again = load_agent(tmp_path, agent.id)
    assert again.recipe == agent.recipe and again.seed == 7
    for mine, theirs in ((agent.network.state_dict(), again.network.state_dict()), (agent.initial, again.initial)):
        assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_changed_weight_is_noticed(agent: Agent, tmp_path: Path) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    path = tmp_path / f"{agent.id}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StorageError, match="does not match its manifest"):
        load_agent(tmp_path, agent.id)


@pytest.mark.parametrize("text", ["", "{", '{"agent_id": 3}'])
def test_a_broken_manifest_is_one_clear_error(agent: Agent, tmp_path: Path, text: str) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    (tmp_path / f"{agent.id}.json").write_text(text)
    with pytest.raises(StorageError, match="not a readable manifest"):
        load_agent(tmp_path, agent.id)


def test_a_manifest_says_nothing_about_what_the_agent_does_under_a_shift(agent: Agent, tmp_path: Path) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    manifest = json.loads((tmp_path / f"{agent.id}.json").read_text())
    assert manifest["format"] == "goalscope.zoo/1" and manifest["made_with"]["code"] == code_hash()
    told = {"agent_id", "recipe", "seed", "shape", "n_actions", "dtype", "weights_sha256", "stages", "stages_sha256"}
    assert set(manifest) == told | {"format", "made_with", "curve", "competence"}


def test_a_manifest_from_before_formats_had_numbers_is_read_and_one_of_a_later_format_is_not(
    agent: Agent, tmp_path: Path
) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    path = tmp_path / f"{agent.id}.json"
    data = json.loads(path.read_text())
    old = ("agent_id", "recipe", "seed", "shape", "n_actions", "weights_sha256", "curve", "competence")
    path.write_text(json.dumps({name: data[name] for name in old}))
    assert read_manifest(path).format == "goalscope.zoo/0" and load_agent(tmp_path, agent.id).id == agent.id
    path.write_text(json.dumps({**data, "format": "goalscope.zoo/2"}))
    with pytest.raises(StorageError, match="format: Input should be 'goalscope.zoo/0' or 'goalscope.zoo/1'"):
        load_agent(tmp_path, agent.id)


def test_the_bundled_zoo_is_read_as_it_was_written() -> None:
    found = manifests(Path(storage.__file__).parent / "zoos" / "smoke" / "agents")
    assert len(found) == 80 and {manifest.format for manifest in found} == {"goalscope.zoo/1"}


def test_all_files_bear_one_date(agent: Agent, tmp_path: Path) -> None:
    save_agent(agent, tmp_path, SHAPE, 4, competence=0.5, stages={8: agent.network.state_dict()})
    assert [path.stat().st_mtime for path in tmp_path.iterdir()] == [DATE] * 3


def test_what_half_precision_cannot_hold_is_refused_and_counters_are_kept(agent: Agent, tmp_path: Path) -> None:
    layer = nn.BatchNorm1d(3)
    layer.register_buffer("seen", torch.tensor(100_001))
    agent.network.add_module("counting", layer)
    assert int(rounded(agent).network.state_dict()["counting.seen"]) == 100_001
    layer.weight.data[1] = 1e5
    with pytest.raises(StorageError, match="in half precision counting.weight is not finite"):
        stored_tensors(agent)


def test_an_agent_that_nobody_could_load_again_is_refused(agent: Agent, tmp_path: Path) -> None:
    agent.network.add_module("more", nn.Linear(2, 2))
    with pytest.raises(StorageError, match="'conv' would not make its network again: Error.*Unexpected key"):
        save_agent(agent, tmp_path, SHAPE, 4, competence=0.5)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")

    def fail(target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        write_whole(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from goalscope.agents.agent import Agent
from goalscope.agents.network import make_network
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import save_agent
from goalscope.errors import StorageError

network = make_network("conv", (4, 9, 9), 4, 1)
agent = Agent(Recipe(name="r", family="coin_dish", query="apart"), 7, network, network.state_dict(), [])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_agent(agent, Path(sys.argv[1]), (4, 9, 9), 4, competence=0.5)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_agent(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"Cannot write .*\.safetensors: .* Nothing was lost; make room or choose another place, and rerun\.\n",
        done.stdout,
    )
    assert list(tmp_path.iterdir()) == []
