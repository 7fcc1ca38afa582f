"""How the other process is started: by bubblewrap behind walls, else plain, which is said once.

Behind walls there is no network, no other process to be seen, and a file system of the few folders that Python and its
packages lie in, read-only. Zoos lie in none of them, or in one over which an empty folder is laid.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import goalscope
from goalscope.envs.kernels.jit import CACHE_VARIABLE, cache_root, kernel_cache

SCRATCH = Path("/scratch")
"""The temporary folder, behind walls."""
SCRATCH_BYTES = 256 << 20
SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
)
MODULE = "goalscope.detectors.sandbox.child"
CLOSED = (
    "--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try "
    "--die-with-parent --new-session --as-pid-1 --cap-drop ALL --clearenv"
).split()


@cache
def has_walls() -> bool:
    """Whether bubblewrap works here; where it does not, that is said on standard error, once."""
    found = shutil.which("bwrap")
    if found:
        done = subprocess.run([found, *CLOSED, *_bound("/usr", *SYSTEM), "/usr/bin/true"], capture_output=True)
        if done.returncode == 0:
            return True
    why = "does not work here" if found else "is not installed"
    print(
        f"Warning: bubblewrap (`bwrap`) {why}, so detectors from outside run in a plain process with limits. That "
        "stops accidents, not ill will: run only code that you trust, or install bubblewrap.",
        file=sys.stderr,
    )
    return False


def zoo_folders() -> list[Path]:
    """Where zoos lie: with the package, and in the user's cache."""
    return [Path(goalscope.__file__).parent.joinpath("agents", "zoos").resolve(), (cache_root() / "zoos").resolve()]


def command(files: Sequence[Path], hidden: Sequence[Path], *, walled: bool) -> list[str]:
    """What starts the other process; `files` are shown to it beside packages."""
    python = [sys.executable, "-P", "-m", MODULE]
    if not walled:
        return python
    shown = [*SYSTEM, *_packages(), *map(str, files)]
    kernels = kernel_cache()
    if kernels is not None:
        shown.append(str(kernels))
    masks = [word for folder in _masked(hidden, shown) for word in ("--tmpfs", str(folder))]
    rest = ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", *masks]
    scratch = ["--size", str(SCRATCH_BYTES), "--tmpfs", str(SCRATCH), "--remount-ro", "/", "--chdir", str(SCRATCH)]
    settings = [word for name, value in environment(SCRATCH).items() for word in ("--setenv", name, value)]
    return ["bwrap", *CLOSED, *_bound(*shown), *rest, *scratch, *settings, "--", *python]


def environment(scratch: Path) -> dict[str, str]:
    """The other process's environment: nothing of the user's, one thread, and caches in the temporary folder."""
    one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(_import_folders()),
        CACHE_VARIABLE: str(scratch / "cache"),
        **dict.fromkeys(one_thread, "1"),
    }


def _import_folders() -> list[str]:
    """Where packages are imported from, but for the folder that the user happens to be in."""
    return [path for path in sys.path if path and Path(path).is_dir() and Path(path).resolve() != Path.cwd()]


def _packages() -> list[str]:
    """Folders that Python, installed packages, and this one's parts lie in, the latter perhaps by links."""
    root = Path(goalscope.__file__).parent
    parts = [str(folder.resolve()) for folder in root.iterdir() if folder.is_symlink()]
    return [sys.base_prefix, sys.prefix, *_import_folders(), str(root.resolve()), *parts]


def _bound(*paths: str) -> list[str]:
    """Each path where it is, read-only; those of links that are none are shown as what they link to."""
    return [word for path in dict.fromkeys(paths) if Path(path).exists() for word in ("--ro-bind", path, path)]


def _masked(hidden: Sequence[Path], shown: Sequence[str]) -> list[Path]:
    """Where hidden folders are to be seen; a path that leads over links is shown as if it were none."""
    return [
        Path(path) / folder.relative_to(Path(path).resolve())
        for path in dict.fromkeys(shown)
        for folder in hidden
        if folder.exists() and folder.is_relative_to(Path(path).resolve())
    ]
