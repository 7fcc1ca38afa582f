"""Settings that every test shares."""

from __future__ import annotations

import os

# Several processes share the tests, and tiny networks are slower on several threads: up to 30 times to draw weights.
# Before torch is imported, which reads it then.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# No deadline: the first example may compile a kernel. On CI the same examples each time, so that red means a change.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
