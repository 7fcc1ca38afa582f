"""Who does the tasks changes no row: this process, several, a Ray cluster; nor does any of them being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.suites.made_up import AGENTS, TINY

from goalscope.errors import GoalscopeError, UnknownNameError
from goalscope.suites.executors import executor, executors
from goalscope.suites.plan import Plan, Task, plan
from goalscope.suites.rows import CIRCUMSTANCES, read_part
from goalscope.suites.run import execute

SUITE = replace(TINY, detectors=("./good.py", "value_gradient"))
"""Of an outside method, which has a process of its own, and one of ours, which has none."""
HAS_RAY = find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed: pip install goalscope[ray]")


@pytest.fixture
def todo(made: Path, monkeypatch: pytest.MonkeyPatch) -> Plan[Task]:
    monkeypatch.chdir(made)
    return plan(SUITE)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed."""

    rows: list[dict[str, Any]]
    seen: int
    """How many rows were on disk as the tasks that they are of were told to be done."""
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(made: Path) -> Undisturbed:
    seen: list[dict[str, Any]] = []
    folder = made / "expected"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        todo, started = plan(SUITE), time.monotonic()
        execute(todo, folder, 1, lambda task: seen.extend(read_part(folder / "rows" / task.part)), "inprocess")
        seconds = time.monotonic() - started
    return Undisturbed(rows(folder), len(seen), seconds)


@pytest.fixture
def expected(undisturbed: Undisturbed) -> list[dict[str, Any]]:
    return undisturbed.rows


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows in a fixed order, without what may differ between two runs."""
    found = [row for part in sorted((folder / "rows").glob("[!.]*")) for row in read_part(part)]
    kept = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in found
    ]
    for row in kept:
        for name in CIRCUMSTANCES:
            del row[name]
    return sorted(kept, key=lambda row: (row["key"], row["agent_id"]))


def test_executors_are_found_by_name() -> None:
    assert executors() == ["inprocess", "processes", "ray"]
    with pytest.raises(UnknownNameError, match="There is no executor 'proceses'. Did you mean 'processes'"):
        executor("proceses")


@pytest.mark.parametrize(("name", "workers"), [("inprocess", 1), ("processes", 2)])
def test_every_task_is_done_once(name: str, workers: int) -> None:
    found = list(executor(name)(partial(pow, 2), range(7), workers, ""))
    assert sorted(found) == [(n, 2**n) for n in range(7)]


def test_processes_give_the_rows_of_one_process(
    todo: Plan[Task], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    done: list[str] = []
    execute(todo, tmp_path, 2, lambda task: done.append(task.part), "processes")
    assert sorted(done) == sorted(task.part for task in todo.tasks) and len(done) == 8
    assert rows(tmp_path) == expected and len(expected) == 8 * AGENTS


def test_a_task_is_told_when_its_rows_are_on_disk(undisturbed: Undisturbed) -> None:
    assert undisturbed.seen == 8 * AGENTS


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_one_error_says_how_to_install_it() -> None:
    with pytest.raises(GoalscopeError, match=r"needs Ray: pip install 'goalscope\[ray\]'"):
        list(executor("ray")(partial(pow, 2), range(2), 1, ""))


# Killed at any time

RUN = """
import sys
from pathlib import Path
from tests.suites.test_executors import SUITE
from goalscope.suites.plan import plan
from goalscope.suites.run import execute

todo = plan(SUITE)
print("ready", flush=True)
execute(todo, Path(sys.argv[1]), 2, lambda task: None, sys.argv[2])
"""


def begin(folder: Path, how: str) -> subprocess.Popen[bytes]:
    """A run in a process group of its own, about to begin."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, "-c", RUN, str(folder), how]
    running = subprocess.Popen(command, start_new_session=True, env=environment, stdout=subprocess.PIPE)
    assert running.stdout is not None and running.stdout.readline() == b"ready\n"
    return running


def killed_at_random(folder: Path, how: str, times: int, whole: float, rng: np.random.Generator) -> None:
    """Begin a run again and again, and kill -9 its processes at a moment drawn from all the seconds that one takes.

    When nothing is left to do, some parts are deleted, so that every kill may interrupt something.
    """
    for _ in range(times):
        running = begin(folder, how)
        try:
            running.communicate(timeout=rng.uniform(0, whole))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
        found = sorted((folder / "rows").glob("[!.]*"))
        assert all(len(read_part(part)) == AGENTS for part in found)
        if len(found) == 8:
            for part in found[: rng.integers(3, 9)]:
                part.unlink()


@pytest.mark.parametrize(("how", "times"), [("inprocess", 2), pytest.param("processes", 20, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_a_run_killed_at_random_moments_ends_with_the_same_rows(
    how: str, times: int, todo: Plan[Task], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    killed_at_random(tmp_path, how, times, undisturbed.seconds, np.random.default_rng(times))
    execute(todo, tmp_path, 1, lambda task: None, "inprocess")
    assert rows(tmp_path) == undisturbed.rows


# Ray


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A node of one processor, to which this process is connected, so that others of this machine may be killed."""
    import ray
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=found.address, log_to_driver=False)
    try:
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
def test_ray_gives_the_same_rows_though_a_worker_and_a_node_are_killed(
    todo: Plan[Task], expected: list[dict[str, Any]], tmp_path: Path, cluster: Any
) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    seen: list[str] = []

    def disturb(task: Any) -> None:
        """After the first task kill the workers of all nodes, after the third the second node."""
        seen.append(task.part)
        if len(seen) == 1:
            assert kill_workers() > 0
        if len(seen) == 3:
            cluster.remove_node(second, allow_graceful=False)

    execute(todo, tmp_path, 2, disturb, "ray", cluster.address)
    assert len(seen) == 8 and rows(tmp_path) == expected


def kill_workers() -> int:
    """Kill every process of ours that works for Ray; how many there were."""
    found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_worker(pid)]
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def is_worker(pid: int) -> bool:
    """Whether a process does tasks, or waits for some, for the Ray of this process: its title says so."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        return title.startswith((b"ray::<lambda>", b"ray::IDLE")) and _descends(pid)
    except OSError:
        return False


def _descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_on_this_machine_gives_the_same_rows(
    todo: Plan[Task], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    execute(todo, tmp_path, 2, lambda task: None, "ray")
    assert rows(tmp_path) == expected


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_a_task_raises_on_ray_is_raised_here() -> None:
    with pytest.raises(GoalscopeError, match="broken on purpose"):
        list(executor("ray")(broken, range(2), 1, ""))


def broken(number: int) -> int:
    raise GoalscopeError("broken on purpose")
