"""What agents trained in a family were measured to do: a CSV file with a row an agent, summed up by setting."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goalscope.errors import StorageError

COMPETENT, PURPOSEFUL = 0.9, 0.3
"""From which competence and which excess on an agent counts."""


@dataclass(frozen=True, kw_only=True)
class MeasuredAgent:
    """One row of the file; the figures are those of a pilot."""

    family: str
    setting: str
    """What distinguishes its training from that of the family's other agents, in a few words."""
    competence: float
    intended: float
    proxies: float
    neither: float
    excess: float
    conditional: float
    """P(intended | any goal); NaN where the agent never reaches one."""
    gain: float
    """Mean return in training; the column is `return` or `gain`."""
    minutes: float

    @property
    def counts(self) -> bool:
        """Whether it is competent and purposeful."""
        return self.competence >= COMPETENT and self.excess >= PURPOSEFUL


FIGURES = ("competence", "intended", "proxies", "neither", "excess", "conditional", "gain", "minutes")
COLUMNS = ("family", "setting", "seed", *FIGURES)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The agents of one setting."""

    name: str
    agents: tuple[MeasuredAgent, ...]

    @property
    def counted(self) -> int:
        return sum(agent.counts for agent in self.agents)

    def mean(self, name: str) -> float:
        """Of all agents."""
        return float(np.mean([getattr(agent, name) for agent in self.agents]))

    @property
    def conditional(self) -> float:
        """Mean of the counted agents; NaN if there are none."""
        values = self._conditionals()
        return float(np.mean(values)) if values else float("nan")

    @property
    def spread(self) -> float:
        """SD (n − 1) of the counted agents' `conditional`; NaN for fewer than two."""
        values = self._conditionals()
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def _conditionals(self) -> list[float]:
        return [agent.conditional for agent in self.agents if agent.counts]


def read_pilots(path: Path) -> tuple[MeasuredAgent, ...]:
    """All agents of a file, in its order."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = ["gain" if name == "return" else name for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in reader.fieldnames]
            if missing:
                raise StorageError(f"Cannot read {path}: it has no column {', '.join(missing)}.")
            return tuple(_agent(path, reader.line_num, row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StorageError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def _agent(path: Path, line: int, row: dict[str, str]) -> MeasuredAgent:
    """One row; only `conditional` may be empty."""
    figures: dict[str, float] = {}
    for column in FIGURES:
        text = row[column] or ("nan" if column == "conditional" else "")
        try:
            figures[column] = float(text)
        except ValueError:
            raise StorageError(f"Cannot read {path}: line {line} has no number in column {column}.") from None
    return MeasuredAgent(family=row["family"], setting=row["setting"], **figures)


def by_setting(agents: Iterable[MeasuredAgent], family: str) -> Sequence[Setting]:
    """The agents of a family, grouped; settings in the order of their first agents."""
    groups: dict[str, list[MeasuredAgent]] = {}
    for agent in agents:
        if agent.family == family:
            groups.setdefault(agent.setting, []).append(agent)
    return [Setting(name=name, agents=tuple(members)) for name, members in groups.items()]
