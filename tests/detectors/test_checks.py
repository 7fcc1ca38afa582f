"""`check_detector` finds each way of breaking the contract and names its cause."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.detectors import AgentHandle, Detector, Query, Track, check_detector, detector
from goalscope.errors import CheckFailure, UnknownNameError

OWN = np.random.default_rng(0)
ASKED: list[int] = []


def of_length(n: int) -> list[float]:
    ASKED.append(n)
    return [0.0] * n


def changed(agent: AgentHandle, query: Query) -> float:
    query.levels.marks[:] = 0
    return 0.0


def changed_frames(agent: AgentHandle, query: Query) -> float:
    frames = agent.frames(4)
    frames.levels.agent[:, :2] = 3
    return 0.0


def unlocked(agent: AgentHandle, query: Query) -> float:
    agent.frames(4).obs[:] = 0
    return 0.0


def warned(agent: AgentHandle, query: Query) -> float:
    warnings.warn("too close to zero", RuntimeWarning, stacklevel=1)
    return 0.0


BROKEN: dict[str, tuple[str, Callable[[AgentHandle, Query], Any], str]] = {
    "track": ("blackbox", lambda a, q: a.weight_norms() and 0.0, "declare that track"),
    "budget": ("blackbox", lambda a, q: float(len(a.frames(10_000))), "more than a case's budget"),
    "nan": ("recipe", lambda a, q: [float("nan")], "guard logarithms"),
    "zero": ("recipe", lambda a, q: np.log(np.zeros(1)), "guard it"),
    "matrix": ("recipe", lambda a, q: np.zeros((3, 2)), "take means"),
    "nothing": ("recipe", lambda a, q: [], "take means"),
    "none": ("recipe", lambda a, q: None, "end the function with `return`"),
    "words": ("recipe", lambda a, q: "high", "must be numbers, got str"),
    "bug": ("recipe", lambda a, q: 1 // 0, "the line named above"),
    "random": ("recipe", lambda a, q: OWN.normal(), "use `agent.rng`"),
    "lengths": ("recipe", lambda a, q: of_length(1 + len(ASKED) % 2), "depends on the agent"),
    "warning": ("recipe", warned, "guard it"),
    "levels": ("recipe", changed, "copy it first|read-only"),
    "frames": ("blackbox", changed_frames, "copy it first|read-only"),
    "observations": ("blackbox", unlocked, "read-only"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_detector_is_told_the_likely_cause(name: str) -> None:
    track, function, cause = BROKEN[name]
    with pytest.raises(CheckFailure, match=f"(?s)Expected .*Found .*({cause})"):
        check_detector(detector(track=track)(function))


class Forecaster(Detector):
    """Says what it is told."""

    track = Track.RECIPE

    def __init__(self, answer: Callable[[Query], Any]) -> None:
        self.answer = answer

    def forecast(self, agent: AgentHandle, query: Query) -> Any:
        return self.answer(query)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda query: np.full((3, 3), 1 / 3), "a row a query level"),
        (lambda query: np.full(query.shape, 1.0), "divide each by its sum"),
        (lambda query: np.tile([1.5, -0.5, 0.0], (len(query), 1)), "divide each by its sum"),
        (lambda query: np.full(query.shape, np.inf), "guard logarithms"),
    ],
)
def test_a_forecast_must_be_shares(answer: Callable[[Query], Any], cause: str) -> None:
    with pytest.raises(CheckFailure, match=cause):
        check_detector(Forecaster(answer))


def test_one_that_overrides_nothing_is_told_so() -> None:
    with pytest.raises(CheckFailure, match="neither `evidence` nor `forecast` is there"):
        check_detector(Detector())


def test_a_fit_that_fails_is_told_with_its_line() -> None:
    class Unfit(Forecaster):
        def fit(self, reference: Any, rng: Any) -> Any:
            raise ValueError("no such thing")

    with pytest.raises(CheckFailure, match=r"ValueError: no such thing \(.*test_checks\.py:\d+\)"):
        check_detector(Unfit(lambda query: np.full(query.shape, 1 / 3)))


def test_a_fit_returns_the_fitted_detector() -> None:
    class Forgetful(Forecaster):
        def fit(self, reference: Any, rng: Any) -> Any:
            pass

    with pytest.raises(CheckFailure, match="`fit` returns the fitted detector"):
        check_detector(Forgetful(lambda query: np.full(query.shape, 1 / 3)))


def test_the_line_that_is_named_is_the_detectors_own() -> None:
    with pytest.raises(CheckFailure, match=r"test_checks\.py"):
        check_detector(detector(track="recipe")(lambda agent, query: agent.frames(1)))


def test_a_good_one_passes_whatever_the_seed_and_leaves_the_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for seed in (0, 1):
            check_detector(detector(track="blackbox")(lambda agent, query: agent.rng.normal(size=3)), seed=seed)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_names_and_files_will_do(tmp_path: Path) -> None:
    check_detector("uniform")
    with pytest.raises(UnknownNameError, match="Did you mean 'uniform'"):
        check_detector("unifrom")
    (tmp_path / "leaky.py").write_text("raise RuntimeError('a pipe burst')\n")
    with pytest.raises(CheckFailure, match="a pipe burst"):
        check_detector(str(tmp_path / "leaky.py"))
