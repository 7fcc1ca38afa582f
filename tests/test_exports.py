"""Public names: what is promised exists, and what is drawn is true."""

from __future__ import annotations

import re
from importlib import import_module
from os import walk
from pathlib import Path

import pytest

import goalscope
from goalscope import errors

FRONT = Path(goalscope.__file__).parent


def packages() -> list[str]:
    folders = [Path(folder) for folder, _, files in walk(FRONT, followlinks=True) if "__init__.py" in files]
    return sorted(".".join(folder.relative_to(FRONT.parent).parts) for folder in folders)


@pytest.mark.parametrize("package", packages())
def test_every_exported_name_exists_once(package: str) -> None:
    module = import_module(package)
    exported = list(getattr(module, "__all__", []))
    assert [name for name in exported if not hasattr(module, name)] == []
    assert len(exported) == len(set(exported))


def drawn_tree() -> dict[str, str]:
    """Each class in the drawing at the head of errors.py, with the one it hangs from."""
    above = ["GoalscopeError"]
    tree: dict[str, str] = {}
    for branch, name in re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(branch) // 4
        tree[name] = above[depth - 1]
        above[depth:] = [name]
    return tree


def test_the_drawn_error_tree_is_the_class_tree() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.GoalscopeError)]
    actual = {c.__name__: c.__bases__[0].__name__ for c in classes if c is not errors.GoalscopeError}
    assert drawn_tree() == actual
