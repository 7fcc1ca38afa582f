"""The command line in this process, for tests of what it prints and of what it says to impossible input."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from goalscope.cli import app


def goalscope(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def output(*arguments: str | Path) -> str:
    done = goalscope(*arguments)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def complaint(*arguments: str | Path) -> str:
    """The one line that a command answers to input it cannot use."""
    done = goalscope(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    return str(done.stderr)
