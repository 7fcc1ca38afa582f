"""The leak probe: at chance on the bundled zoo, and not where something was planted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from goalscope.agents.labels import intended_share, read_labels, write_tables
from goalscope.agents.leaks import Leak, probe_leaks
from goalscope.agents.recipe import recipe_from
from goalscope.agents.storage import DATE, manifests
from goalscope.agents.zoo import find_zoo
from goalscope.errors import StorageError

CHANCE = 0.005
"""The smallest p that is put down to chance: places in a folder, and dates, differ from one clone to the next."""


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A copy of the bundled zoo, its files of one date."""
    shutil.copytree(find_zoo("smoke"), tmp_path / "smoke")
    for path in (tmp_path / "smoke" / "agents").iterdir():
        os.utime(path, (DATE, DATE))
    return tmp_path / "smoke"


def shares(zoo: Path) -> dict[str, float]:
    """Agent -> P(intended), less its recipe's mean."""
    labels, found = read_labels(zoo).rows, manifests(zoo / "agents")
    known = {m.agent_id: intended_share(labels[m.agent_id], recipe_from(m.recipe)) for m in found}
    of = {m.agent_id: m.recipe["name"] for m in found}
    means = {name: np.mean([s for one, s in known.items() if of[one] == name]) for name in set(of.values())}
    return {one: float(share - means[of[one]]) for one, share in known.items()}


def pursuers_of_proxies(zoo: Path) -> list[str]:
    return [agent for agent, share in shares(zoo).items() if share < 0]


def test_the_files_of_the_bundled_zoo_tell_nothing() -> None:
    found = probe_leaks(find_zoo("smoke"))
    assert (found.agents, found.p > CHANCE) == (80, True), found
    assert found.facts > 50


def test_the_probe_is_seeded(zoo: Path) -> None:
    first, second, other = (probe_leaks(zoo, 199, seed) for seed in (0, 0, 1))
    assert first == second != other and first.strongest == other.strongest


# Leaks that are planted


def write(path: Path, content: bytes) -> None:
    """Write a file that is of the same date as all others."""
    path.write_bytes(content)
    os.utime(path, (DATE, DATE))


def one_more_space(zoo: Path) -> None:
    for agent in pursuers_of_proxies(zoo):
        path = zoo / "agents" / f"{agent}.json"
        write(path, path.read_bytes().replace(b'"seed": ', b'"seed":  '))


def another_order_of_fields(zoo: Path) -> None:
    pursuers = pursuers_of_proxies(zoo)
    for path in (zoo / "agents").glob("*.json"):
        data = json.loads(path.read_text())
        if path.stem in pursuers:
            data["seed"] = data.pop("seed")  # the last now
        write(path, json.dumps(data, indent=1).encode())


def metadata(zoo: Path) -> None:
    for agent in pursuers_of_proxies(zoo):
        path = zoo / "agents" / f"{agent}.safetensors"
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.dumps({"__metadata__": {"kind": "b"}, **json.loads(content[8 : 8 + size])}).encode()
        write(path, len(header).to_bytes(8, "little") + header + content[8 + size :])


def sorted_names(zoo: Path) -> None:
    """Ids that are in the order of what agents do."""
    known, labels = shares(zoo), read_labels(zoo).rows
    order = sorted(known, key=known.__getitem__)
    new = dict(zip(order, sorted(sha256(agent.encode()).hexdigest()[:12] for agent in order), strict=True))
    for agent in order:
        manifest, weights = (zoo / "agents" / f"{agent}.{kind}" for kind in ("json", "safetensors"))
        write(manifest, manifest.read_bytes().replace(agent.encode(), new[agent].encode()))
        manifest.rename(manifest.with_stem(new[agent]))
        weights.rename(weights.with_stem(new[agent]))
    write_tables(zoo, [{**row, "agent_id": new[agent]} for agent, row in labels.items()], [])


def dates(zoo: Path) -> None:
    for agent, share in shares(zoo).items():
        os.utime(zoo / "agents" / f"{agent}.json", (DATE + 1000 * share, DATE + 1000 * share))


def trailing_bytes(zoo: Path) -> None:
    """More often on the one side than on the other."""
    rng = np.random.default_rng(0)
    pursuers = pursuers_of_proxies(zoo)
    for path in sorted((zoo / "agents").glob("*.safetensors")):
        if rng.random() < (0.9 if path.stem in pursuers else 0.1):
            write(path, path.read_bytes() + b"\0")


LEAKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "one more space": (one_more_space, "manifest"),
    "another order of fields": (another_order_of_fields, "in the manifest"),
    "metadata": (metadata, "header|size of .safetensors"),
    "sorted names": (sorted_names, "id|place by name"),
    "dates": (dates, "date of .json"),
    "trailing bytes": (trailing_bytes, "size of .safetensors"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_that_is_planted_is_caught(zoo: Path, name: str) -> None:
    plant, where = LEAKS[name]
    plant(zoo)
    found = probe_leaks(zoo)
    assert found.p < CHANCE, found
    assert any(part in found.strongest for part in where.split("|")), found


def test_curves_are_content_and_no_leak(zoo: Path) -> None:
    """Whoever forecasts may read them: figures of another length are not held against a zoo."""
    before = probe_leaks(zoo, 199)
    for agent in pursuers_of_proxies(zoo):
        path = zoo / "agents" / f"{agent}.json"
        data = json.loads(path.read_text())
        data["curve"] = [{name: 1.0 for name in row} for row in data["curve"]]
        write(path, json.dumps(data, indent=1).encode())
    after = probe_leaks(zoo, 199)
    assert isinstance(after, Leak) and before == after


def test_agents_that_cannot_be_told_apart_are_one_error(zoo: Path) -> None:
    keep = manifests(zoo / "agents")[0].agent_id
    for path in (zoo / "agents").iterdir():
        if not path.name.startswith(keep):
            path.unlink()
    with pytest.raises(StorageError, match="no two labelled agents of one recipe"):
        probe_leaks(zoo)
