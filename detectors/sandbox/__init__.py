"""Outside code in a process of its own: without network, read-only, within limits, and never told what is asked for.

The agent stays on this side, whatever the track. The other side has a handle that asks for every number, and gets what
the track allows within the budget; so there the tracks are not audited but enforced.
"""

from __future__ import annotations

from goalscope.detectors.sandbox.outside import Description, Limits, Outside, is_ours, sandboxed

__all__ = ["Description", "Limits", "Outside", "is_ours", "sandboxed"]
