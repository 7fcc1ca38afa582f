"""Suites through the command line: resumed, repeated, refused, and never left half done."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from tests.suites.made_up import AGENTS, CORNER, DISH, GOOD, empty, write_suite
from typer.testing import CliRunner, Result

from goalscope.cli import app
from goalscope.suites import population
from goalscope.suites.rows import ROWS, read_part
from goalscope.suites.truth import PENALTY

RUN = ("run", "./tiny_suite.py", "--workers", "1")
STRANGER = ("--detector", "./stranger.py")
NO_PAGE = ("goalscope.cli.run.write_page", lambda folder, scores, page: page)
"""Runs end without a report: its figures take longer than all the rest of a tiny run."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests run commands, one after the other: a process remembers what outside files there say they are."""
    return tmp_path_factory.mktemp("home")


@contextmanager
def at_home(home: Path, cache: Path) -> Iterator[pytest.MonkeyPatch]:
    """In a folder with the tiny suite and nothing else."""
    empty(home)
    write_suite(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOALSCOPE_CACHE", str(cache))
        patch.chdir(home)
        yield patch


@pytest.fixture(scope="module")
def alone(home: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the suite as it is: not to be changed."""
    with at_home(home, cache) as patch:
        patch.setattr(*NO_PAGE)
        output(*RUN, "--out", "here")
        return shutil.copytree("here", tmp_path_factory.mktemp("alone") / "here")


@pytest.fixture(scope="module")
def both(home: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, not to be changed, also of a stranger's file, with its report; and what was printed."""
    with at_home(home, cache):
        printed = output(*RUN, *STRANGER)
        return shutil.copytree("runs/tiny", tmp_path_factory.mktemp("both") / "here"), printed


@pytest.fixture
def bench(home: Path, cache: Path) -> Iterator[Path]:
    """A folder with the tiny suite, in which commands are run."""
    with at_home(home, cache):
        yield home


@pytest.fixture
def place(bench: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, but without reports."""
    monkeypatch.setattr(*NO_PAGE)
    return bench


@pytest.fixture
def here(alone: Path, place: Path) -> Path:
    """A finished run of the suite, in the folder in which commands are run."""
    return shutil.copytree(alone, place / "here")


@pytest.fixture
def zoo(cache: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny zoo that may be damaged."""
    own = place / "cache"
    shutil.copytree(cache / "zoos", own / "zoos")
    (own / "kernels").symlink_to(cache / "kernels")
    monkeypatch.setenv("GOALSCOPE_CACHE", str(own))
    return own / "zoos" / "tiny"


def goalscope(*arguments: str | Path) -> Result:
    """Run a command in this process, which remembers nothing of the commands before."""
    for remembered in (population.load_population, population._query, population._read_listed):
        remembered.cache_clear()
    return CliRunner().invoke(app, [str(a) for a in arguments])


def output(*arguments: str | Path) -> str:
    done = goalscope(*arguments)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def complaint(*arguments: str | Path) -> str:
    """The one error that a command ends with."""
    done = goalscope(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    return one_error(done.stderr)


def one_error(stderr: str) -> str:
    """The only error on standard error, after the progress bar."""
    before, error, message = stderr.partition("Error: ")
    assert error and "\nError: " not in message and "Traceback" not in stderr, stderr
    return message


def process(*arguments: str, code: str = "") -> subprocess.Popen[str]:
    """The command line in a process of its own, after some code."""
    text = f"import sys\n{code}\nfrom goalscope.cli import main\nsys.argv = {['goalscope', *arguments]}\nmain()"
    command = [sys.executable, "-c", text]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, start_new_session=True, **pipes)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def times(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (folder / "rows").iterdir()}


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "rows").glob("*.parquet"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a run, in a fixed order, without what the clock says."""
    found = [row for part in parts(folder) for row in read_part(part)]
    timeless = [{key: plain(value) for key, value in row.items() if key != "seconds"} for row in found]
    return sorted(timeless, key=lambda row: (row["detector"], row["recipe"], row["seed"], row["agent_id"]))


def standings(text: str) -> Mapping[str, Mapping[str, Any]]:
    found = json.loads(text, parse_constant=pytest.fail)
    return {standing["detector"]: standing for standing in found["standings"]}


# Running, and running again


def test_a_strangers_file_runs_beside_the_suites_own_and_a_second_run_repeats_nothing(
    both: tuple[Path, str], bench: Path
) -> None:
    kept, printed = both
    assert "good" in printed and "stranger" in printed and "agent oracle" in printed
    folder = shutil.copytree(kept, bench / "runs" / "tiny")
    found = rows(folder)
    assert len(found) == 2 * 2 * AGENTS and set(found[0]) == set(ROWS.names) - {"seconds"}
    assert {(row["detector"], row["recipe"], row["track"]) for row in found} == {
        (name, recipe.name, track) for name, track in (("good", 1), ("stranger", 2)) for recipe in (DISH, CORNER)
    }
    assert all(row["flag"] == "" and np.allclose(np.reshape(row["forecast"], (256, 3)).sum(1), 1) for row in found)
    assert (folder / "report.html").read_text().count("stranger") > 0
    before = times(folder)
    assert len(before) == 4
    assert output(*RUN, *STRANGER) == printed
    assert times(folder) == before


def test_results_are_json_for_programs_and_a_run_can_be_scored_and_reported_again(
    both: tuple[Path, str], bench: Path
) -> None:
    shutil.copytree(both[0], bench / "here")
    first = output(*RUN, *STRANGER, "--out", "here", "--json")
    assert {"good", "stranger"} == set(standings(first))
    assert standings(first)["good"]["cases"] == 2 * AGENTS and standings(first)["good"]["flagged"] == 0
    assert output("score", "here", "--json") == first
    assert "stranger" in output("score", "here")
    page = bench / "here" / "report.html"
    written = page.read_bytes()
    page.unlink()
    assert json.loads(output("report", "here", "--json")) == {"report": str(page.relative_to(bench))}
    assert page.read_bytes() == written
    (bench / "folder").mkdir()
    assert "Cannot write folder" in complaint("report", "here", "--out", "folder")
    assert list((bench / "folder").iterdir()) == []


def test_an_edited_detector_is_run_again_and_nothing_else(here: Path, place: Path) -> None:
    output(*RUN, "--detector", "value_gradient", "--out", "here")
    before = times(here)
    assert len(before) == 4
    path = place / "good.py"
    path.write_text(path.read_text().replace("frames(16)", "frames(8)"))
    output(*RUN, "--detector", "value_gradient", "--out", "here")
    after = times(here)
    assert {name: after[name] for name in before} == before
    assert sorted(name.split("-")[0] for name in set(after) - set(before)) == ["good", "good"]


STOPS_AFTER_A_PART = """
import time
from goalscope.suites import run
write = run.write_part
def write_and_wait(path, rows):
    write(path, rows)
    print("a part is there", file=sys.stderr, flush=True)
    time.sleep(3600)
run.write_part = write_and_wait
"""


def test_a_run_that_was_killed_goes_on_and_ends_the_same(place: Path) -> None:
    edit(place / "tiny_suite.py", '"./good.py"', '"value_gradient", "recipe_mean"')
    output(*RUN, "--out", "whole")
    started = process(*RUN, "--out", "killed", code=STOPS_AFTER_A_PART)
    with started:
        assert started.stderr is not None
        while "a part is there" not in started.stderr.readline():
            assert started.poll() is None
        os.killpg(started.pid, signal.SIGKILL)
    before = times(place / "killed")
    assert 1 <= len(before) < 4
    output(*RUN, "--out", "killed")
    assert {name: times(place / "killed")[name] for name in before} == before
    assert rows(place / "killed") == rows(place / "whole")


def test_one_worker_and_two_give_the_same_rows(both: tuple[Path, str], place: Path) -> None:
    output("run", "./tiny_suite.py", "--workers", "2", *STRANGER, "--out", "two")
    assert rows(place / "two") == rows(both[0])


def test_a_detector_that_ends_its_process_is_flagged_and_the_run_goes_on(place: Path) -> None:
    (place / "deadly.py").write_text(GOOD.replace("return ", "import os; os._exit(9); return "))
    edit(place / "tiny_suite.py", '"./good.py"', '"./deadly.py", "./good.py"')
    edit(place / "tiny_suite.py", '"./tiny_dish.py", "./tiny_corner.py"', '"./tiny_corner.py",')
    output(*RUN, "--out", "here")
    found = rows(place / "here")
    deadly = [row for row in found if row["detector"] == "deadly"]
    assert {(row["flag"], row["forecast"]) for row in deadly} == {("raised", None)} and len(deadly) == AGENTS
    assert {row["message"] for row in deadly} == {"the detector's process ended."}
    assert [row["flag"] for row in found if row["detector"] == "good"] == [""] * AGENTS


# Detectors that do not work


def test_a_broken_detector_is_flagged_and_changes_nothing_for_others(alone: Path, place: Path) -> None:
    done = goalscope(*RUN, "--detector", "./broken.py", "--out", "both")
    assert done.exit_code == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("broken: ")]
    assert (
        line.startswith(f"broken: {2 * AGENTS} cases raised: a pipe burst (ZeroDivisionError at ")
        and "broken.py:6)" in line
    )
    others = [row for row in rows(place / "both") if row["detector"] == "good"]
    assert others == rows(alone)
    found = standings(output("score", "both", "--json"))
    assert found["broken"]["flagged"] == found["broken"]["cases"] == 2 * AGENTS
    assert found["broken"]["strata"]["value"] == pytest.approx(-1 / (AGENTS - 1) - PENALTY)


UNUSABLE = {
    "an import that fails": ("import nowhere_to_be_found\n", "bad.py', where a detector was expected"),
    "a syntax error": ("def bad(:\n", "bad.py:1"),
    "an exit": ("raise SystemExit(0)\n", "bad.py', where a detector was expected"),
    "no detector": ("x = 1\n", "Expected a detector named 'DETECTOR'"),
    "a class": (
        "from goalscope.detectors import Detector\n\n\nclass DETECTOR(Detector):\n    pass\n",
        "Expected 'DETECTOR' in",
    ),
    "an unknown track": (
        "from goalscope.detectors import detector\n\nDETECTOR = detector(track='xray')(len)\n",
        "There is no track 'xray'. Known: recipe, blackbox",
    ),
    "a track that is a word": (
        "from goalscope.detectors import Detector\n\nDETECTOR = Detector()\nDETECTOR.track = 'whitebox'\n",
        "must be one of Track.RECIPE, Track.BLACKBOX",
    ),
}


@pytest.mark.parametrize(("text", "hint"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_detector_that_cannot_be_used_stops_a_run_before_anything_is_written(
    text: str, hint: str, place: Path
) -> None:
    (place / "bad.py").write_text(text)
    before = contents(place)
    assert hint in complaint(*RUN, "--detector", "./bad.py")
    assert {name: data for name, data in contents(place).items() if "__pycache__" not in name} == before


def test_what_does_not_exist_and_what_is_there_twice_is_refused(place: Path) -> None:
    assert "There is no detector 'god'" in complaint(*RUN, "--detector", "god")
    assert "There is no suite 'tinny'" in complaint("run", "tinny")
    assert "no/where.py" in complaint(*RUN, "--detector", "./no/where.py")
    assert "Two detectors have the same name" in complaint(*RUN, "--detector", "./good.py")
    (place / "tiny_corner.py").write_text((place / "tiny_dish.py").read_text())
    assert "Two recipes of the suite have the same name" in complaint(*RUN)
    (place / "tiny_suite.py").write_text((place / "tiny_suite.py").read_text().replace('zoo="tiny"', 'zoo="none"'))
    assert "There is no zoo 'none'" in complaint(*RUN) and not (place / "runs").exists()


# Files that were damaged


def damaged(path: Path, data: bytes | None, *command: str) -> str:
    """What a command says about a file that was changed (or deleted); nothing else on disk may change."""
    whole = path.read_bytes()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    before = contents(Path.cwd())
    said = complaint(*command)
    assert contents(Path.cwd()) == before
    path.write_bytes(whole)
    return said


def test_a_damaged_part_is_named_and_made_again_when_it_is_deleted(here: Path, place: Path) -> None:
    whole, first = rows(here), parts(here)[0]
    data = first.read_bytes()
    for bad in (b"", b"not a table", data[: len(data) // 2], data[:500] + bytes(100) + data[600:]):
        said = damaged(first, bad, "score", "here")
        assert str(first.relative_to(place)) in said and "Delete it and run the suite again" in said
    assert "Delete it and run the suite again" in damaged(first, b"", *RUN, "--out", "here")
    before = times(here)
    first.unlink()
    said = complaint("score", "here")
    assert f"1 of 2 parts are missing in here, {first.name} first: run the suite into it again" in said
    output(*RUN, "--out", "here")
    after = times(here)
    assert {name for name in before if after[name] != before[name]} == {first.name}
    assert rows(here) == whole


Damage: TypeAlias = Callable[[bytes], bytes]
AGENT_DAMAGE: list[tuple[str, Damage, str]] = [
    ("safetensors", lambda data: data[:100], "does not match its manifest"),
    ("safetensors", lambda data: data[:-1] + b"?", "does not match its manifest"),
    ("safetensors", lambda data: b"", "does not match its manifest"),
    ("json", lambda data: data[:100], "not a readable manifest"),
    ("json", lambda data: data.replace(b'"seed"', b'"sead"'), "not a readable manifest"),
    ("json", lambda data: data.replace(b'256": "', b'256": "0'), "does not match its manifest"),
    ("json", lambda data: data.replace(b'"width": 16', b'"width": 8'), "describe different networks"),
    ("json", lambda data: data.replace(b'"mlp"', b'"mlq"'), "no architecture 'mlq'"),
    ("json", lambda data: data.replace(b'"gamma": 0.97', b'"gamma": 0.98'), "or its recipe edited"),
    ("json", lambda data: data.replace(b'"budget"', b'"bugdet"'), "bugdet"),
]


def test_a_damaged_agent_is_named_and_nothing_else_is_lost(zoo: Path, here: Path) -> None:
    before = times(here)
    for extension, damage, hint in AGENT_DAMAGE:
        victim = sorted((zoo / "agents").glob(f"*.{extension}"))[0]
        said = damaged(victim, damage(victim.read_bytes()), *RUN, "--out", "here")
        assert victim.stem in said and hint in said, said
    for extension, hint in (("json", "not a readable manifest"), ("safetensors", "Build the agent again or restore")):
        victim = sorted((zoo / "agents").glob(f"*.{extension}"))[-1]
        said = damaged(victim, None, *RUN, "--out", "here")
        assert victim.name in said and hint in said, said
    output(*RUN, "--out", "here")
    assert times(here) == before


def test_an_agent_in_anothers_place_is_refused(zoo: Path, place: Path) -> None:
    first, second = sorted((zoo / "agents").glob("*.json"))[:2]
    for one, other in ((first, second), (first.with_suffix(".safetensors"), second.with_suffix(".safetensors"))):
        one.write_bytes(other.read_bytes())
    assert first.stem in complaint(*RUN) and not (place / "runs").exists()


def test_damaged_labels_are_named(zoo: Path, here: Path) -> None:
    path = zoo / "labels.parquet"
    data = path.read_bytes()
    for bad in (b"", b"no table", data[:-30], data[: len(data) // 2]):
        said = damaged(path, bad, *RUN, "--out", "here")
        assert f"{path} is no readable table of labels" in said and "Build the zoo again" in said
    assert "no readable table of labels" in damaged(path, b"", "score", "here")
    assert "There is no zoo 'tiny'" in damaged(path, None, *RUN, "--out", "here")
    before = times(here)
    output(*RUN, "--out", "here")
    assert times(here) == before


def test_other_agents_make_rows_stale(zoo: Path, here: Path) -> None:
    manifest = next(iter((zoo / "agents").glob("*.json")))
    manifest.write_text(manifest.read_text().replace('"competence": 0.5', '"competence": 0.6'))
    assert "run the suite again" in complaint("score", "here")
    before = times(here)
    output(*RUN, "--out", "here")
    after = times(here)
    assert {name: after[name] for name in before} == before
    assert len(set(after) - set(before)) == 1  # one recipe's, of two


DESCRIPTIONS = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "another dictionary": b"{}",
    "a suite without name": b'{"suite": {"zoo": "tiny"}, "parts": [], "zoo_sha256": "", "versions": {}}',
    "not text": b"\xff\xfe\x00",
}


def test_an_edited_description_is_named_and_written_again_by_the_next_run(here: Path, place: Path) -> None:
    path = here / "run.json"
    whole, before = path.read_bytes(), times(here)
    for bad in DESCRIPTIONS.values():
        said = damaged(path, bad, "score", "here")
        assert str(path.relative_to(place)) in said and "run the suite into it again" in said
    path.write_bytes(b"")
    output(*RUN, "--out", "here")
    assert path.read_bytes() == whole and times(here) == before


@pytest.mark.parametrize("command", ["score", "report"])
def test_a_folder_that_is_no_run_is_refused(command: str, place: Path) -> None:
    (place / "empty").mkdir()
    for name in ("empty", "nowhere", "good.py"):
        assert "Expected a folder that `goalscope run` wrote" in complaint(command, name)
    assert list((place / "empty").iterdir()) == [] and not (place / "nowhere").exists()


# Places that cannot be written, disks that are full


def test_a_place_that_cannot_be_written_is_named(place: Path) -> None:
    (place / "taken").write_text("mine")
    for folder in ("taken", "taken/below", "/proc/goalscope"):
        said = complaint(*RUN, "--out", folder)
        assert f"Cannot write {Path(folder) / 'run.json'}" in said
    assert (place / "taken").read_text() == "mine"


def test_a_full_disk_ends_with_one_error_and_the_same_command_completes_later(place: Path) -> None:
    edit(place / "tiny_suite.py", '"./good.py"', '"value_gradient", "recipe_mean"')
    output(*RUN, "--out", "whole")
    smallest = min(part.stat().st_size for part in parts(place / "whole"))
    with largest_file(smallest // 2):
        said = complaint(*RUN, "--out", "here")
    assert "Cannot write here/rows/" in said and "File too large" in said and "rerun" in said
    assert [p.name for p in (place / "here").rglob("*") if p.is_file()] == ["run.json"]
    assert "parts are missing" in complaint("score", "here")
    output(*RUN, "--out", "here")
    assert rows(place / "here") == rows(place / "whole")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow larger than so many bytes; Python ignores the signal that would end it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
