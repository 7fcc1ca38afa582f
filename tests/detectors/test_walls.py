"""What the other process is shown of the file system: no zoo, whatever path leads to one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from goalscope.detectors.sandbox.walls import command, has_walls


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A zoo within a folder to which a link leads, as to an environment in somebody's home."""
    found = tmp_path / "real" / "zoo"
    found.mkdir(parents=True)
    (found / "labels.parquet").write_text("the truth")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    return found


@pytest.mark.parametrize("shown", ["real", "link"])
def test_a_hidden_folder_is_masked_where_it_is_to_be_seen(zoo: Path, tmp_path: Path, shown: str) -> None:
    words = command([tmp_path / shown], [zoo], walled=True)
    masked = {words[i + 1] for i, word in enumerate(words) if word == "--tmpfs"}
    assert str(tmp_path / shown / "zoo") in masked
    if has_walls():
        listed = [*words[: words.index("--") + 1], "/usr/bin/ls", "-R", str(tmp_path / shown)]
        done = subprocess.run(listed, capture_output=True, text=True, check=True)
        assert "zoo" in done.stdout and "labels" not in done.stdout


def test_what_lies_in_no_shown_folder_needs_no_mask(zoo: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    assert str(zoo) not in command([beside], [zoo], walled=True)
