"""Every error Goalscope raises on purpose.

GoalscopeError
├── UnknownNameError      a family, shift, knob, goal … that does not exist (offers close matches)
├── KnobError             a knob got a value outside its declared type or bounds
├── LevelError            arrays or ASCII that do not describe a level
├── DeclarationError      a family, rule or goal that contradicts itself
├── LoadError             a module or file with a family, detector, suite or recipe that cannot be imported
├── SamplingError         a distribution from which no acceptable level could be drawn
├── UnsupportedError      a foreign environment with mechanics the engine does not have
├── ProtocolError         a detector did what the protocol does not allow
│   ├── ForbiddenError    … looked at what its track may not see, or at frames nobody issued
│   ├── OverspentError    … asked for more than its budget
│   └── ForecastError     … returned something that is no evidence and no forecast
├── StorageError          a file that cannot be read, written or trusted
└── CheckFailure          a contract check that did not hold (says the likely cause)

PluginWarning             an outside package that could not be loaded; everything else goes on
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GoalscopeError(Exception):
    """Base of every error raised on purpose."""


class UnknownNameError(GoalscopeError, LookupError):
    """A name was looked up that nobody registered or declared."""


class KnobError(GoalscopeError, ValueError):
    """A knob got a value outside its declared type or bounds."""


class LevelError(GoalscopeError, ValueError):
    """Arrays or ASCII that do not describe a level."""


class DeclarationError(GoalscopeError, ValueError):
    """A declaration (family, rule, goal, thing) that contradicts itself."""


class LoadError(GoalscopeError, ImportError):
    """A module or file that was asked for could not be imported."""


class SamplingError(GoalscopeError, RuntimeError):
    """No acceptable level could be drawn from a distribution."""


class UnsupportedError(GoalscopeError, ValueError):
    """A foreign environment has mechanics the engine does not reproduce."""


class ProtocolError(GoalscopeError):
    """A detector did what the protocol does not allow."""


class ForbiddenError(ProtocolError, PermissionError):
    """A detector looked at what its track may not see, or at frames that nobody issued."""


class OverspentError(ProtocolError):
    """A detector asked for more than its budget."""


class ForecastError(ProtocolError, ValueError):
    """A detector returned something that is no evidence and no forecast."""


class StorageError(GoalscopeError):
    """A file that cannot be read, written or trusted."""


class CheckFailure(GoalscopeError, AssertionError):
    """A contract check did not hold."""


class PluginWarning(UserWarning):
    """An outside package could not be loaded and was left out."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a failed lookup, with close matches and the full list."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"There is no {kind} {name!r}.{hint} Known: {listing}.")
