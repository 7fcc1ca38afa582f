"""The source on which an answer rests: a file, and the files beside it or in its package that it imports.

Found by reading, nothing is imported: files of strangers may do anything when they are. What a file loads by other
means than an import statement (data, `import_module`) is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import goalscope
from goalscope.errors import LoadError, unknown_name
from goalscope.registry import Registry

PLUGGED_IN = ("envs/families", "agents/recipes", "agents/architectures", "agents/learners", "detectors/methods")
"""Folders of which a row rests on some files only, those that its recipe and its detector name."""
SHARED = (
    "seeding.py",
    "envs/**/*.py",
    "agents/**/*.py",
    "detectors/**/*.py",
    "suites/case.py",
    "suites/crossfit.py",
    "suites/fingerprint.py",
    "suites/population.py",
    "suites/regression.py",
    "suites/transfer.py",
)
INSTALLED = ("site-packages", "dist-packages")


@cache
def shared_files() -> frozenset[Path]:
    """Source of ours on which every row rests."""
    root = Path(goalscope.__file__).parent
    plugged_in = [root / folder for folder in PLUGGED_IN]
    found = {path for pattern in SHARED for path in root.glob(pattern)}
    return frozenset(path for path in found if not any(path.is_relative_to(folder) for folder in plugged_in))


@cache
def shared_hash() -> str:
    """Of :func:`shared_files`."""
    return content_hash(shared_files())


def source_hash(registry: Registry[Any], target: str) -> str:
    """Of what declares the thing that an id, a module or a file names, beyond :func:`shared_files`."""
    return content_hash(imported(file_of(registry, target), shared_files()))


def content_hash(files: Iterable[Path]) -> str:
    """Of what files hold, wherever they lie and whatever they are called."""
    return sha256(b"".join(sorted(sha256(path.read_bytes()).digest() for path in files))).hexdigest()


def file_of(registry: Registry[Any], target: str) -> Path:
    """The file that an id, a ``package.module`` or a ``./file.py`` (also with ``:attribute``) names."""
    place = registry.sources[target].target if target in registry.sources else target
    if "." not in place and ":" not in place:
        raise unknown_name(registry.kind, target, registry.sources)
    if ":" in place and not place.endswith(".py"):
        place = place.rpartition(":")[0]
    found = Path(place).absolute() if place.endswith(".py") else _module_file(place)
    if place.endswith(".py") and not Path(place).is_file():
        raise LoadError(f"Could not import {target!r}: there is no such file.")
    if found is None or not found.is_file():
        raise LoadError(f"{target} has no source file, so nobody could rerun it: put it into one.")
    return found


def _module_file(name: str) -> Path | None:
    top, *rest = name.split(".")
    spec = find_spec(top)
    if spec is None or spec.submodule_search_locations is None:
        return Path(spec.origin) if spec and spec.origin and not rest else None
    places = (Path(folder, *rest) for folder in spec.submodule_search_locations)
    return next((path for place in places for path in _module_at(place)), None)


def imported(file: Path, known: frozenset[Path] = frozenset()) -> set[Path]:
    """A file and all that it imports from beside it and from its own package, and so on; `known` ones are left out."""
    found: set[Path] = set()
    todo = [file.absolute()]
    while todo:
        path = todo.pop()
        if path not in found and path not in known:
            found.add(path)
            todo += _imports(path)
    return found


def _imports(file: Path) -> Iterator[Path]:
    try:
        names = _names(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise LoadError(f"Could not read {file}: {error} ({file}:{getattr(error, 'lineno', 1)})") from error
    for level, parts in names:
        if level:
            yield from _along(file.parents[level - 1], parts)
            continue
        package = _package(file.parent)
        if package is not None and parts[:1] == [package.name]:
            yield from _along(package.parent, parts)
        elif file.parent.name not in INSTALLED:
            yield from _along(file.parent, parts)


@lru_cache(maxsize=1024)
def _names(source: bytes) -> tuple[tuple[int, list[str]], ...]:
    """(level, dotted name in parts) of everything that a source imports; also of what may be a name in a module."""
    found: list[tuple[int, list[str]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += ((0, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            found += ((node.level, [*module, alias.name]) for alias in node.names)
    return tuple(found)


def _package(folder: Path) -> Path | None:
    """The outermost package that a folder belongs to."""
    outermost = None
    while (folder / "__init__.py").is_file():
        outermost, folder = folder, folder.parent
    return outermost


def _along(root: Path, parts: list[str]) -> Iterator[Path]:
    """The modules, and packages' first files, on the way down a dotted name."""
    for depth in range(1, len(parts) + 1):
        yield from _module_at(root.joinpath(*parts[:depth]))


def _module_at(place: Path) -> list[Path]:
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return [path for path in candidates if path.is_file()]
