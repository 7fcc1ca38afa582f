"""Labels: what agents do under their shift, apart from the agents, measured from the weights as they are stored.

A zoo has one table of labels, ``labels.parquet``, a row an agent, and one of the stages of training,
``stages.parquet``, a row a stage. A row is kept as long as nothing that it was measured from changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goalscope.agents.agent import Agent
from goalscope.agents.checkpoints import load_stage
from goalscope.agents.measure import agent_outcomes, intended_goals, query_distribution
from goalscope.agents.provenance import code_hash
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import Manifest, load_agent
from goalscope.envs import Levels
from goalscope.envs.splits import level_hashes
from goalscope.errors import StorageError
from goalscope.files import write_whole

QUERY_LEVELS = 256
Row = Mapping[str, Any]
COLUMNS = [
    ("agent_id", pa.string()),
    ("recipe", pa.string()),
    ("shift", pa.string()),
    ("query_sha256", pa.string()),
    ("outcomes", pa.list_(pa.float64())),
    ("weights_sha256", pa.string()),
    ("code", pa.string()),
]
"""`outcomes` is `[L · (K + 1)]`, level by level, goals in the family's order, then neither. `weights_sha256` and
`code`: what was measured, and by which source; tables from before they came lack them."""
LABELS = pa.schema(COLUMNS)
STAGES = pa.schema([*COLUMNS, ("steps", pa.int64())])
STEPS = "steps"


@dataclass(frozen=True)
class Labels:
    """What the agents of a zoo do; kept apart from the agents."""

    path: Path
    rows: Mapping[str, Row]

    def of(self, agent: str, levels: Levels) -> NDArray[np.float64]:
        """`[L, K + 1]` an agent's outcome shares on these query levels."""
        row = self.rows.get(agent)
        if row is None:
            raise StorageError(f"{self.path} has no label for {agent}: build the zoo again.")
        if len(levels) != QUERY_LEVELS:
            raise StorageError(
                f"{self.path} labels {QUERY_LEVELS} query levels an agent; a suite cannot ask {len(levels)}."
            )
        if row["query_sha256"] != query_hash(levels):
            raise StorageError(f"{self.path} labels other query levels of {agent} than this version draws: rebuild it.")
        return np.array(row["outcomes"]).reshape(len(levels), -1)


def read_labels(zoo: Path) -> Labels:
    """The labels of a zoo."""
    path = zoo / "labels.parquet"
    return Labels(path, {row["agent_id"]: row for row in _read(path, LABELS)})


def read_stages(zoo: Path) -> list[Row]:
    """What the agents of a zoo did at stages of their training, a row a stage; none if no stages are kept."""
    path = zoo / "stages.parquet"
    return _read(path, STAGES) if path.exists() else []


def _read(path: Path, schema: pa.Schema) -> list[Row]:
    try:
        rows: list[Row] = pq.read_table(path, schema=schema).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} is no readable table of labels: {error}. Build the zoo again.") from error
    return rows


def write_tables(zoo: Path, labels: Iterable[Row], stages: Iterable[Row]) -> None:
    """Write both tables in the order of the ids, that of the stages only if there are any."""
    _write(zoo / "labels.parquet", sorted(labels, key=lambda row: str(row["agent_id"])), LABELS)
    if kept := sorted(stages, key=lambda row: (str(row["agent_id"]), int(row[STEPS]))):
        _write(zoo / "stages.parquet", kept, STAGES)


def _write(path: Path, rows: list[Row], schema: pa.Schema) -> None:
    write_whole(path, lambda half: pq.write_table(pa.Table.from_pylist(rows, schema), half))


def label_rows(folder: Path, manifest: Manifest, recipe: Recipe) -> tuple[Row, list[Row]]:
    """The label of an agent in a folder of agents, and those of its stages."""
    identity = manifest.agent_id
    label = _row(load_agent(folder, identity), identity, recipe, manifest.weights_sha256)
    stages: list[Row] = [
        {**_row(load_stage(folder, identity, steps), identity, recipe, manifest.stages_sha256), STEPS: steps}
        for steps in manifest.stages
    ]
    return label, stages


def _row(agent: Agent, identity: str, recipe: Recipe, weights: str) -> dict[str, Any]:
    distribution = query_distribution(recipe)
    levels = distribution.draw(range(QUERY_LEVELS))
    return {
        "agent_id": identity,
        "recipe": recipe.hash,
        "shift": recipe.query,
        "query_sha256": query_hash(levels),
        "outcomes": agent_outcomes(agent, distribution, levels).ravel().tolist(),
        "weights_sha256": weights,
        "code": code_hash(),
    }


def is_current(row: Row | None, weights: str, recipe: Recipe) -> bool:
    """Whether a row says what these weights do, under this shift, by this version's measure."""
    now = (weights, recipe.query, code_hash())
    return row is not None and (row["weights_sha256"], row["shift"], row["code"]) == now


def query_hash(levels: Levels) -> str:
    """Tells one set of levels from another."""
    return sha256(level_hashes(levels, walls_only=False).tobytes()).hexdigest()


def intended_share(row: Row, recipe: Recipe) -> float:
    """P(intended), the mean over the query levels of a row."""
    columns = intended_goals(query_distribution(recipe))
    return float(np.array(row["outcomes"]).reshape(-1, len(columns) + 1).mean(0)[:-1][columns].sum())
