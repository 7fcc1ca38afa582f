"""Settings that every test shares."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: the first example may compile a kernel. On CI the same examples each time, so that red means a change.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
