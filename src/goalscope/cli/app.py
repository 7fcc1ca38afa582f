"""The command ``goalscope`` itself: its subcommands, its version, and how it reports errors."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from goalscope import __version__
from goalscope.cli.check import check_app
from goalscope.cli.diff import diff
from goalscope.cli.docs import docs
from goalscope.cli.draw import levels
from goalscope.cli.listing import list_app
from goalscope.cli.new import new_app
from goalscope.cli.pilot import pilot
from goalscope.cli.play import play
from goalscope.cli.population import page
from goalscope.cli.reliability import reliability
from goalscope.cli.run import run
from goalscope.cli.score import report, score
from goalscope.cli.zoo import zoo_app
from goalscope.errors import GoalscopeError, PluginWarning


class Front(TyperGroup):
    """Answers every error raised on purpose with one message and exit code 2 instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("always", PluginWarning)
            _print_plugin_warnings()
            try:
                return super().invoke(ctx)
            except GoalscopeError as error:
                if ctx.params.get("debug"):
                    raise
                typer.echo(f"Error: {error}", err=True)
                raise typer.Exit(2) from error


def _print_plugin_warnings() -> None:
    """Warnings about plugins become one line on stderr until the enclosing `catch_warnings` ends."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, PluginWarning):
            typer.echo(f"Warning: {message}", err=True)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show


app = typer.Typer(
    cls=Front,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help needs no import of rich, which would double the time it takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(list_app, name="list")
app.add_typer(check_app, name="check")
app.add_typer(new_app, name="new")
zoo_app.command("page")(page)
app.add_typer(zoo_app, name="zoo")
app.command()(run)
app.command()(score)
app.command()(report)
app.command()(diff)
app.command()(reliability)
app.command()(levels)
app.command()(play)
app.command()(pilot)
app.command()(docs)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"goalscope {__version__}")
        raise typer.Exit


@app.callback()
def front(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GOALSCOPE_DEBUG", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Gridworlds in which an agent's training score cannot say which goal it learned.

    A FAMILY or TARGET is an id from `goalscope list envs`, a module (`package.module`, `package.module:VARIABLE`) or a
    file (`./my_world.py`).
    """


def main() -> None:
    """Run the command line; the entry point ``goalscope``."""
    app()
