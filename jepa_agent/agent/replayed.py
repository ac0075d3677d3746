"""A decision as one CUDA graph: three launches instead of a thousand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..cuda_graphs import WARM_UP, on_another_stream, recorded
from ..planners import DrawnNoise, Noise, Plan, PlannerConfig, Trace, refuse_nan
from .compiled import CompiledSearch, NotedNoise
from .error_memory import ErrorMemory
from .outlook import Outlook
from .search import Decision, decide

if TYPE_CHECKING:
    from .agent import JEPAAgent

Kind = tuple[torch.Size, torch.dtype]


class Question(NamedTuple):
    """What B problems are decided by. All but the last three lie on the host."""

    seen: Tensor
    """(2, B, *observation_shape), observations and goals; (1, B, ...) where goals are states."""
    wanted: Tensor | None
    """(B, S): these states."""
    fresh: Tensor
    """(B,) boolean, whether an episode has just begun."""
    left: Tensor
    """(B,), chunks to the deadline."""
    plan: Tensor
    """(B, H * knots, A), the last plans."""
    error_memory: ErrorMemory | None
    """Past outcomes of the B episodes."""
    budget: Tensor | None
    """(B,): chunks left of the budgets of risk."""


class Answer(NamedTuple):
    """What was decided."""

    latents: Tensor
    """(B, D), where the problems are."""
    goals: Tensor
    """(B, D), where they shall be, or states (B, S)."""
    decision: Decision


def answer(
    agent: JEPAAgent, asked: Question, noise: Noise, find: CompiledSearch | None = None
) -> Answer:
    """Encode what was asked, and decide; the host does not wait for the copies to a GPU.

    Args:
        agent: who decides.
        asked: about B problems.
        noise: one source of random numbers a problem.
        find: the search, if it is compiled.
    """

    def here(tensor: Tensor) -> Tensor:
        return tensor.to(agent.device, non_blocking=True)

    encoded = agent.model.encode(here(asked.seen))  # (2, B, D) or (1, B, D)
    goals = encoded[-1] if asked.wanted is None else here(asked.wanted).to(encoded)
    fresh, left = here(asked.fresh), here(asked.left)
    decision = decide(
        agent, encoded[0], goals, asked.plan, fresh, noise, left, asked.error_memory, find,
        asked.budget,
    )  # fmt: skip
    return Answer(encoded[0], goals, decision)


class Replayed:
    """An agent's decisions on a CUDA GPU, from the fourth of a size on as one graph.

    The kernels of one decision are recorded, and from then on replayed with other numbers. B
    problems are padded to the next power of two, so that few graphs serve any number of them.
    Random numbers are drawn before a graph and costs checked after it. Where recording fails, a
    warning says why, and decisions are launched kernel by kernel.

    Args:
        agent: on a CUDA GPU.
    """

    def __init__(self, agent: JEPAAgent) -> None:
        self._agent, self._parts = agent, tuple[object, ...]()
        self._sizes: dict[tuple[int, ...], _Room] = {}
        self._lock = threading.Lock()  # all decisions are written to the same places

    def __call__(self, asked: Question, noise: Noise, find: CompiledSearch | None) -> Answer:
        """Decide; see `answer`."""
        agent = self._agent
        config = getattr(agent.planner, "config", None)
        if isinstance(config, PlannerConfig) and config.differentiates:
            return answer(agent, asked, noise, find)
        parts = (agent.planner, agent.cost, agent.model, agent.bounds, find)
        size = 1 << (len(asked.fresh) - 1).bit_length()
        with self._lock:
            if tuple(map(id, parts)) != tuple(map(id, self._parts)):
                self._sizes, self._parts = {}, parts
            seen, wanted = asked.seen.shape, () if asked.wanted is None else asked.wanted.shape
            key = (size, *seen[:1], *seen[2:], *wanted[1:])
            if key not in self._sizes:
                self._sizes[key] = _Room(agent, find, asked, size)
            return self._sizes[key].answer(asked, noise)


class _Room:
    """Room for decisions of up to P problems, in tensors that stay where they are."""

    def __init__(
        self, agent: JEPAAgent, find: CompiledSearch | None, asked: Question, size: int
    ) -> None:
        def room(tensor: Tensor, at: int = 0) -> Tensor:
            """On the device, the first problem's numbers everywhere: padding is never strange."""
            shape = [size if dim == at else -1 for dim in range(tensor.ndim)]
            first = tensor.narrow(at, 0, 1).to(agent.device, non_blocking=True)
            return first.expand(shape).contiguous()

        known = _known(asked)
        self._known, self._known_kinds = room(_packed(known)), _kinds(known)
        self._asked = asked._replace(
            seen=room(asked.seen, 1),
            wanted=None if asked.wanted is None else room(asked.wanted),
            fresh=room(asked.fresh),
            left=room(asked.left),
        )
        self._agent, self._find, self._size = agent, find, size
        self._taken, self._failed = 0, False
        self._graph: torch.cuda.CUDAGraph | None = None

    def answer(self, asked: Question, noise: Noise) -> Answer:
        """Decide as `answer` does."""
        self._taken += 1
        if self._taken == 1:  # notes which random numbers a decision needs
            noted = NotedNoise(noise)
            first = answer(self._agent, asked, noted, self._find)
            like = asked.plan
            self._numbers = [like.new_zeros(self._size, *shape) for shape in noted.shapes]
            return first
        if self._failed:
            return answer(self._agent, asked, noise, self._find)
        count = len(asked.fresh)
        self._fill(asked, noise, count)
        if self._taken <= WARM_UP:
            with on_another_stream():
                self._decide()
        elif self._graph is None:
            self._graph = recorded(self._decide, "decisions")
            self._failed = self._graph is None
        if self._failed:
            drawn = DrawnNoise([each[:count] for each in self._numbers], count)
            return answer(self._agent, asked, drawn, self._find)
        if self._graph is not None:
            self._graph.replay()
        told = self._told[:count].to("cpu", copy=True)  # the only wait
        refuse_nan(int(told[:, 0].sum()))
        return self._found(self._packed[:count].clone(), told[:, 1:])

    def _fill(self, asked: Question, noise: Noise, count: int) -> None:
        """Copy what is asked to where it belongs; padding keeps what was there."""
        self._asked.seen[:, :count].copy_(asked.seen, non_blocking=True)
        for place, tensor in zip(self._asked[1:4], asked[1:4], strict=True):
            if place is not None and tensor is not None:
                place[:count].copy_(tensor, non_blocking=True)
        torch.cat([_flat(each) for each in _known(asked)], dim=1, out=self._known[:count])
        on_host = torch.empty((), dtype=asked.plan.dtype)
        for place in self._numbers:
            drawn = noise.normal(*place.shape[1:], like=on_host)
            place[:count].copy_(drawn, non_blocking=True)

    def _decide(self) -> None:
        """All that a graph holds: what is asked is read, and what is found written."""
        plan, *rest = _unpacked(self._known, self._known_kinds)
        asked = self._asked._replace(plan=plan)
        if asked.budget is not None:
            asked = asked._replace(budget=rest.pop())
        if asked.error_memory is not None:
            asked = asked._replace(error_memory=ErrorMemory(*rest))
        latents, goals, decision = answer(
            self._agent, asked, DrawnNoise(self._numbers, self._size), self._find
        )
        (actions, cost, trace), chunk = decision.found, decision.chunk
        found = [latents, goals, actions, cost, *trace.candidates, *trace.costs]
        for part in decision[2:]:
            found += [part] if isinstance(part, Tensor) else part or ()
        wrong = [costs.isnan().sum(dim=1, keepdim=True).to(chunk) for costs in trace.costs]
        total = torch.stack(wrong).sum(dim=0) if wrong else torch.zeros_like(chunk[:, :1])
        self._told = torch.cat([total, chunk], dim=1)
        self._packed, self._kinds = _packed(found), _kinds(found)
        self._decision = decision

    def _found(self, packed: Tensor, chunk: Tensor) -> Answer:
        """What `_decide` found for some problems, of their rows (B, ...)."""
        like, parts = self._decision, iter(_unpacked(packed, self._kinds))
        latents, goals, actions, cost = islice(parts, 4)
        candidates, costs = (tuple(islice(parts, len(each))) for each in like.found.trace)
        plan = Plan(actions, cost, Trace(candidates, costs))
        memory = like.error_memory and ErrorMemory(*islice(parts, len(like.error_memory)))
        budget = None if like.budget is None else next(parts)
        expected = like.outlook and Outlook(*parts)
        return Answer(latents, goals, Decision(chunk, plan, memory, budget, expected))


def _known(asked: Question) -> list[Tensor]:
    """What was known before a question, on the device."""
    return [
        asked.plan,
        *(asked.error_memory or ()),
        *(() if asked.budget is None else [asked.budget]),
    ]


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(len(tensor), -1)


def _packed(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of a problem in a row, (B, W)."""
    return torch.cat([_flat(each) for each in tensors], dim=1)


def _unpacked(packed: Tensor, kinds: Sequence[Kind]) -> list[Tensor]:
    """Views (B, *shape) of what was packed."""
    parts = packed.split([prod(shape) for shape, _ in kinds], dim=1)
    pairs = zip(parts, kinds, strict=True)
    return [part.reshape(-1, *shape).to(dtype) for part, (shape, dtype) in pairs]


def _kinds(tensors: Sequence[Tensor]) -> list[Kind]:
    """Shapes of one problem's numbers, and their types."""
    return [(each.shape[1:], each.dtype) for each in tensors]
