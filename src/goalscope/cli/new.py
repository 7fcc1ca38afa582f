"""``goalscope new``: a working family in one file, and its test; a working detector in one file."""

from __future__ import annotations

from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from re import fullmatch
from string import Template
from typing import Annotated

import typer

from goalscope.errors import GoalscopeError
from goalscope.files import write_whole
from goalscope.registry import DETECTORS, FAMILIES

new_app = typer.Typer(no_args_is_help=True, help="Start something of your own.")

ASSETS = Path(__file__).parent / "assets"
NAME = r"[a-z][a-z0-9_]*"
"""What a module may be called here."""


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


@new_app.command("detector")
def detector(
    path: Annotated[Path, typer.Argument(help="The file to write, such as ./my_method.py.")],
) -> None:
    """Write a small detector that works."""
    _check_detector_path(path)
    _make_folder(path.parent)
    _fill("detector.py.txt", path, path.stem)
    typer.echo(f"Wrote {path}.\n\n{_next_steps_of_detector(path)}")


def _check_detector_path(path: Path) -> None:
    """A detector's name is its file's: results are filed under it."""
    if path.suffix != ".py" or not fullmatch(NAME, path.stem) or iskeyword(path.stem):
        raise GoalscopeError(
            f"A detector is a file such as ./my_method.py: a small letter, then letters, digits and underscores; "
            f"got {str(path)!r}."
        )
    if path.stem in DETECTORS.sources:
        taken = DETECTORS.sources[path.stem].distribution
        raise GoalscopeError(
            f"There is a detector {path.stem!r} already, from distribution {taken!r}; choose another name."
        )
    if path.exists():
        raise GoalscopeError(f"{path} is there already; choose another name.")


def _check_name(name: str) -> None:
    """A family's name is a module's name: it must be one, and must not hide another."""
    if not fullmatch(NAME, name) or iskeyword(name):
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
    here = _here(family)
    return (
        "Next:\n"
        f"1. Check it:     goalscope check env {here}\n"
        f"2. Look at it:   goalscope levels {here} --shift apart --paths --out {name}.png\n"
        "3. Register it, in the pyproject.toml of your package:\n\n"
        '   [project.entry-points."goalscope.envs"]\n'
        f'   {name} = "your_package.{name}"'
    )


def _next_steps_of_detector(path: Path) -> str:
    here = _here(path)
    return (
        "Next:\n"
        f"1. Check it:   goalscope check detector {here}\n"
        f"2. Rank it:    goalscope run smoke --detector {here}\n"
        "3. Register it, in the pyproject.toml of your package:\n\n"
        '   [project.entry-points."goalscope.detectors"]\n'
        f'   {path.stem} = "your_package.{path.stem}"'
    )


def _here(path: Path) -> str:
    """A path as the command line takes it for a file."""
    return str(path) if path.is_absolute() else f"./{path.as_posix()}"
