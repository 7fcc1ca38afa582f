"""Attempts to cheat: each is stopped, or flagged in its row, behind walls and in a plain process."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests.suites.made_up import outcome_shares, population

from goalscope.detectors.answers import checked_evidence
from goalscope.detectors.base import Detector, ReferenceCase, detector
from goalscope.detectors.calibration import Shares, calibrate
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox import Limits, Outside, processes, sandboxed
from goalscope.detectors.sandbox.walls import has_walls
from goalscope.detectors.tracks import Budget, Track
from goalscope.errors import DeclarationError, GoalscopeError
from goalscope.suites.case import Case, attempt
from goalscope.suites.crossfit import crossfit
from goalscope.suites.loading import controls_of, describe, opened

POPULATION = population()
SOURCE = Path(__file__).with_name("cheats.py").read_text()
NAMES = re.findall(r"^    (\w+),$", SOURCE[SOURCE.index("CHEATS = (") :], re.MULTILINE)
MEMORY = 1 << 30
SECONDS = 20.0


@dataclass
class Cage:
    """The cheating detector in its process, and what it is not to touch."""

    detector: Outside
    folder: Path
    walled: bool

    def case(self, cheat: str, seconds: float = SECONDS, agent: int = 0) -> Case:
        """What comes of one attempt."""
        budget = Budget(rollouts=NAMES.index(cheat), seconds=seconds)
        handle = AgentHandle(POPULATION.agents[agent], Track.STATIC, budget, 0)
        if not self.detector._fit:
            self.detector.fit([ReferenceCase(handle, POPULATION.query, POPULATION.truths[0])], np.random.default_rng(0))
        case = Case(agent, 0)
        case.evidence = attempt(
            case, np.inf, lambda: checked_evidence(self.detector.evidence(handle, POPULATION.query))
        )
        return case


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["walled", "plain"])
def cage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cage]:
    if request.param and not has_walls():
        pytest.skip("bubblewrap does not work on this machine")
    folder = tmp_path_factory.mktemp("cage")
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "labels.parquet").write_text("the truth")
    file = folder / "cheat.py"
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {
            "HIDDEN": str(hidden / "labels.parquet"),
            "OUTSIDE": str(folder / "out"),
            "PORT": str(server.getsockname()[1]),
        }
        file.write_text(re.sub("|".join(places), lambda found: places[found[0]], SOURCE))
        with sandboxed(str(file), Limits(memory=MEMORY, hidden=(hidden,), walled=request.param)) as found:
            yield Cage(found, folder, request.param)


STOPPED: dict[str, tuple[str, str]] = {
    "reads_labels": ("forbidden|raised", "belongs to a zoo|No such file"),
    "lists_zoos": ("forbidden|raised", "belongs to a zoo|ZeroDivision"),
    "reads_hidden": ("forbidden", "belongs to a zoo"),
    "steps": ("forbidden", "steps no environment"),
    "makes_frames": ("forbidden", "were not issued"),
    "patches_scorer": ("malformed", "must be finite, got .nan"),
    "takes_agent": ("raised", "no attribute '_agent'"),
    "connects": ("forbidden", "no network"),
    "starts": ("forbidden", "starts no processes"),
    "forks": ("forbidden", "starts no processes"),
    "eats_memory": ("overspent", "memory is over"),
    "eats_shared_memory": ("overspent", "memory is over"),
    "names_rows_without_end": ("overspent", "1048576 rows are more than all 65536 passes"),
    "writes": ("forbidden", "temporary folder only"),
    "writes_by_sqlite": ("forbidden", "temporary folder only"),
    "exits": ("raised", "ended without an answer"),
    "dies": ("raised", "the detector's process ended by signal 11"),
}


@pytest.mark.parametrize("cheat", STOPPED)
def test_an_attempt_is_flagged_and_the_next_agent_is_asked_about(cage: Cage, cheat: str) -> None:
    flag, message = STOPPED[cheat]
    case = cage.case(cheat)
    assert re.fullmatch(flag, case.flag) and re.search(message, case.message), (case.flag, case.message)
    assert cage.case("is_good").evidence is not None
    assert not (cage.folder / "out").exists()


def test_labels_cannot_be_read_by_compiled_code_either(cage: Cage) -> None:
    case = cage.case("reads_labels_by_arrow")
    assert case.flag == ("raised" if cage.walled else "forbidden"), case.message
    assert ("FileNotFoundError" in case.message) == cage.walled, case.message


@pytest.mark.parametrize("cheat", ["sleeps", "sleeps_in_c"])
def test_who_does_not_answer_is_ended(cage: Cage, cheat: str) -> None:
    start = time.perf_counter()
    case = cage.case(cheat, seconds=0.5)
    assert case.flag == "overspent" and "0.5 s are allowed" in case.message, (case.flag, case.message)
    assert time.perf_counter() - start < 6
    assert cage.case("is_good").evidence is not None


def test_a_bomb_ends_with_its_time_and_nothing_remains(cage: Cage) -> None:
    assert cage.case("forks_in_c", seconds=1.0).flag == "overspent"
    left = cage.case("leaves_one_behind")
    assert left.flag == "forbidden" and "left processes running" in left.message, left.message
    deadline = time.monotonic() + 20  # the system ends a whole space of processes, but not in no time
    while any(name.startswith("gs-cheat") for name in _running()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cage.case("is_good").evidence is not None


def _running() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            found += [] if rest.split()[0] in "ZX" else [name]
        except OSError:  # it has just ended
            continue
    return found


def test_nobody_is_told_what_others_were_issued(cage: Cage) -> None:
    assert cage.case("issues_an_odd_number").flag == ""
    case = cage.case("asks_what_was_issued", agent=1)
    assert case.evidence is not None and case.evidence[0] == 0, case.message


def test_compiled_code_writes_nowhere_behind_walls(cage: Cage) -> None:
    if cage.walled:
        case = cage.case("writes_in_c")
        assert case.evidence is not None and case.evidence[0] == -1
        assert not (cage.folder / "out").exists()


def test_compiled_code_reaches_no_server_behind_walls(cage: Cage) -> None:
    case = cage.case("connects_in_c")
    assert case.evidence is not None and case.evidence[0] == (-1 if cage.walled else 0)


def test_processes_are_limited(cage: Cage) -> None:
    case = cage.case("tells_how_many_processes_it_may_start")
    assert case.evidence is not None and 0 < case.evidence[0] <= (64 if cage.walled else 2048 + processes.threads())


def test_other_pixels_under_issued_names_are_not_looked_at(cage: Cage) -> None:
    case = cage.case("swaps_frames")
    assert case.evidence is not None and case.evidence[0] == 0


def test_what_scores_is_out_of_reach(cage: Cage) -> None:
    assert cage.case("patches_scorer").evidence is None
    assert calibrate(np.zeros((4, 1)), outcome_shares(4, 8)).forecast(np.zeros((1, 1))).shape == (1, 8, 3)


def test_nobody_speaks_for_the_next_agent(cage: Cage) -> None:
    assert cage.case("speaks_for_itself").flag == "raised"
    assert cage.case("is_good").evidence is not None


def test_nothing_is_remembered_from_one_agent_to_the_next(cage: Cage) -> None:
    for agent in range(3):
        case = cage.case("remembers", agent=agent)
        assert case.evidence is not None and case.evidence[0] == 0, case.message


def test_answers_and_tallies_are_those_in_process(cage: Cage) -> None:
    for agent in range(2):
        case = cage.case("is_good", agent=agent)
        handle = AgentHandle(POPULATION.agents[agent], Track.STATIC, Budget(), 0)
        wanted = handle.outputs(handle.frames(16)).probabilities.mean(0)
        assert case.evidence is not None and np.allclose(case.evidence, wanted, atol=1e-12)


# In process


class Remembers(Detector):
    """Returns what it was told first, whoever is asked about."""

    track = Track.BLACKBOX

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        self.seen.append(agent.outputs(agent.frames(8)).probabilities.mean(0))
        return np.asarray(self.seen[0])


def test_in_process_too_each_agent_meets_a_fresh_copy() -> None:
    found = [case.evidence for case in crossfit(Remembers(), POPULATION, 0, Budget())]
    assert len({e.tobytes() for e in found if e is not None}) == len(POPULATION.agents)


class ByHeart(Detector):
    """Knows the suite by its levels, and each agent by what it does on a frame; of others it knows nothing."""

    track = Track.BLACKBOX

    def __init__(self, forecasts: dict[bytes, Shares], levels: bytes) -> None:
        self.forecasts, self.levels = forecasts, levels

    def known(self, agent: AgentHandle, query: Query) -> Shares:
        found = np.full(query.shape, 1 / query.shape[1])
        if query.levels.cells.tobytes() + query.levels.marks.tobytes() == self.levels:
            found = self.forecasts[agent.outputs(agent.frames(1)).values.tobytes()]
        return found

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.known(agent, query)


class EvidenceByHeart(ByHeart):
    """The same as evidence."""

    forecast = Detector.forecast

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return np.asarray(self.known(agent, query).mean(0))


@pytest.mark.parametrize("kind", [ByHeart, EvidenceByHeart])
def test_who_knows_the_suite_by_heart_is_flagged_in_every_row(kind: type[ByHeart]) -> None:
    keys = []
    for agent in POPULATION.agents:
        handle = AgentHandle(agent, Track.BLACKBOX, Budget(), 0)
        keys.append(handle.outputs(handle.frames(1)).values.tobytes())
    levels = POPULATION.query.levels
    table = dict(zip(keys, POPULATION.truths, strict=True))
    cases = crossfit(kind(table, levels.cells.tobytes() + levels.marks.tobytes()), POPULATION, 0, Budget())
    for case in cases:
        assert (case.flag, case.forecast) == ("fingerprint", None) and "fresh levels" in case.message


def numbers(agent: AgentHandle) -> bytes:
    """What tells an agent from all others: the bits of a number that it gives."""
    return agent.outputs(agent.frames(1)).values.tobytes()


def initial_numbers(agent: AgentHandle) -> bytes:
    return b"".join(norms.tobytes() for norms in agent.weight_norms(initial=True).values())


@pytest.mark.parametrize("name", [numbers, initial_numbers])
def test_who_knows_agents_by_exact_numbers_is_flagged_whatever_the_levels(name: Callable[[AgentHandle], bytes]) -> None:
    """Evidence that does not depend on levels at all."""
    known = [AgentHandle(agent, Track.WHITEBOX, Budget(), 0) for agent in POPULATION.agents]
    table = {name(agent): own.mean(0) for agent, own in zip(known, POPULATION.truths, strict=True)}

    @detector(track="whitebox")
    def by_heart(agent: AgentHandle, query: Query) -> ArrayLike:
        return np.asarray(table.get(name(agent), POPULATION.truths.mean((0, 1))))

    for case in crossfit(by_heart, POPULATION, 0, Budget()):
        assert (case.flag, case.forecast) == ("fingerprint", None) and "fresh levels" in case.message


# What outside detectors are described as


LEARNER = """
import numpy as np

from goalscope.detectors import Detector, Track


class Mean(Detector):
    track = Track.RECIPE
    mean = None

    def fit(self, reference, rng):
        self.mean = np.mean([case.outcomes for case in reference], axis=0)
        return self

    def forecast(self, agent, query):
        return self.mean


MEAN = Mean()
"""


class Mean(Detector):
    """The same in process."""

    track = Track.RECIPE
    mean: Shares

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        self.mean = np.mean([case.outcomes for case in reference], axis=0)
        return self

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.mean


def test_an_outside_detector_runs_a_whole_population_as_one_in_process_does(tmp_path: Path) -> None:
    file = tmp_path / "mean.py"
    file.write_text(LEARNER)
    with sandboxed(f"{file}:MEAN") as found:
        told = found.description
        assert (told.track, told.learns, told.forecasts_itself) == (Track.RECIPE, True, True)
        theirs = crossfit(found, POPULATION, 0, Budget())
    ours = crossfit(Mean(), POPULATION, 0, Budget())
    for one, other in zip(theirs, ours, strict=True):
        assert one.flag == other.flag == "" and one.forecast is not None and other.forecast is not None
        assert np.allclose(one.forecast, other.forecast, atol=1e-12)


def test_a_file_that_cannot_be_loaded_says_so_and_is_not_run_here(tmp_path: Path) -> None:
    file, touched = tmp_path / "bad.py", tmp_path / "touched"
    file.write_text(f"open({str(touched)!r}, 'w')")
    with pytest.raises(GoalscopeError, match="temporary folder only"):
        describe(str(file))
    assert not touched.exists()


CONTROLLED = """
from goalscope.detectors import detector
from goalscope.detectors.controls import with_controls

assert "TMPDIR" in __import__("os").environ, "imported outside of the sandbox"


@detector(track="whitebox")
def mine(agent, query):
    return sum(norms.sum() for norms in agent.weight_norms().values())


@detector(track="blackbox")
def mine_raw(agent, query):
    return 2.0


DETECTOR = with_controls(mine, raw=mine_raw)
"""


def test_controls_of_an_outside_method_work_and_it_is_never_imported_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)  # so that the file cannot be imported here
    file = tmp_path / "mine.py"
    file.write_text(CONTROLLED)
    assert controls_of(str(file)) == tuple(f"{file}~{kind}" for kind in ("untrained", "shuffled", "raw"))
    assert describe(f"{file}~raw").track is Track.BLACKBOX and describe(f"{file}~untrained").name == "mine~untrained"
    with pytest.raises(DeclarationError, match="no control .*mine.py~random'"):
        describe(f"{file}~random")
    found = {}
    for kind in ("", "~untrained", "~raw"):
        with opened(f"{file}{kind}") as method:
            found[kind] = [case.evidence for case in crossfit(method, POPULATION, 0, Budget())]
    assert len({e.tobytes() for e in found[""] if e is not None}) == len(POPULATION.agents)
    assert len({e.tobytes() for e in found["~untrained"] if e is not None}) == 1
    assert {float(e[0]) for e in found["~raw"] if e is not None} == {2.0}


SMUGGLER = """
import mmap
import os

from goalscope.detectors import Detector, Track

SHARED = mmap.mmap(-1, 8)  # shared by all that are forked from here


def by_memory():
    SHARED[0] += 1
    return SHARED[0]


def by_standard_error():
    print("was here", flush=True)  # which is printed there
    try:
        return os.lseek(2, 0, os.SEEK_CUR)  # how far a file has come, by whomever
    except OSError:
        return 0


class Smuggler(Detector):
    track = Track.RECIPE

    def fit(self, reference, rng):
        self.heard = CHANNEL()
        return self

    def evidence(self, agent, query):
        return float(self.heard)


DETECTOR = Smuggler()
"""


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """With standard error to a file, as ``2> log`` has it."""
    before = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@pytest.mark.parametrize("channel", ["by_memory", "by_standard_error"])
def test_outcomes_told_in_one_fold_are_not_carried_into_another(tmp_path: Path, channel: str) -> None:
    file, log = tmp_path / "smuggler.py", tmp_path / "log"
    file.write_text(SMUGGLER.replace("CHANNEL", channel))
    with logged(log):
        with opened(str(file)) as method:
            cases = crossfit(method, POPULATION, 0, Budget())
        deadline = time.monotonic() + 5  # what is printed is passed on by another thread
        while channel == "by_standard_error" and log.read_text().count("was here") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    heard = [case.evidence.tobytes() for case in cases if case.evidence is not None]
    assert len(heard) == len(cases) and len(set(heard)) == 1


ISSUER = """
from goalscope.detectors import Detector, Track


class Issuer(Detector):
    track = Track.BLACKBOX

    def fit(self, reference, rng):
        self.first = reference[0].agent
        self.first.frames(5 if reference[0].outcomes[0, 0] > 0.5 else 9)
        return self

    def evidence(self, agent, query):
        before = self.first.tally.frames
        self.first.frames(8)
        return float(before + self.first.rng.integers(2))


DETECTOR = Issuer()
"""


def test_handles_keep_nothing_of_another_fold_or_agent(tmp_path: Path) -> None:
    """Neither frames that are there already, and so come sooner, nor what a reference agent's handle was asked."""
    file = tmp_path / "issuer.py"
    file.write_text(ISSUER)
    handles = [AgentHandle(agent, Track.BLACKBOX, Budget(), 0) for agent in POPULATION.agents[:3]]
    query, rng = POPULATION.query, np.random.Generator(np.random.Philox(0))
    with sandboxed(str(file)) as method:
        for number, outcome in ((5, 1.0), (9, 0.0)):
            method.fit([ReferenceCase(handles[0], query, np.full(query.shape, outcome))], rng)
            assert {f"train 0 to {n}" for n in (5, 9)} & handles[1]._source._issues.keys() == {f"train 0 to {number}"}
            told = {float(np.asarray(method.evidence(agent, query))[0]) for agent in handles[1:]}
            assert len(told) == 1 and told <= {number, number + 1}
