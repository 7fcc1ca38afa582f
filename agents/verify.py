"""Is a zoo what it says it is? Files, hashes and labels are checked; agents are trained anew and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from safetensors.torch import save

from goalscope.agents.labels import QUERY_LEVELS, Row, label_rows, query_hash, read_labels, read_stages
from goalscope.agents.measure import query_distribution
from goalscope.agents.members import Member
from goalscope.agents.planted_file import changed_truths
from goalscope.agents.provenance import differences
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import Manifest, load_agent, read_whole, rounded, stored_tensors
from goalscope.agents.training import train
from goalscope.errors import StorageError
from goalscope.seeding import generator

CLOSE = 1e-4
"""How far outcome shares may be apart that are measured from the same weights: rounding, on another processor."""


def verify(zoo: Path, wanted: Sequence[Member]) -> list[str]:
    """What is wrong with a zoo, a sentence each: missing or changed agents, manifests or labels."""
    problems, found = [], {}
    for member in wanted:
        try:
            found[member.id] = _checked(zoo, member)
        except StorageError as error:
            problems.append(str(error))
    if changed := changed_truths(zoo, wanted):
        problems.append(f"{zoo / 'truth.json'} does not say what was planted in {', '.join(changed)}: build it again.")
    try:
        return problems + _label_problems(zoo, wanted, found)
    except StorageError as error:
        return [*problems, str(error)]


def _checked(zoo: Path, member: Member) -> Manifest:
    """A member's manifest, if its files are whole and are its own."""
    manifest = read_whole(zoo / "agents", member.id)
    agent = load_agent(zoo / "agents", member.id)
    if (manifest.agent_id, agent.id) != (member.id, member.id) or agent.recipe.name != member.recipe.name:
        raise StorageError(
            f"{member.id} was made by {agent.recipe.name}, seed {agent.seed}, and is filed as one of "
            f"{member.recipe.name}, seed {member.seed}: files were renamed, or its recipe edited."
        )
    return manifest


def _label_problems(zoo: Path, wanted: Sequence[Member], found: Mapping[str, Manifest]) -> list[str]:
    labels = read_labels(zoo).rows
    stages = {(row["agent_id"], row["steps"]): row for row in read_stages(zoo)}
    problems = []
    for member in wanted:
        row, manifest = labels.get(member.id), found.get(member.id)
        if manifest is None:
            problems += _row_problems(member.id, row, member.recipe)
            continue
        problems += _row_problems(member.id, row, member.recipe, manifest.weights_sha256)
        for steps in manifest.stages:
            row = stages.get((member.id, steps))
            problems += _row_problems(f"{member.id} after {steps} steps", row, member.recipe, manifest.stages_sha256)
    return problems


def _row_problems(what: str, row: Row | None, recipe: Recipe, weights: str = "") -> list[str]:
    """What is wrong with one label; `weights`: the hash of what it must be measured from, if that is there."""
    if row is None:
        return [f"{what} has no label."]
    if weights and row["weights_sha256"] and row["weights_sha256"] != weights:
        return [f"{what} was labelled with other weights than it has now."]
    if row["shift"] != recipe.query or row["query_sha256"] != _query_hash(recipe):
        return [f"{what} was labelled on other query levels than {recipe.name}'s."]
    shares = np.array(row["outcomes"])
    columns = len(query_distribution(recipe).goals) + 1
    if shares.size != QUERY_LEVELS * columns:
        return [f"{what} has a label of {shares.size} numbers, not of {QUERY_LEVELS} levels times {columns} outcomes."]
    if shares.min() < -CLOSE or not np.allclose(shares.reshape(-1, columns).sum(1), 1):
        return [f"{what} has a label that is no distribution over outcomes."]
    return []


@lru_cache(maxsize=64)
def _query_hash(recipe: Recipe) -> str:
    return query_hash(query_distribution(recipe).draw(range(QUERY_LEVELS)))


def retrain(
    zoo: Path, wanted: Sequence[Member], number: int, workers: int, done: Callable[[Member], None]
) -> list[str]:
    """Train some agents anew, label them again, and say of each whose bytes or label differ why that may be."""
    order = generator("retrain", [member.id for member in wanted]).permutation(len(wanted))
    jobs = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky")(
        delayed(_retrained)(zoo, wanted[i]) for i in order[:number]
    )
    problems = []
    for member, found in jobs:
        problems += found
        done(member)
    return sorted(problems)


def _retrained(zoo: Path, member: Member) -> tuple[Member, list[str]]:
    torch.set_num_threads(1)
    manifest = read_whole(zoo / "agents", member.id)
    who = f"{member.id} ({member.recipe.name}, seed {member.seed})"
    agent = rounded(train(member.recipe, member.seed, folder=zoo / "agents"))
    again = sha256(save(stored_tensors(agent))).hexdigest()
    problems = [] if again == manifest.weights_sha256 else [f"{who}, trained anew, has other weights: {_why(manifest)}"]
    label, known = label_rows(zoo / "agents", manifest, member.recipe)[0], read_labels(zoo).rows.get(member.id)
    if known is not None and not np.allclose(label["outcomes"], known["outcomes"], rtol=0, atol=CLOSE):
        problems.append(f"{who}, measured anew from its stored weights, does something else than its label says.")
    return member, problems


def _why(manifest: Manifest) -> str:
    if not manifest.made_with:
        return "its manifest, from before they did, does not say by what code and machine it was made."
    if changed := differences(manifest.made_with):
        return f"that was to be expected, since other code or another machine made it ({'; '.join(changed)})."
    return (
        "the same code, versions and kind of machine made it, so its files were replaced, or training is not "
        "reproducible here."
    )
