"""The command line: ``goalscope list``, ``check``, ``new``, ``levels`` and ``play``.

Every command imports what it needs when it runs, so that ``goalscope --help`` answers at once.
"""

from goalscope.cli.app import app, main

__all__ = ["app", "main"]
