"""``goalscope new``: a working family in one file, and its test."""

from __future__ import annotations

from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from re import fullmatch
from string import Template
from typing import Annotated

import typer

from goalscope.cli.files import write_whole
from goalscope.errors import GoalscopeError
from goalscope.registry import FAMILIES

new_app = typer.Typer(no_args_is_help=True, help="Start something of your own.")

ASSETS = Path(__file__).parent / "assets"


@new_app.command("env")
def env(
    name: Annotated[str, typer.Argument(help="Id of the family, such as my_world.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("."),
) -> None:
    """Write NAME.py, a small family that works, and test_NAME.py."""
    _check_name(name)
    family, test = out / f"{name}.py", out / f"test_{name}.py"
    for path in (family, test):
        if path.exists():
            raise GoalscopeError(f"{path} is there already; choose another name or another folder (--out).")
    _make_folder(out)
    _fill("family.py.txt", family, name)
    _fill("test_family.py.txt", test, name)
    typer.echo(f"Wrote {family} and {test}.\n\n{_next_steps(family, name)}")


def _check_name(name: str) -> None:
    """A family's name is a module's name: it must be one, and must not hide another."""
    if not fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise GoalscopeError(
            f"A family's name is its file's: a small letter, then letters, digits and underscores, and not a word of "
            f"Python; got {name!r}."
        )
    if name in FAMILIES.sources:
        taken = FAMILIES.sources[name].distribution
        raise GoalscopeError(f"There is a family {name!r} already, from distribution {taken!r}; choose another name.")
    if find_spec(name) is not None:
        raise GoalscopeError(
            f"{name!r} is the name of another module, which {name}.py would hide; choose another name."
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoalscopeError(f"Could not make the folder {folder}: {error.strerror}.") from error


def _fill(asset: str, path: Path, name: str) -> None:
    text = Template((ASSETS / asset).read_text(encoding="utf-8")).substitute(name=name)
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _next_steps(family: Path, name: str) -> str:
    here = family if family.is_absolute() else f"./{family.as_posix()}"
    return (
        "Next:\n"
        f"1. Check it:     goalscope check env {here}\n"
        f"2. Look at it:   goalscope levels {here} --shift apart --paths --out {name}.png\n"
        "3. Register it, in the pyproject.toml of your package:\n\n"
        '   [project.entry-points."goalscope.envs"]\n'
        f'   {name} = "your_package.{name}"'
    )
