"""The leak probe: do an agent's files, apart from the weights in them, tell what it will do under a shift?

Whoever holds an agent may read its weights and its training curve; those are what forecasts are made from. Sizes, the
order of fields and files, names, dates and blanks must tell nothing. Everything about the files but those contents
becomes numbers, from which each agent's P(intended) is predicted within its recipe; labels dealt out anew at random say
how well that goes by chance.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.labels import intended_share, read_labels
from goalscope.agents.recipe import recipe_from
from goalscope.agents.storage import manifests
from goalscope.errors import StorageError
from goalscope.seeding import generator

Array = NDArray[np.float64]
Facts = dict[str, float]

CONTENT = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?|\bnull\b")
"""Figures of a manifest, which are training's."""
NAMES = re.compile(rb'"[0-9a-f]{12,64}"')
"""Ids and hashes."""
ID_BITS = 48
FOLDS = 5


@dataclass(frozen=True)
class Leak:
    """What a probe of a zoo has found."""

    p: float
    """How often labels dealt out at random are predicted as well, corrected for trying two ways; small: files leak."""
    skill: float
    """Cross-validated correlation of a ridge regression on all facts with P(intended), within recipes."""
    p_skill: float
    strongest: str
    """The fact that goes best with P(intended) by itself."""
    correlation: float
    p_correlation: float
    agents: int
    facts: int
    """Facts in which agents of one recipe differ."""


def probe_leaks(zoo: Path, deals: int = 4999, seed: int = 0) -> Leak:
    """Try to predict every agent's P(intended) from its files without their contents.

    The null: labels are dealt out anew among the agents of a recipe, `deals` times. Raises a StorageError where no
    recipe has two labelled agents whose files differ at all.
    """
    found, labels = manifests(zoo / "agents"), read_labels(zoo).rows
    found = [manifest for manifest in found if manifest.agent_id in labels]
    recipes = np.unique([str(manifest.recipe["name"]) for manifest in found], return_inverse=True)[1]
    shares = np.array([intended_share(labels[m.agent_id], recipe_from(m.recipe)) for m in found])
    names, table = _table(zoo / "agents", [manifest.agent_id for manifest in found])
    facts, names = _standardised(table, names, recipes)
    if not names:
        raise StorageError(f"{zoo} holds no two labelled agents of one recipe whose files differ.")
    rng = generator("leak probe", seed)
    dealt = np.stack([shares, *(shares[_within(recipes, rng)] for _ in range(deals))], axis=1)
    dealt = np.stack([_centred(column, recipes) for column in dealt.T], axis=1)
    alone = _correlations(facts, dealt)
    skills = _columnwise(_held_out(facts, rng) @ dealt, dealt)
    best = int(alone[:, 0].argmax())
    p_alone, p_skill = _rank(alone.max(0)), _rank(skills)
    return Leak(
        p=min(1.0, 2 * min(p_alone, p_skill)),
        skill=float(skills[0]),
        p_skill=p_skill,
        strongest=names[best],
        correlation=float(alone[best, 0]),
        p_correlation=p_alone,
        agents=len(found),
        facts=len(names),
    )


# From files to numbers


def _table(folder: Path, identities: Sequence[str]) -> tuple[list[str], Array]:
    """The names of facts, and `[A, F]` the facts."""
    listed = {entry.name: place for place, entry in enumerate(os.scandir(folder))}
    texts = {identity: _texts(folder, identity) for identity in identities}
    kinds = [Counter(text[part] for text in texts.values()) for part in range(2)]
    rows = []
    for identity in identities:
        row = _facts(folder, identity, listed)
        for what, common, text in zip(("manifest", "header"), kinds, texts[identity], strict=True):
            row |= {f"{what} is of kind {k}": float(text == kind) for k, (kind, _) in enumerate(common.most_common(8))}
        rows.append(row)
    names = sorted({name for row in rows for name in row})
    return names, np.array([[row.get(name, -1.0) for name in names] for row in rows])


def _texts(folder: Path, identity: str) -> tuple[bytes, bytes]:
    """The manifest with everything blanked out that it is there to say, and the header of the weights file."""
    manifest = (folder / f"{identity}.json").read_bytes()
    return CONTENT.sub(b"0", NAMES.sub(b'""', manifest)), _header((folder / f"{identity}.safetensors").read_bytes())


def _header(weights: bytes) -> bytes:
    """Names, types, shapes, places and metadata, as a safetensors file begins with them."""
    return weights[8 : 8 + int.from_bytes(weights[:8], "little")]


def _facts(folder: Path, identity: str, listed: Mapping[str, int]) -> Facts:
    """What can be said in numbers about an agent's files."""
    manifest, header = _texts(folder, identity)
    facts: Facts = {
        "blanks in the manifest": sum(map(manifest.count, (b" ", b"\n", b"\t", b"\r"))),
        "length of the manifest's frame": len(manifest),
        "lines of the manifest": manifest.count(b"\n"),
        "length of the header": len(header),
        "seed": _seed((folder / f"{identity}.json").read_bytes()),
        "place by name": sorted(listed).index(f"{identity}.json"),
    }
    for what, text in (("manifest", manifest), ("header", header)):
        facts |= {f"place of {name} in the {what}": place for place, name in enumerate(json.loads(text))}
    for path in sorted(folder.glob(f"{identity}.*")):
        about, kind = path.stat(), path.name.removeprefix(identity)
        facts |= {f"date of {kind}": about.st_mtime, f"mode of {kind}": about.st_mode}
        facts |= {f"place of {kind} in the folder": listed[path.name]}
        if kind != ".json":
            facts[f"size of {kind}"] = about.st_size
    bits = int(identity, 16)
    return facts | {f"bit {k} of the id": float(bits >> k & 1) for k in range(ID_BITS)}


def _seed(manifest: bytes) -> float:
    found = re.search(rb'"seed":\s*(\d+)', manifest)
    return float(found[1]) if found else -1.0


# From numbers to a verdict


def _standardised(table: Array, names: Sequence[str], recipes: NDArray[np.int64]) -> tuple[Array, list[str]]:
    """Facts with mean 0 and SD 1 within every recipe (0 where they do not vary), and the names of those that vary."""
    centred = np.stack([_centred(column, recipes) for column in table.T], axis=1)
    for recipe in np.unique(recipes):
        own = recipes == recipe
        spread = centred[own].std(0)
        centred[own] = np.where(spread > 1e-9, centred[own] / np.maximum(spread, 1e-9), 0.0)
    varies = np.abs(centred).max(0) > 0
    return centred[:, varies], [name for name, wanted in zip(names, varies, strict=True) if wanted]


def _centred(column: Array, recipes: NDArray[np.int64]) -> Array:
    """A column minus its mean in each recipe."""
    counts = np.bincount(recipes)
    return np.asarray(column - (np.bincount(recipes, column) / np.maximum(counts, 1))[recipes])


def _within(recipes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An order that moves agents only within their recipe."""
    order = np.lexsort((rng.random(len(recipes)), recipes))
    found = np.empty(len(recipes), np.int64)
    found[np.argsort(recipes, kind="stable")] = order
    return found


def _held_out(facts: Array, rng: np.random.Generator) -> Array:
    """`[A, A]` what makes cross-validated ridge predictions of the labels: those of a fold from all other folds."""
    folds = rng.permutation(len(facts)) % FOLDS
    found = np.zeros((len(facts), len(facts)))
    for fold in range(FOLDS):
        test, rest = folds == fold, folds != fold
        known = facts[rest]
        found[np.ix_(test, rest)] = facts[test] @ np.linalg.solve(
            known.T @ known + facts.shape[1] * np.eye(facts.shape[1]), known.T
        )
    return found


def _correlations(facts: Array, dealt: Array) -> Array:
    """`[F, D]` sizes of the correlations of facts with labels."""
    scale = np.linalg.norm(facts, axis=0)[:, None] * np.maximum(np.linalg.norm(dealt, axis=0), 1e-12)
    return np.asarray(np.abs(facts.T @ dealt) / scale)


def _columnwise(predicted: Array, dealt: Array) -> Array:
    """`[D]` the correlation of each column of predictions with its labels."""
    a, b = predicted - predicted.mean(0), dealt - dealt.mean(0)
    return np.asarray((a * b).sum(0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-12))


def _rank(statistic: Array) -> float:
    """The share of deals, the real one among them, that reach what the real one does."""
    return float((statistic >= statistic[0] - 1e-12).mean())
