"""Outside code in a process of its own: without network, read-only, within limits, and never told what is asked for.

The agent stays on this side, whatever the track. The other side has a handle that asks for every number, and gets what
the track allows within the budget; so there the tracks are not audited but enforced.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goalscope.detectors.sandbox.outside import Description, Limits, Outside, is_ours, sandboxed

__all__ = ["Description", "Limits", "Outside", "is_ours", "sandboxed"]


def __getattr__(name: str) -> Any:
    """This side's part needs torch, which takes seconds; the other side begins in this package too, and does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.outside"), name)
