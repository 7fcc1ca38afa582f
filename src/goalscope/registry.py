"""Find families, detectors, suites, recipes … by name, without importing them until they are used.

Ours and everybody else's come in by the same door, an entry point in one of six groups:

- naming a *package folder*, it contributes every module in it, the module's name being the id (those that start with
  an underscore are helpers): a new built-in is one new file;
- naming a *module* or ``module:attribute``, it contributes one thing, the entry point's name being the id.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from pkgutil import iter_modules
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar

from goalscope.errors import DeclarationError, GoalscopeError, LoadError, PluginWarning, unknown_name

if TYPE_CHECKING:
    from goalscope.agents.learner import Learner
    from goalscope.agents.network import Architecture
    from goalscope.agents.recipe import Recipe
    from goalscope.detectors.base import Detector
    from goalscope.envs.family import Family
    from goalscope.suites.suite import Suite

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Where the thing behind an id is declared."""

    target: str
    """``package.module`` or ``package.module:attribute``."""
    distribution: str
    """The installed distribution that brought it."""


class Registry(Generic[T]):
    """The things of one kind, from every installed distribution; the entry points are read once."""

    def __init__(self, group: str, attribute: str, kind: str, expected: str = "") -> None:
        """`attribute` is the conventional name in a module; `expected` is the type as ``module:Class``, or empty."""
        self.group = group
        self.attribute = attribute
        self.kind = kind
        self.expected = expected

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every id with its source, Goalscope's own first; the first to take an id keeps it."""
        found: dict[str, Source] = {}
        for point in _in_order(entry_points(group=self.group)):
            for name, target in _contributed(point):
                source = Source(target, _distribution(point))
                if found.setdefault(name, source) != source:
                    self._warn_duplicate(name, found[name], source)
        return found

    def names(self) -> list[str]:
        """All ids, sorted; nothing is imported for it."""
        return sorted(self.sources)

    def load(self, target: str) -> T:
        """Return what an id, a ``package.module`` or a ``./file.py`` names, the latter two also with ``:attribute``."""
        if target in self.sources:
            target = self.sources[target].target
        elif "." not in target and ":" not in target:
            raise unknown_name(self.kind, target, self.sources)
        place, attribute = _split(target)
        return self._attribute(self._module(place), attribute or self.attribute)

    def load_all(self) -> Iterator[tuple[str, T]]:
        """Every id with its thing; one that cannot be loaded warns and is left out."""
        for name in self.names():
            try:
                thing = self.load(name)
            except GoalscopeError as error:
                source = self.sources[name].distribution
                message = f"Left out {self.kind} {name!r} of distribution {source!r}: {error}"
                warnings.warn(message, PluginWarning, stacklevel=2)
            else:
                yield name, thing

    def _module(self, place: str) -> ModuleType:
        try:
            return _from_file(Path(place)) if place.endswith(".py") else import_module(place)
        except (Exception, SystemExit) as error:  # a stranger's module may do anything, even sys.exit()
            cause = f"{type(error).__name__}: {error}{_where(error)}"
            raise LoadError(f"Could not import {place!r}, where a {self.kind} was expected: {cause}") from error

    def _attribute(self, module: ModuleType, name: str) -> T:
        origin = getattr(module, "__file__", None) or module.__name__
        try:
            thing: T = attrgetter(name)(module)
        except AttributeError:
            raise DeclarationError(
                f"Expected a {self.kind} named {name!r} in {origin}, which has no such variable. "
                f"Declare it as `{self.attribute} = …`, or say which variable holds it: 'package.module:variable'."
            ) from None
        self._check_type(thing, f"{name!r} in {origin}")
        return thing

    def _check_type(self, thing: object, what: str) -> None:
        if not self.expected:
            return
        module, _, name = self.expected.partition(":")
        wanted: type = getattr(import_module(module), name)
        if not isinstance(thing, wanted):
            got = type(thing).__name__
            raise DeclarationError(f"Expected {what} to be a {module}.{name}, got one of type {got}. Assign a {name}.")

    def _warn_duplicate(self, name: str, kept: Source, dropped: Source) -> None:
        message = (
            f"Two {self.kind} declarations share the id {name!r}: that of distribution {kept.distribution!r} "
            f"({kept.target}) is used, that of {dropped.distribution!r} ({dropped.target}) is left out. Rename one."
        )
        warnings.warn(message, PluginWarning, stacklevel=4)


def _distribution(point: EntryPoint) -> str:
    return (point.dist and point.dist.name) or "unknown"


def _in_order(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Goalscope's own first, then by name: who wins an id must not depend on the order of ``sys.path``."""
    return sorted(points, key=lambda p: (_distribution(p) != "goalscope", _distribution(p), p.name))


def _contributed(point: EntryPoint) -> Iterator[tuple[str, str]]:
    """The ids that an entry point contributes, each with its target."""
    target = point.value.partition("[")[0].replace(" ", "")
    folders = [] if ":" in target else _package_folders(target)
    if not folders:
        yield point.name, target
    for module in iter_modules(folders):
        if not module.name.startswith("_"):
            yield module.name, f"{target}.{module.name}"


def _package_folders(package: str) -> list[str]:
    """The folders of a package, found without importing it or its parents; none if it is a module or is missing."""
    top, *rest = package.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # a malformed name; loading it will say so
        return []
    folders = [Path(location, *rest) for location in (spec and spec.submodule_search_locations) or []]
    return [str(folder) for folder in folders if folder.is_dir()]


def _split(target: str) -> tuple[str, str]:
    """Module or path, and attribute (empty if none is named); a drive's colon belongs to the path."""
    place, colon, attribute = target.rpartition(":")
    return (place, attribute) if colon and not target.endswith(".py") else (target, "")


def _from_file(path: Path) -> ModuleType:
    """Import a file under a name made of its path and content, so that an edited file is loaded anew."""
    content = path.read_bytes()
    name = f"goalscope_file_{blake2b(str(path.resolve()).encode() + content, digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # always so for a name that ends in .py
    module = sys.modules[name] = module_from_spec(spec)  # first, because dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _where(error: BaseException) -> str:
    """The file and line whose import failed: the deepest module that was being run."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}:{error.lineno})"  # the module was never run
    lines = [
        f"{frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__) if frame.name == "<module>"
    ]
    return f" ({lines[-1]})" if lines else ""


FAMILIES: Registry[Family] = Registry("goalscope.envs", "FAMILY", "family", "goalscope.envs.family:Family")
DETECTORS: Registry[Detector] = Registry(
    "goalscope.detectors", "DETECTOR", "detector", "goalscope.detectors.base:Detector"
)
SUITES: Registry[Suite] = Registry("goalscope.suites", "SUITE", "suite", "goalscope.suites.suite:Suite")
RECIPES: Registry[Recipe] = Registry("goalscope.recipes", "RECIPE", "recipe", "goalscope.agents.recipe:Recipe")
ARCHITECTURES: Registry[Architecture] = Registry("goalscope.architectures", "ARCHITECTURE", "architecture")
LEARNERS: Registry[Learner] = Registry("goalscope.learners", "LEARNER", "learner", "goalscope.agents.learner:Learner")
