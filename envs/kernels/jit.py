"""The one decorator every kernel wears: compiled once, cached where the user can write, never stale.

Numba's own cache keys a function by its own file, so an edit in an inlined helper's file gives stale results, and it
fails at import where the package's folder is read-only. Here the key is a hash of *all* kernel sources, and the cache
lies in the user's cache folder; where that cannot be written either, kernels are compiled afresh without a cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import platformdirs

# Numba picks the first threading layer it finds; `workqueue` is 11 × slower than OpenMP on small batches.
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")

import numba  # noqa: E402
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator  # noqa: E402

njit: Any = numba.njit  # the stubs know only the commonest of its options

F = TypeVar("F", bound=Callable[..., Any])

# Kernels own no memory, so nothing is reference-counted: with counting, the tuples of arrays that helpers pass on made
# a step many times slower. Helpers are never called from Python, so they need no wrappers (a third of compile time).
BARE: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}

CACHE_VARIABLE = "GOALSCOPE_CACHE"


def cache_root() -> Path:
    """The folder for everything Goalscope may keep between runs: $GOALSCOPE_CACHE, else the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("goalscope"))


def source_hash(folder: Path) -> str:
    """A hash over the names and bytes of all kernel sources in `folder`."""
    digest = blake2b(digest_size=10)
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def kernel_cache() -> Path | None:
    """The writable folder of today's kernels, or None where there is none."""
    folder = cache_root() / "kernels" / source_hash(Path(__file__).parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


class _Locator(_CacheLocator):
    """Tells Numba where a function's compiled code lies and which sources it stands for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"

    @classmethod
    def from_function(cls, function: Callable[..., Any], py_file: str) -> _Locator:
        return cls(function)

    def get_cache_path(self) -> str:
        return str(kernel_cache())

    def get_source_stamp(self) -> str:
        return Path(self.get_cache_path()).name

    def get_disambiguator(self) -> str:
        return self._name


class _Implementation(CompileResultCacheImpl):
    _locator_classes = cast(Any, [_Locator])


class _KernelCache(FunctionCache):
    _impl_class = _Implementation


_FunctionCache: Any = _KernelCache  # its base has no annotations


def kernel(*, parallel: bool = False, allocates: bool = False) -> Callable[[F], F]:
    """Compile a function that is called from Python, with the cache described above.

    One that `allocates` arrays of its own is compiled with reference counting.
    """

    def wrap(function: F) -> F:
        options = {"parallel": parallel, "nogil": True, "_nrt": allocates, "error_model": "numpy"}
        compiled: Any = njit(**options)(function)
        if kernel_cache() is not None:
            compiled._cache = _FunctionCache(function)
        kernel: F = compiled
        return kernel

    return wrap


def inline(function: F) -> F:
    """Compile a small helper that is always inlined into the kernels that call it."""
    compiled: F = njit(forceinline=True, **BARE)(function)
    return compiled


def helper(function: F) -> F:
    """Compile a larger helper that stays a function of its own, for parts that run rarely."""
    compiled: F = njit(**BARE)(function)
    return compiled
