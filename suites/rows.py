"""Rows: one a case, detector and seed, in Parquet. Running writes them, scoring reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goalscope.errors import StorageError
from goalscope.files import write_whole
from goalscope.suites.crossfit import Case

COUNTED = ("frames", "bank_frames", "episodes", "rollouts", "passes", "values")

ROWS = pa.schema(
    [
        ("suite", pa.string()),
        ("suite_sha256", pa.string()),
        ("detector", pa.string()),
        ("track", pa.int8()),
        ("seed", pa.int32()),
        ("recipe", pa.string()),
        ("agent_id", pa.string()),
        ("fold", pa.int8()),
        ("forecast", pa.list_(pa.float32())),
        ("evidence", pa.list_(pa.float64())),
        ("flag", pa.string()),
        ("message", pa.string()),
        *((name, pa.int64()) for name in COUNTED),
        ("seconds", pa.float64()),
        ("key", pa.string()),
        ("code_sha256", pa.string()),
        ("zoo_sha256", pa.string()),
        ("versions", pa.string()),
        ("machine", pa.string()),
    ]
)
"""`forecast` is `[L · (K + 1)]`, level by level, null where there is none; `evidence` is what it was made of; `key` is
the hash of everything that can change an answer. With the same key all columns are the same in every run but for
`seconds`, `machine`, and `suite_sha256`, which also counts what else was asked."""


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
        **{name: case.tally.get(name, 0) for name in COUNTED},
        "seconds": case.seconds,
    }


def write_part(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write some rows, whole or not at all."""
    table = pa.Table.from_pylist([dict(row) for row in rows], ROWS)
    write_whole(path, lambda whole: pq.write_table(table, whole, compression="zstd"))


def read_part(path: Path) -> list[dict[str, Any]]:
    """Read some rows back; `forecast` and `evidence` as arrays."""
    try:
        table = pq.read_table(path, schema=ROWS)
        forecasts = [_array(value) for value in table.column("forecast")]
        rows: list[dict[str, Any]] = table.drop_columns("forecast").to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"{path} is no readable part of a run: {error}. Delete it and run the suite again; the rest is kept."
        ) from error
    return [{**row, "forecast": forecast} for row, forecast in zip(rows, forecasts, strict=True)]


def _array(value: Any) -> np.ndarray[Any, Any] | None:
    return None if not value.is_valid else value.values.to_numpy(zero_copy_only=False).astype(np.float64)


def read_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The rows of several parts."""
    return [row for path in paths for row in read_part(path)]
