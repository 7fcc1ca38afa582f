"""Rows on disk: their format is numbered, documented, and refused where it is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goalscope.errors import StorageError
from goalscope.suites.case import Case
from goalscope.suites.rows import CIRCUMSTANCES, COLUMNS, COUNTED, FORMAT, ROWS, case_row, page, read_part, write_part

PAGE = Path(__file__).parents[2] / "docs" / "rows.md"


def test_the_page_about_rows_says_what_the_code_writes() -> None:
    assert PAGE.read_text() == page(), "python -m goalscope.suites.rows > docs/rows.md"
    assert all(f"| `{name}` |" in page() for name in ROWS.names)


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    case = Case(3, 1, np.array([[0.25, 0.5, 0.25]]), np.array([1.0, -2.0]), "", "", 0.5, {"frames": 7, "passes": 9})
    common = {"detector": "made up", "setting": "recipe", "bank_frames": 16, "seed": 2, "git_dirty": True}
    write_part(tmp_path / "part.parquet", [case_row(case, "an agent", common), case_row(Case(4, 0), "other", {})])
    first, second = read_part(tmp_path / "part.parquet")
    assert set(first) == set(COLUMNS) == set(ROWS.names) and set(CIRCUMSTANCES) < set(COLUMNS)
    assert first["forecast"].tolist() == [0.25, 0.5, 0.25] and first["evidence"] == [1.0, -2.0]
    assert {name: first[name] for name in common} == common
    assert (first["used_frames"], first["used_passes"], first["used_bank_frames"]) == (7, 9, 0)
    assert second["forecast"] is None and second["evidence"] is None and second["detector"] is None


def test_every_count_has_a_column() -> None:
    tally = {name: number for number, name in enumerate(COUNTED, 1)}
    row = case_row(Case(0, 0, tally=tally), "", {})
    assert [row[f"used_{name}"] for name in COUNTED] == list(range(1, len(COUNTED) + 1))


@pytest.mark.parametrize("metadata", [None, {"format": "goalscope.rows/0"}], ids=["none", "another number"])
def test_rows_of_another_format_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.Table.from_pylist([{"detector": "made up"}], ROWS.with_metadata(metadata)), path)
    with pytest.raises(StorageError, match=f"part.parquet .*this version reads {FORMAT}.*Delete it and run"):
        read_part(path)
