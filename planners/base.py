"""The interface of planners: they see a cost function over action sequences and nothing else.

Shapes: B problems planned at once, N candidates per problem, H horizon, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from ..registry import Registered
from .bounds import ActionBounds

Cost = Callable[[Tensor], Tensor]
"""Candidates (B, N, H, A) to costs (B, N)."""


class Trace(NamedTuple):
    """Everything that was evaluated, iteration by iteration, for plots."""

    candidates: tuple[Tensor, ...]
    """Each (B, N, H, A)."""
    costs: tuple[Tensor, ...]
    """Each (B, N)."""


class Plan(NamedTuple):
    """The best action sequences found."""

    actions: Tensor
    """(B, H, A)."""
    cost: Tensor
    """(B,)."""
    trace: Trace


class Noise:
    """Standard normal numbers for B problems, each from a generator of its own.

    A problem's numbers depend on its own seed alone, so its plan is the same whoever else is in
    the batch.

    Args:
        seeds: one integer a problem.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = seeds
        self._generators: list[torch.Generator] = []

    def __len__(self) -> int:
        return len(self._seeds)

    def gumbel(self, *shape: int, like: Tensor) -> Tensor:
        """Gumbel numbers (B, *shape): log weights plus these are largest at a draw by weight."""
        uniforms = torch.special.ndtr(self.normal(*shape, like=like))
        return -torch.log(-torch.log(uniforms.clamp(1e-6, 1 - 1e-6)))

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """Numbers (B, *shape) of the type and on the device of `like`."""
        if not self._generators:  # some searches ask for none
            self._generators = [torch.Generator().manual_seed(seed) for seed in self._seeds]
        numbers = torch.stack(
            [torch.randn(shape, generator=g, dtype=like.dtype) for g in self._generators]
        )
        return numbers.to(like.device, non_blocking=True)


class DrawnNoise(Noise):
    """Numbers that were drawn before, in their order.

    Args:
        numbers: each (B, ...).
        count: B.
    """

    def __init__(self, numbers: Sequence[Tensor], count: int) -> None:
        self._numbers, self._count, self._next = numbers, count, 0

    def __len__(self) -> int:
        return self._count

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """The next numbers (B, *shape)."""
        self._next += 1
        return self._numbers[self._next - 1]


class Planner(Protocol):
    """Searches action sequences of low cost, for B problems at once."""

    horizon: int
    """The number of chunks that a plan covers: H actions, if one is planned for each."""

    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search.

        Args:
            cost: the cost of candidates.
            bounds: no candidate ever violates them.
            noise: one source of random numbers a problem.
            warm_start: (B, H, A), where to begin; the idle action without an earlier plan.
        """
        ...


@dataclass(frozen=True)
class PlannerConfig(Registered):
    """The settings of a planner, a kind of which is a subclass.

    Args:
        knots: actions that are planned for each chunk of the horizon; those of its other steps lie
            between them. A planner need not know: its plans have `horizon * knots` actions, as
            many as its warm start.
    """

    knots: int = field(default=1, kw_only=True)

    takes_boxes: ClassVar[bool] = True
    """Whether it searches continuous actions."""
    takes_categories: ClassVar[bool] = True
    """Whether it searches discrete actions, which its candidates hold after `bounds.project`."""
    evaluates: ClassVar[bool] = True
    """Whether it asks for costs, and so for what an error memory corrects."""
    differentiates: ClassVar[bool] = False
    """Whether it needs gradients of the cost, and so no exported graph."""
    takes_proposals: ClassVar[bool] = False
    """Whether `plan` takes proposals (B, M, H, A) after the warm start, the likeliest first."""

    @abstractmethod
    def build(self) -> Planner:
        """The planner; its `config` is this object, by which it is saved."""


class CandidateTracker:
    """What every planner shares: it evaluates candidates and never loses the best one.

    Args:
        cost: the cost of candidates.
    """

    def __init__(self, cost: Cost) -> None:
        self.best: Tensor
        self.best_cost: Tensor
        self._cost = cost
        self._candidates: list[Tensor] = []
        self._costs: list[Tensor] = []

    def evaluate(self, candidates: Tensor) -> Tensor:
        """Costs (B, N) of candidates (B, N, H, A).

        Raises:
            ValueError: if the cost function returns another shape.
        """
        costs = self._cost(candidates)
        if costs.shape != candidates.shape[:2]:
            raise ValueError(
                f"a cost of candidates {tuple(candidates.shape)} must have shape "
                f"{tuple(candidates.shape[:2])}, got {tuple(costs.shape)}; "
                "return one number a candidate"
            )
        kept, kept_costs = candidates.detach().clone(), costs.detach()
        rows = torch.arange(len(kept), device=kept.device)
        cheapest = kept_costs.argmin(dim=1)
        found, found_cost = kept[rows, cheapest], kept_costs[rows, cheapest]
        if self._costs:
            better = found_cost < self.best_cost
            self.best = torch.where(better[:, None, None], found, self.best)
            self.best_cost = torch.where(better, found_cost, self.best_cost)
        else:
            self.best, self.best_cost = found, found_cost
        self._candidates.append(kept)
        self._costs.append(kept_costs)
        return costs

    def plan(self) -> Plan:
        """The best of all candidates.

        Raises:
            ValueError: if a cost was NaN. This is the only wait for the device in a search;
                code that is compiled or recorded leaves it to whoever called it.
        """
        if not torch.compiler.is_compiling():
            check_costs(self._costs)
        trace = Trace(tuple(self._candidates), tuple(self._costs))
        return Plan(self.best, self.best_cost, trace)


def check_costs(costs: Sequence[Tensor]) -> None:
    """Raise ValueError if some of the costs, each (B, N), are NaN; not while a GPU records."""
    if not costs or (costs[0].is_cuda and torch.cuda.is_current_stream_capturing()):
        return
    refuse_nan(sum(torch.stack([c.isnan().sum() for c in costs]).tolist()))


def refuse_nan(wrong: int) -> None:
    """Raise ValueError if the costs of some candidates are NaN."""
    if wrong:
        raise ValueError(
            f"costs must be numbers, got NaN for {wrong} candidates; "
            "check the model and the observation"
        )


def gather(candidates: Tensor, index: Tensor) -> Tensor:
    """Candidates (B, E, H, A) picked per problem by index (B, E) from (B, N, H, A)."""
    rows = torch.arange(len(candidates), device=candidates.device)
    return candidates[rows[:, None], index]


def check_problem(
    config: PlannerConfig, horizon: int, bounds: ActionBounds, noise: Noise, warm_start: Tensor
) -> None:
    """Raise ValueError unless a planner takes the kind of actions, and the start is (B, H, A)."""
    check_actions(config, bounds)
    expected = (len(noise), horizon * config.knots, len(bounds.low))
    if warm_start.shape != expected:
        raise ValueError(
            f"warm_start must have the shape {expected} of problems, actions and components, got "
            f"{tuple(warm_start.shape)}; start from the idle action in that shape"
        )


def check_actions(config: PlannerConfig, bounds: ActionBounds) -> None:
    """Raise ValueError unless a planner takes actions of this kind, discrete or continuous."""
    if bounds.categories and not config.takes_categories:
        raise ValueError(
            f"the planner {config.kind} searches continuous actions, got discrete ones; "
            "use categorical-cem"
        )
    if not (bounds.categories or config.takes_boxes):
        raise ValueError(
            f"the planner {config.kind} searches discrete actions, got continuous ones; use mppi"
        )


def check_at_least(config: object, **least: int) -> None:
    """Raise ValueError unless each named field of a config is at least its bound."""
    for name, bound in least.items():
        value = getattr(config, name)
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")
