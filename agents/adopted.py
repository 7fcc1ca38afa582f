"""Outside models as agents: any ``torch.nn.Module`` in one call.

What a part of the module gives out becomes a named site, by a hook that passes it through a
:class:`~goalscope.agents.sites.Site`; so everything that looks inside works on adopted agents as on our own. The module
is copied: whoever adopts it may train on without changing the agent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.agents.agent import Agent
from goalscope.agents.network import Network, Shape, Stepped
from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import Site
from goalscope.agents.training import frame_shape
from goalscope.errors import DeclarationError, unknown_name
from goalscope.registry import FAMILIES

Outputs = Callable[[Any], Any]
"""What the module's forward returns -> logits `[N, A]`, or (logits, values `[N]` or `[N, 1]`)."""
Prepare = Callable[[Tensor], Tensor]
"""Observations `[N, …]` in [0, 1] -> what the module's forward takes."""
UNREGISTERED = "adopted"
"""The architecture of an adopted agent that names none: it cannot be stored, for nobody could make it again."""
OUTSIDE = "outside"
PASSIVE = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
"""Parts whose output is their input in another shape: no sites of their own."""
TRIAL = 2
"""Frames of the pass that shows which parts are called, and what they give out."""


def as_it_is(given: Any) -> Any:
    """Neither prepared nor picked apart."""
    return given


class Adopted(Network):
    """An outside module behind the contract of networks; it must remember nothing from step to step.

    Give an architecture's function this, made anew, to register an outside architecture. Raises a DeclarationError if
    the module cannot take the observations, does not give what `outputs` takes, or has no such sites.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: Shape,
        n_actions: int,
        *,
        sites: Mapping[str, str] | None = None,
        outputs: Outputs = as_it_is,
        prepare: Prepare = as_it_is,
    ) -> None:
        """`shape` of one observation; `sites`: name -> path of a part of the module.

        By default every part without parts of its own that is called once is a site, its path its name; a part whose
        output is the outputs is none, and neither is one that only reshapes.
        """
        super().__init__()
        self.input = Site()
        self.outside = _own(module)
        self._outputs, self._prepare = outputs, prepare
        called, answers = self._tried(shape)
        _check_answers(answers, n_actions)
        chosen = _parts(self.outside, called, answers) if sites is None else sites
        for name, path in chosen.items():
            self._mark(name, path, called)

    def step(self, obs: Tensor, memory: Tensor) -> Stepped:
        planes = self.input(obs if obs.is_floating_point() else obs / 255)
        logits, values = _answers(self._outputs(self.outside(self._prepare(planes))))
        return logits, values, memory

    @torch.no_grad()
    def _tried(self, shape: Shape) -> tuple[dict[str, list[Any]], tuple[Tensor, Tensor]]:
        """For every part what it gave out, an entry a call, as it saw two blank frames; then what was answered."""
        called: dict[str, list[Any]] = {name: [] for name, _ in self.outside.named_modules() if name}

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            return lambda module, inputs, output: called[name].append(output)

        hooks = [self.outside.get_submodule(name).register_forward_hook(keep(name)) for name in called]
        try:
            logits, values = self(torch.zeros(TRIAL, *shape, dtype=torch.uint8))
        except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
            raise DeclarationError(
                f"The module cannot be asked about observations of shape {list(shape)} in [0, 1]: {error}. "
                f"Say with `prepare` what it takes, with `outputs` how logits and values are had from what it gives."
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        return called, (logits, values)

    def _mark(self, name: str, path: str, called: Mapping[str, list[Any]]) -> None:
        """Let what a part gives out pass through a site of that name."""
        if path not in called:
            raise unknown_name("part of the module", path, called)
        if len(called[path]) != 1 or not _is_batch(called[path][0]):
            raise DeclarationError(
                f"{path!r} cannot be a site: in one forward pass it is called {len(called[path])} times, and a site is "
                f"passed once, by a tensor of one entry a frame. Name another of {', '.join(called)}."
            )
        site = _placed(self, name)
        self.outside.get_submodule(path).register_forward_hook(partial(_through, site))


def _own(module: nn.Module) -> nn.Module:
    """A copy on the CPU that neither learns nor overwrites what a site has seen."""
    try:
        copy = deepcopy(module).cpu().float().eval()
    except (RuntimeError, TypeError) as error:
        raise DeclarationError(
            f"The module cannot be copied: {error}. Adopt one that holds parameters alone."
        ) from error
    for part in copy.modules():
        if getattr(part, "inplace", False) is True:
            part.inplace = False  # type: ignore[assignment]
    return copy


def _through(site: Site, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """A forward hook; as a partial of a function it is copied with the network, site and all."""
    passed: Tensor = site(output)
    return passed


def _placed(network: nn.Module, name: str) -> Site:
    """A new site at a dotted name in a network."""
    *folders, last = name.split(".")
    at = network
    for folder in folders:
        if folder not in at._modules:
            _check_free(at, folder, name)
            at.add_module(folder, nn.Module())
        at = at.get_submodule(folder)
    _check_free(at, last, name)
    site = Site()
    at.add_module(last, site)
    return site


def _check_free(at: nn.Module, part: str, name: str) -> None:
    if not part or hasattr(at, part) or name.split(".")[0] == OUTSIDE:
        raise DeclarationError(f"No site can be called {name!r}: {part!r} is taken, or empty. Choose another name.")


def _parts(module: nn.Module, called: Mapping[str, list[Any]], answers: tuple[Tensor, Tensor]) -> dict[str, str]:
    """The sites of a module that nobody named any in."""
    outputs = {answer.untyped_storage().data_ptr() for answer in answers}
    return {
        path: path
        for path, given in called.items()
        if not list(module.get_submodule(path).children())
        and not isinstance(module.get_submodule(path), PASSIVE)
        and len(given) == 1
        and _is_batch(given[0])
        and given[0].untyped_storage().data_ptr() not in outputs
    }


def _is_batch(given: Any) -> bool:
    return isinstance(given, Tensor) and given.ndim > 1 and len(given) == TRIAL


def _answers(given: Any) -> tuple[Tensor, Tensor]:
    """Logits and values; without a value all values, and their gradients, are NaN, which no protocol takes for one."""
    logits, values = (given, None) if isinstance(given, Tensor) else given
    if values is None:
        return logits, logits.sum(-1) * math.nan
    return logits, values.squeeze(-1) if values.ndim == logits.ndim else values


def _check_answers(answers: tuple[Tensor, Tensor], n_actions: int) -> None:
    logits, values = answers
    if logits.shape != (TRIAL, n_actions) or values.shape != (TRIAL,):
        raise DeclarationError(
            f"Expected logits [N, {n_actions}] and values [N] or [N, 1], got {list(logits.shape)} and "
            f"{list(values.shape)} for N = {TRIAL}. Say with `outputs` how they are had from what the module gives."
        )


def adopt(
    module: nn.Module,
    *,
    family: str,
    query: str,
    view: str = "planes",
    sites: Mapping[str, str] | None = None,
    outputs: Outputs = as_it_is,
    prepare: Prepare = as_it_is,
    seed: int | None = None,
    initial: Mapping[str, Tensor] | None = None,
    **training: Any,
) -> Agent:
    """An outside module as an agent of a family, to be asked under the shift `query`.

    Parameters
    ----------
    view: what it sees, as :class:`goalscope.envs.Engine` shows it; it gets numbers in [0, 1], bytes by 255.
    sites: name -> path of a part of the module, for instance ``{"hidden": "net.2"}``; see :class:`Adopted`.
    outputs: how logits, or logits and values, are had from what its forward returns; by default it returns them.
    prepare: what is done to observations before its forward gets them, for instance ``lambda x: x.flatten(1)``.
    seed: tells it from others of its kind; by default a hash of its weights.
    initial: its weights before training, where they are known, by the names in its state.
    training: how it was trained, as far as that is known: `knobs`, `alpha`, `name` and whatever a
        :class:`~goalscope.agents.recipe.Recipe` has. `arch` names its architecture if that is registered; only then can
        the agent be stored.
    """
    recipe = outside_recipe(family, query, view, training)
    network = Adopted(
        module,
        frame_shape(recipe),
        FAMILIES.load(family).world.n_actions,
        sites=sites,
        outputs=outputs,
        prepare=prepare,
    )
    before = {f"{OUTSIDE}.{name}": tensor for name, tensor in (initial or {}).items()}
    return Agent(recipe, _weights_number(network) if seed is None else seed, network.eval(), before, [])


def outside_recipe(family: str, query: str, view: str, training: Mapping[str, Any]) -> Recipe:
    """What is known of how an outside model was trained, as a recipe."""
    FAMILIES.load(family).shift(query)  # raises for one that does not exist
    return Recipe(
        **{"name": UNREGISTERED, "arch": UNREGISTERED, "budget": 0, **training}, family=family, query=query, view=view
    )


def _weights_number(network: nn.Module) -> int:
    """48 bits of a hash of all weights."""
    digest = sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return int.from_bytes(digest.digest()[:6], "big")
