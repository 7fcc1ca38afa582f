"""What tests of suites share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.suites.made_up import save_zoo, write_suite


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny zoo, its recipes, a suite and detectors: not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    save_zoo(folder / "zoo")
    write_suite(folder)
    return folder
