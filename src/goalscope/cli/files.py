"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from goalscope.errors import GoalscopeError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path` and put that in its place; what stood there stays if anything fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        raise GoalscopeError(f"Could not write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink()
