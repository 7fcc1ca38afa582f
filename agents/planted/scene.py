"""What the agents of a planted recipe see and may pursue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from goalscope.agents.measure import query_distribution
from goalscope.agents.planted.settings import PlantedConfig
from goalscope.agents.recipe import Recipe
from goalscope.envs import Distribution, Family
from goalscope.envs.display import Display, Shows
from goalscope.errors import DeclarationError
from goalscope.registry import FAMILIES
from goalscope.seeding import generator


@dataclass(frozen=True)
class Scene:
    """One planted agent's: levels, its goal, the other one, and the planes that show them."""

    recipe: Recipe
    seed: int

    @property
    def config(self) -> PlantedConfig:
        settings = self.recipe.learner
        if not isinstance(settings, PlantedConfig):
            raise DeclarationError(f"{self.recipe.name} is trained by {settings.kind}: nothing of it was made by hand.")
        return settings

    @property
    def family(self) -> Family:
        return FAMILIES.load(self.recipe.family)

    @property
    def look(self) -> Display:
        """The planes that the agent sees, the same under all shifts."""
        return self.family.look(self.core.settings)

    @cached_property
    def core(self) -> Distribution:
        """Training levels."""
        return Distribution(self.family, self.recipe.train, self.recipe.knobs)

    @cached_property
    def query(self) -> Distribution:
        """Conflict levels."""
        return query_distribution(self.recipe)

    @cached_property
    def goals(self) -> tuple[str, str]:
        """The agent's goal, and the other one that the query asks about."""
        names = [goal.name for goal in self.query.goals]
        if len(names) != 2:
            raise DeclarationError(
                f"Planted agents choose between two goals; {self.family.id} asks about {', '.join(names)} under "
                f"{self.recipe.query!r}: choose another shift."
            )
        if self.config.mechanism == "twins":
            own = (self.seed + int(generator("twins", self.pair).integers(2))) % 2
        elif self.config.goal in names:
            own = names.index(self.config.goal)
        else:
            raise DeclarationError(f"{self.recipe.name}: goal must be one of {names}, got {self.config.goal!r}.")
        return names[own], names[1 - own]

    @property
    def pair(self) -> int:
        """What the rotation of the bus is drawn from: the seed alone; two seeds that are twins have one pair."""
        return self.seed // 2 if self.config.mechanism == "twins" else self.seed

    def plane(self, goal: str) -> int:
        """The first plane that shows a goal's feature; its copies, if any, show the same."""
        planes = self.family.feature_planes(self.family.goal(goal), self.core.settings)
        if not planes:
            raise DeclarationError(f"No plane of {self.family.id} shows {goal!r}: it cannot be planted by hand.")
        return planes[0]

    def plane_of(self, shows: Shows) -> int:
        """The plane of the walls, or of the agent."""
        return next(i for i, plane in enumerate(self.look.planes) if plane.shows is shows)
