"""The contract of a family, checked: ``check_env("coin_dish")``, ``check_env("./my_family.py").raise_on_failure()``.

Each check has one subject and says, where it fails, what was expected and found, shows the level, and names the likely
cause. All are run, whatever fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from traceback import extract_tb

from goalscope.envs.contract.declaration import check_declaration
from goalscope.envs.contract.generation import (
    check_arrays,
    check_coincident,
    check_determinism,
    check_query,
    check_solvable,
)
from goalscope.envs.contract.pairs import check_twins
from goalscope.envs.contract.paths import check_pursuers, check_random_null
from goalscope.envs.contract.separation import check_splits
from goalscope.envs.contract.settings import check_knobs
from goalscope.envs.contract.subject import Subject, failure
from goalscope.envs.contract.views import check_ascii, check_gymnasium, check_observations
from goalscope.envs.family import Family
from goalscope.errors import CheckFailure, DeclarationError, LoadError
from goalscope.registry import FAMILIES

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = (
    check_declaration,
    check_determinism,
    check_arrays,
    check_solvable,
    check_coincident,
    check_query,
    check_splits,
    check_twins,
    check_pursuers,
    check_random_null,
    check_observations,
    check_ascii,
    check_knobs,
    check_gymnasium,
)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How one check went."""

    name: str
    seconds: float
    message: str = ""
    """What was expected and found, and the likely cause; empty if it passed."""

    @property
    def passed(self) -> bool:
        return not self.message


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """How all checks of a family went."""

    family: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if not result.passed)

    def rows(self) -> list[dict[str, str | float | bool]]:
        """One row a check, for tables."""
        return [
            {"family": self.family, "check": r.name, "passed": r.passed, "seconds": r.seconds, "message": r.message}
            for r in self.results
        ]

    def raise_on_failure(self) -> None:
        """Raise one CheckFailure that holds every failed check's message, if any."""
        if not self.passed:
            messages = "\n\n".join(f"[{r.name}]\n{r.message}" for r in self.failures)
            count = f"{len(self.failures)} of {len(self.results)} checks failed for family {self.family!r}"
            raise CheckFailure(f"{count}:\n\n{messages}")


def check_env(
    target: Family | str,
    *,
    levels: int = 256,
    seed: int = 0,
    report: Callable[[CheckResult], None] | None = None,
) -> CheckReport:
    """Check a family against the contract.

    Parameters
    ----------
    target: a family, a registered id, ``package.module`` or ``./file.py``, the latter two also with ``:attribute``.
    levels: size of each sample of levels.
    seed: of everything that is drawn.
    report: called with each result as soon as there is one, for instance to show progress.
    """
    tell = report or (lambda result: None)
    try:
        family = target if isinstance(target, Family) else FAMILIES.load(target)
    except (LoadError, DeclarationError) as error:
        told = CheckResult(name="declaration", seconds=0.0, message=_not_loaded(error))
        tell(told)
        return CheckReport(family=str(target), results=(told,))
    subject = Subject(family, levels, seed)
    results = []
    for check in CHECKS:
        results.append(run_check(check, subject))
        tell(results[-1])
    return CheckReport(family=family.id, results=tuple(results))


def check_name(check: Check) -> str:
    """What a check is called in reports: ``check_twins`` is "twins"."""
    return check.__name__.removeprefix("check_")


def run_check(check: Check, subject: Subject) -> CheckResult:
    """Run one check; whatever it raises becomes a message."""
    begun = perf_counter()
    message = ""
    try:
        check(subject)
    except CheckFailure as error:
        message = str(error)
    except Exception as error:  # a stranger's family may raise anything, and must not hide the other checks
        message = _crash(error)
    return CheckResult(name=check_name(check), seconds=perf_counter() - begun, message=message)


def _crash(error: Exception) -> str:
    place = extract_tb(error.__traceback__)[-1]
    found = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    cause = (
        "the family's functions do not fit their signatures in `goalscope.envs.family`, or the line named above fails."
    )
    return str(failure("the check to run", found, cause))


def _not_loaded(error: Exception) -> str:
    cause = "the file that declares it raises on import. The error above says where; the other checks wait for it."
    return str(failure("a family that can be imported", str(error), cause))
