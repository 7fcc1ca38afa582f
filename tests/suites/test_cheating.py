"""Attempts to cheat: each is stopped, or flagged in its row, behind walls and in a plain process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests.suites.made_up import outcome_shares, population

from goalscope.detectors.answers import checked_evidence
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares, calibrate
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox import Limits, Outside, sandboxed
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
    file.write_text(SOURCE.replace("HIDDEN", str(hidden / "labels.parquet")).replace("OUTSIDE", str(folder / "out")))
    with sandboxed(str(file), Limits(memory=MEMORY, hidden=(hidden,), walled=request.param)) as found:
        yield Cage(found, folder, request.param)


STOPPED: dict[str, tuple[str, str]] = {
    "reads_labels": ("forbidden|raised", "belongs to a zoo|No such file"),
    "lists_zoos": ("forbidden|raised", "belongs to a zoo|ZeroDivision"),
    "reads_hidden": ("forbidden", "belongs to a zoo"),
    "steps": ("forbidden", "steps no environment"),
    "makes_frames": ("forbidden", "were not issued"),
    "takes_agent": ("raised", "no attribute '_agent'"),
    "connects": ("forbidden", "no network"),
    "starts": ("forbidden", "starts no processes"),
    "forks": ("forbidden", "starts no processes"),
    "eats_memory": ("overspent", "memory is over"),
    "writes": ("forbidden", "temporary folder only"),
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
    if not cage.walled:  # there the hook stops what Python forks, which is tested above
        return
    assert cage.case("forks_in_c", seconds=1.0).flag == "overspent"
    left = cage.case("leaves_one_behind")
    assert left.flag == "forbidden" and "left processes running" in left.message, left.message
    deadline = time.monotonic() + 5  # the system ends a whole space of processes, but not in no time
    while any(name.startswith("gs-cheat") for name in _running()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cage.case("is_good").evidence is not None


def _running() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            found.append(path.read_text().strip())
        except OSError:  # it has just ended
            continue
    return found


def test_compiled_code_writes_nowhere_behind_walls(cage: Cage) -> None:
    if cage.walled:
        case = cage.case("writes_in_c")
        assert case.evidence is not None and case.evidence[0] == -1
        assert not (cage.folder / "out").exists()


def test_other_pixels_under_issued_names_are_not_looked_at(cage: Cage) -> None:
    case = cage.case("swaps_frames")
    assert case.evidence is not None and case.evidence[0] == 0


def test_what_scores_is_out_of_reach(cage: Cage) -> None:
    case = cage.case("patches_scorer")
    assert case.evidence is not None and case.evidence.tolist() == [1.0], (case.flag, case.message)
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

from goalscope.detectors import Detector, Track

SHARED = mmap.mmap(-1, 8)  # shared by all that are forked from here


class Smuggler(Detector):
    track = Track.RECIPE

    def fit(self, reference, rng):
        self.before, SHARED[0] = SHARED[0], SHARED[0] + 1
        return self

    def evidence(self, agent, query):
        return float(self.before)


DETECTOR = Smuggler()
"""


def test_outcomes_told_in_one_fold_are_not_carried_into_another(tmp_path: Path) -> None:
    file = tmp_path / "smuggler.py"
    file.write_text(SMUGGLER)
    with opened(str(file)) as method:
        cases = crossfit(method, POPULATION, 0, Budget())
    assert [case.evidence.tolist() for case in cases if case.evidence is not None] == [[0.0]] * len(cases)
