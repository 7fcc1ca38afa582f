"""Rows: one a case, detector and seed, in Parquet. Running writes them, scoring reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goalscope.errors import StorageError
from goalscope.files import write_whole
from goalscope.suites.case import Case

FORMAT: Final = "goalscope.rows/1"
"""Of a part; in its metadata. A change of what a column means changes the number."""
COUNTED = ("frames", "bank_frames", "episodes", "rollouts", "passes", "values")

COLUMNS: Final[Mapping[str, tuple[pa.DataType, str]]] = {
    "suite": (pa.string(), "the suite's name"),
    "suite_sha256": (pa.string(), "hash of everything that the suite asks"),
    "setting": (
        pa.string(),
        "what was held out of the reference: `seed`, `recipe` or `family`; `planted`: it has none",
    ),
    "detector": (pa.string(), "the method's name; `NAME~KIND` is a control of `NAME`"),
    "detector_sha256": (pa.string(), "hash of the method's file and of those beside it that it imports"),
    "track": (pa.int8(), "0 recipe, 1 blackbox, 2 whitebox, 3 static, 4 rollout"),
    "seed": (pa.int32(), "the detector seed: which frames it was issued"),
    "bank_frames": (pa.int64(), "how many frames under the shift it was allowed"),
    "recipe": (pa.string(), "the agent's recipe"),
    "agent_id": (pa.string(), "the agent's name, which says nothing about it"),
    "fold": (pa.int8(), "the fold in which the agent was tested"),
    "forecast": (
        pa.list_(pa.float32()),
        "`[L · (K + 1)]` shares, level by level, goals in the order asked about, then neither; null where there is "
        "none; in the settings `recipe` and `family` `[L · 3]`: intended, proxies, neither",
    ),
    "evidence": (pa.list_(pa.float64()), "`[E]` what the forecast was made of; null if the method forecasts itself"),
    "flag": (pa.string(), "empty, or why there is no forecast, or why it does not count"),
    "message": (pa.string(), "what went wrong, in words"),
    **{f"used_{name}": (pa.int64(), f"how many {name.replace('_', ' ')} were spent on the case") for name in COUNTED},
    "seconds": (pa.float64(), "how long the case took"),
    "key": (pa.string(), "hash of everything that can change an answer"),
    "code_sha256": (pa.string(), "hash of the source that all rows rest on"),
    "weights_sha256": (pa.string(), "hash of the agent's weights file"),
    "labels_sha256": (pa.string(), "hash of the agent's label: its query levels and outcomes"),
    "versions": (pa.string(), "versions of what can change a number, as JSON"),
    "machine": (pa.string(), "the operating system of the machine that worked"),
    "cpu": (pa.string(), "its processor"),
    "cores": (pa.int32(), "its cores"),
    "git_commit": (pa.string(), "commit of the source, null where it is no git checkout"),
    "git_dirty": (pa.bool_(), "whether the checkout differed from that commit"),
}
"""Name -> type and meaning, in the order of the file."""
FLAGS: Final[Mapping[str, str]] = {
    "forbidden": "it did, or asked for, what its track or its process may not",
    "overspent": "it asked for more frames, passes, numbers, memory or time than a case may use",
    "malformed": "what it answered is no evidence or forecast",
    "raised": "it raised an error, or its process ended",
    "unreferenced": "too few reference agents gave such evidence to calibrate it on",
    "fingerprint": "asked again about an agent on fresh levels of the same distribution, it answered otherwise: it is "
    "about the suite's levels, not about agents, so no case of the task counts",
}
"""Why there is no forecast, or why it does not count."""
CIRCUMSTANCES = ("suite", "suite_sha256", "seconds", "machine", "cpu", "cores", "git_commit", "git_dirty")
"""With the same key all other columns are the same in every run."""
ROWS = pa.schema(
    [(name, kind) for name, (kind, _) in COLUMNS.items()],
    metadata={"format": FORMAT},
)


def case_row(case: Case, agent_id: str, common: Mapping[str, Any]) -> dict[str, Any]:
    """A case as a row."""
    return {
        **common,
        "agent_id": agent_id,
        "fold": case.fold,
        "forecast": None if case.forecast is None else case.forecast.astype(np.float32).ravel(),
        "evidence": case.evidence,
        "flag": case.flag,
        "message": case.message,
        **{f"used_{name}": case.tally.get(name, 0) for name in COUNTED},
        "seconds": case.seconds,
    }


def write_part(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write some rows, whole or not at all."""
    table = pa.Table.from_pylist([dict(row) for row in rows], ROWS)
    write_whole(path, lambda whole: pq.write_table(table, whole, compression="zstd"))


def read_part(path: Path) -> list[dict[str, Any]]:
    """Read some rows back; `forecast` and `evidence` as arrays."""
    try:
        table = _read(path)
        forecasts = [_array(value) for value in table.column("forecast")]
        rows: list[dict[str, Any]] = table.drop_columns("forecast").to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StorageError(
            f"{path} is no readable part of a run: {error}. Delete it and run the suite again; the rest is kept."
        ) from error
    return [{**row, "forecast": forecast} for row, forecast in zip(rows, forecasts, strict=True)]


def _read(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        found = (file.schema_arrow.metadata or {}).get(b"format", b"none").decode()
        if found != FORMAT:
            raise ValueError(f"its format is {found}, this version reads {FORMAT}")
        return file.read(columns=ROWS.names, use_threads=False).cast(ROWS)  # parts are small: threads cost more


def _array(value: Any) -> np.ndarray[Any, Any] | None:
    return None if not value.is_valid else value.values.to_numpy(zero_copy_only=False).astype(np.float64)


def read_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The rows of several parts."""
    return [row for path in paths for row in read_part(path)]


def page() -> str:
    """The page ``docs/rows.md``, from :data:`COLUMNS`; ``python -m goalscope.suites.rows > docs/rows.md`` writes it."""
    lines = [f"| `{name}` | {kind} | {about} |" for name, (kind, about) in COLUMNS.items()]
    return PAGE.format(
        format=FORMAT,
        columns="\n".join(lines),
        flags="\n".join(f"- `{flag}`: {about}" for flag, about in FLAGS.items()),
        circumstances=", ".join(f"`{c}`" for c in CIRCUMSTANCES),
    )


PAGE = """# Rows

What `goalscope run` writes and all scores are made from: in `RUN/rows/` a part of Parquet for every task, one row a
case (agent), method, detector seed and budget. Format `{format}`, which stands in the metadata of every part under
`format`; a change of what a column means changes the number.

| column | type | meaning |
|---|---|---|
{columns}

A `flag` is one of

{flags}

Rows with the same `key` agree in all columns but {circumstances}.

A part is called `DETECTOR-RECIPE-SEED-BUDGET-KEY.parquet`, with the setting in the recipe's place where whole recipes
or families are held out. `RUN/run.json` lists the parts that belong to the run, the suite, and hashes of the agents and
labels that it was run on; parts that an edit made stale stay beside them and are not read.
"""

if __name__ == "__main__":
    print(page(), end="")
