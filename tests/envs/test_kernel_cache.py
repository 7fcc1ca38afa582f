"""Compiled kernels: compiled once for all families, never stale, and usable where nothing can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import goalscope
from goalscope.envs.kernels.jit import kernel_cache, source_hash
from goalscope.envs.kernels.mazes import hash_rows

PACKAGE = Path(goalscope.__file__).parent
KERNELS = sorted((PACKAGE / "envs" / "kernels").glob("*.py"))

FULL_USE = """
import sys
import numpy as np
from goalscope.envs.engine import Engine
from goalscope.envs.sampling import Distribution, draw_twins
from goalscope.envs.pursuit import distances
from goalscope.registry import FAMILIES

def use(name):
    family = FAMILIES.load(name)
    for shift in family.shifts:
        distribution = Distribution(family, shift.name, split="train" if shift.name == "train" else "query")
        levels = distribution.draw(range(4))
        for factor in family.factors:
            draw_twins(distribution, levels, factor)
        for view in ("full", "ego", "planes"):
            for threads in THREADS:
                display = family.look(distribution.settings)
                engine = Engine(levels, family, view, display=display, threads=threads)
                engine.reset()
                engine.step(np.zeros(4, int))

def report():
    import goalscope.envs.kernels.jit as jit
    missed = hit = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("goalscope.envs.kernels"):
            for value in vars(module).values():
                stats = getattr(value, "stats", None)
                if stats is not None and value.__module__ == name:
                    missed += sum(stats.cache_misses.values())
                    hit += sum(stats.cache_hits.values())
    print(missed, hit, jit.kernel_cache())
"""


def run(code: str, **environment: str) -> list[str]:
    """The words that a fresh Python process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def use_of(*families: str, threads: tuple[int, ...] = (1,)) -> str:
    """A program that makes full use of families and prints cache misses, hits and the cache's folder."""
    uses = "\n".join(f"use({name!r})" for name in families)
    return f"THREADS = {threads}\n{FULL_USE}\n{uses}\nreport()"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# -------------------------------------------------------------------------------------------------- compiled only once


def test_what_one_family_has_compiled_serves_the_others() -> None:
    if kernel_cache() is None:
        pytest.fail("the tests need a writable cache folder, or every run compiles everything")
    run(use_of("coin_dish"))
    missed, hit, _ = run(use_of("coin_corner", "colour_shape"))
    assert int(missed) == 0 and int(hit) >= 5


@pytest.mark.slow
def test_a_cache_warmed_by_one_family_gains_no_file_from_the_others(tmp_path: Path) -> None:
    missed, _, _ = run(use_of("coin_dish", threads=(1, 2)), GOALSCOPE_CACHE=str(tmp_path))
    warm = files(tmp_path)
    assert int(missed) >= 6 and len(warm) > 10
    missed, hit, _ = run(use_of("coin_corner", "colour_shape", threads=(1, 2)), GOALSCOPE_CACHE=str(tmp_path))
    assert files(tmp_path) == warm and int(missed) == 0 and int(hit) >= 6


# ---------------------------------------------------------------------------------------------------------- never stale

HASH = """
import numpy as np
from goalscope.envs.kernels.jit import kernel_cache
from goalscope.envs.kernels.mazes import hash_rows
import goalscope
hashes = np.zeros(2, np.uint64)
hash_rows(np.arange(22, dtype=np.uint8).reshape(2, 11), hashes)
print(goalscope.__file__, kernel_cache(), sum(hash_rows.stats.cache_misses.values()), *hashes)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, links followed, that a process with PYTHONPATH set to its parent imports."""
    copy = tmp_path / "site" / "goalscope"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    return copy


def hashed(package: Path, cache: Path) -> tuple[str, int, list[str]]:
    """Cache folder, cache misses and the two hashes that the copy computes."""
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    where, folder, missed, *hashes = run(HASH, PYTHONPATH=path, GOALSCOPE_CACHE=str(cache), PYTHONDONTWRITEBYTECODE="1")
    assert Path(where).parent == package
    return folder, int(missed), hashes


def here() -> list[str]:
    """The hashes that this process computes."""
    hashes = np.zeros(2, np.uint64)
    hash_rows(np.arange(22, dtype=np.uint8).reshape(2, 11), hashes)
    return [str(h) for h in hashes]


def test_an_edit_in_an_inlined_helper_of_another_file_is_compiled_afresh(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder, missed, hashes = hashed(package, cache)
    assert missed == 1 and hashes == here()
    assert hashed(package, cache) == (folder, 0, hashes)  # the second time it comes from the cache
    helper = package / "envs" / "kernels" / "rng.py"
    helper.write_text(helper.read_text().replace("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB"))
    edited_folder, missed, edited = hashed(package, cache)
    assert edited_folder != folder and missed == 1
    assert edited[0] != hashes[0] and edited[1] != hashes[1]
    helper.write_text(helper.read_text().replace("0xBF58476D1CE4E5BB", "0xBF58476D1CE4E5B9"))
    assert hashed(package, cache) == (folder, 0, hashes)


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.name)
def test_an_edit_in_any_kernel_source_is_another_cache(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source.parent, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    assert source_hash(tmp_path / "kernels") == source_hash(source.parent)
    copy = tmp_path / "kernels" / source.name
    copy.write_text(copy.read_text() + "\n")
    assert source_hash(tmp_path / "kernels") != source_hash(source.parent)


def test_a_new_or_renamed_kernel_source_is_another_cache(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = source_hash(tmp_path)
    (tmp_path / "b.py").write_text("")
    assert source_hash(tmp_path) != before
    (tmp_path / "b.py").unlink()
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert source_hash(tmp_path) != before


def test_kernels_import_no_code_that_the_cache_key_leaves_out() -> None:
    for source in KERNELS:
        for line in source.read_text().splitlines():
            if line.startswith(("from goalscope", "import goalscope")):
                assert line.startswith("from goalscope.envs.kernels."), (source.name, line)


# -------------------------------------------------------------------------------------------------- nothing is writable


def test_without_a_writable_cache_a_read_only_install_compiles_and_works(package: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("no folder can be made below")
    before = files(tmp_path)
    for path in [package, *package.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        folder, _, hashes = hashed(package, in_the_way)
    finally:
        for path in [package, *package.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert folder == "None" and hashes == here()
    assert files(tmp_path) == before


def test_the_cache_lies_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from goalscope.envs.kernels.jit import cache_root

    monkeypatch.setenv("GOALSCOPE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("GOALSCOPE_CACHE")
    assert cache_root().name == "goalscope"
