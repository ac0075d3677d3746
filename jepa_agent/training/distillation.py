"""Proposals learned from a planner's own decisions, on the frozen latents of a trained agent.

The planner decides again and again in its own imagination, between recorded observations of one
layout; a network learns to propose what it decided, and what the planner's cost, differentiated
through the model, finds better.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..agent.search import decide, planning_cost, times
from ..data.hindsight import HindsightSampler
from ..data.latents import encode_trajectories
from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, WindowSampler
from ..device import resolve_device
from ..io import checkpoint
from ..io.serialisation import to_dict
from ..models.proposals import ProposalsConfig, best_taught
from ..models.world_model import WorldModel
from ..planners import Noise, PlannerConfig, ProposalConfig
from .loop import Callback, Trainer
from .optim import cosine
from .task import Progress, StepOutput, Task

TOGETHER = 64
"""Problems that are planned at once."""


@dataclass(frozen=True)
class DistillationConfig:
    """How proposals are learned from a planner.

    Args:
        heads: proposals of the network, where the agent has none yet.
        problems: beginnings and goals, drawn from the data, between which the planner decides.
        decisions: of each problem, one chunk after the other in imagination.
        steps: optimiser steps.
        batch: decisions a step, as many pieces of the data, and as many problems for `imagined`.
        imagined: weight of the planner's cost of what is proposed, in chunks, differentiated
            through the model.
        learning_rate: peak of AdamW's cosine schedule.
        max_grad_norm: largest norm of the gradient.
        bfloat16: autocast to bfloat16; by default on GPUs.
        seed: of the network, the problems and the batches.
    """

    heads: int = 8
    problems: int = 4096
    decisions: int = 4
    steps: int = 3000
    batch: int = 512
    imagined: float = 1.0
    learning_rate: float = 1e-3
    max_grad_norm: float = 2.0
    bfloat16: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("heads", "problems", "decisions", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if self.imagined < 0:
            raise ValueError(f"imagined must be >= 0, got {self.imagined}; raise it")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}; raise it")


class Decisions(NamedTuple):
    """What a planner decided, N times."""

    latents: Tensor
    """(N, D), where it was."""
    goals: Tensor
    """(N, D), where it was to go."""
    plans: Tensor
    """(N, H, K * A), the chunks of its plans."""


@torch.no_grad()
def imagined_decisions(
    teacher: JEPAAgent, starts: Tensor, ends: Tensor, count: int, seed: int = 0
) -> Decisions:
    """Decisions of an agent on its way between latents, in its imagination.

    Args:
        teacher: who decides.
        starts: (P, D).
        ends: (P, D).
        count: decisions for each, from where the plan before was imagined to lead.
        seed: of the search.
    """
    chunks, horizon, found = teacher.chunks, teacher.planner.horizon, []
    for first in range(0, len(starts), TOGETHER):
        latents, goals = (each[first : first + TOGETHER] for each in (starts, ends))
        idle = teacher.bounds.units(like=latents).idle
        plan = idle.repeat(len(latents), horizon * chunks.knots, 1)
        for number in range(count):
            fresh = torch.full((len(latents),), number == 0, device=latents.device)
            left = torch.full_like(fresh, horizon - number % horizon, dtype=torch.long)
            places = range(first, first + len(latents))
            noise = Noise([seed + count * place + number for place in places])
            decision = decide(teacher, latents, goals, plan, fresh, noise, left)
            plan = decision.found.actions.to(plan)
            found.append(Decisions(latents, goals, chunks.fill(chunks.split(plan))))
            latents = teacher.model.predict(latents, decision.chunk)
    return Decisions(*map(torch.cat, zip(*found, strict=True)))


class DistillationTask(Task):
    """The training of proposals; see `distil` for the arguments."""

    model: WorldModel
    config: DistillationConfig
    generator: torch.Generator

    def __init__(
        self,
        agent: JEPAAgent,
        trajectories: Trajectories,
        config: DistillationConfig,
        device: torch.device,
    ) -> None:
        planner = getattr(agent.planner, "config", None)
        if (
            isinstance(planner, PlannerConfig) and not planner.evaluates
        ) or agent.bounds.categories:
            raise ValueError(
                "proposals are distilled from a planner that searches continuous actions, got "
                f"{type(agent.planner).__name__}; choose another one, such as --planner mppi"
            )
        teacher, model = copy.copy(agent), copy.deepcopy(agent.model).to(device)
        teacher.model, horizon = model, agent.planner.horizon
        if model.proposals is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                proposed = ProposalsConfig(config.heads, horizon, max(20, horizon))
                model = model.with_proposals(proposed)
        super().__init__(model.requires_grad_(False), config, device)
        assert model.proposals is not None
        model.proposals.requires_grad_(True)
        self.model, self.proposals = model, model.proposals
        self.stages, self.clipped = (config.steps,), (model.proposals,)
        self.max_grad_norm = config.max_grad_norm
        self.generator = torch.Generator(device).manual_seed(config.seed)
        shape = model.config
        _, render, _ = world_shape(env_of(trajectories), trajectories)
        source = ObservationSource(trajectories, render, device, shape.encoded_shape)
        self.latents = latents = encode_trajectories(
            trajectories, lambda rows: model.encode(source.at(rows)), shape.chunk, device,
            config.seed,
        )  # fmt: skip
        about = shape.proposals
        self.hindsight = HindsightSampler(latents, about.horizon, about.reach, device)
        self.windows = WindowSampler(latents.trajectories, 1, 1, device)
        problems = self.draw_problems(config.problems)
        taught = imagined_decisions(teacher, *problems, config.decisions, config.seed)
        which = torch.arange(about.horizon, device=device).clamp_max(horizon - 1)
        self.taught = taught._replace(plans=taught.plans[:, which])  # a plan's end goes on
        notes = agent.notes | {"distillation": to_dict(config)}
        self.run_config = {
            "model": to_dict(shape),
            "distillation": to_dict(config),
            "teacher": checkpoint.digest(agent.model.state_dict()),
            "data_checksum": trajectories.checksum(),
        }
        heads, knots = about.heads, agent.chunks.knots
        self.trained = copy.copy(agent)
        self.trained.model, self.trained.notes = model, notes
        self.trained.planner = ProposalConfig(
            horizon, max(4, heads + 2), 1, min(heads, 8), knots=knots
        ).build()

    def compute_losses(self, step: int, given: tuple[Tensor, ...] = ()) -> StepOutput:
        """When the data got to goals, what the planner decided, and what its cost finds better."""
        model, config = self.model.eval(), self.config
        seen = self.hindsight.draw(config.batch, self.generator)
        rows = torch.randint(
            len(self.taught.plans), (config.batch,), generator=self.generator, device=self.device
        )
        latents, goals, plans = (each[rows] for each in self.taught)
        with self.autocast():
            with torch.no_grad():  # the time at which it will be asked
                ahead = self.proposals.chunks_ahead(latents, goals, self.trained.cost.arrival)
            decided = model.standardise(plans)
            terms = {
                "time": self.proposals.time_loss(seen.latents, seen.goals, seen.ahead),
                "decisions": self.proposals.action_loss(latents, goals, decided, ahead),
            }
            loss = terms["time"] + terms["decisions"]
            if config.imagined:
                terms["imagined"] = self.imagined_cost(*self.draw_problems(config.batch))
                loss = loss + config.imagined * terms["imagined"]
        return StepOutput(terms, loss, len(terms) * config.batch)

    def draw_problems(self, count: int) -> tuple[Tensor, Tensor]:
        """Beginnings and goals (count, D): half from one episode, half anywhere in one layout."""
        windows = self.windows.draw(count - count // 2, 2, self.generator)
        anywhere = self.latents.values[windows.frame_index[..., 0]].float()  # (count / 2, 2, D)
        later = self.hindsight.draw(count // 2, self.generator)
        starts = torch.cat([later.latents, anywhere[:, 0]])
        return starts, torch.cat([later.goals, anywhere[:, 1]])

    def imagined_cost(self, latents: Tensor, goals: Tensor) -> Tensor:
        """The planner's cost of what is proposed, most of it that of the best head, in chunks.

        Its gradient goes through the model's imagination, as an actor's does in Dreamer
        (1912.01603). The logits learn which head is the best.

        Args:
            latents: (B, D).
            goals: (B, D).
        """
        agent, horizon = self.trained, self.trained.planner.horizon
        full = torch.full((len(latents),), horizon, device=latents.device)
        with torch.no_grad():
            ahead, left = times(agent, latents, goals, full)
        proposed, logits = self.model.proposed(latents, goals, ahead, horizon)
        planned = agent.chunks.fit(proposed.float()).flatten(2, 3)
        candidates = agent.bounds.project(planned)
        costs = planning_cost(agent, latents, goals, left, None, None)(candidates).float() / horizon
        beyond = (planned - candidates) / agent.bounds.units(like=planned).half_width
        costs = costs + beyond.square().mean(dim=(-2, -1))  # a clipped action has no gradient
        return best_taught(costs, logits)

    def new_optimizer(self, step: int) -> torch.optim.Optimizer:
        """AdamW for the proposals alone."""
        return torch.optim.AdamW(self.proposals.parameters(), weight_decay=1e-5)

    def learning_rate(self, step: int) -> float:
        """A cosine after a warm-up."""
        config = self.config
        return config.learning_rate * cosine(step, config.steps, 0.05 * config.steps, 0.0)

    def report(self, progress: Progress, output: StepOutput) -> Progress:
        """The line as it is."""
        return progress

    def save(self, folder: Path, step: int, seconds: float) -> None:
        """Write the agent."""
        self.trained.save(folder)


def distil(
    agent: JEPAAgent,
    trajectories: Trajectories,
    config: DistillationConfig | None = None,
    device: torch.device | str = "auto",
    *,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> JEPAAgent:
    """Teach an agent to propose what its planner decides; all else of it stays as it is.

    Args:
        agent: whose planner is the teacher, and whose proposals are trained on, if it has some.
        trajectories: of its world; beginnings and goals are drawn from them.
        config: how.
        device: where; see `resolve_device`.
        folder: keeps state, log and result; see `Trainer.fit`, also for the errors.
        callbacks: called about every 50 steps.

    Returns:
        A copy of the agent that verifies its proposals in one round; for decisions without any
        search, set its planner to `reactive`.

    Raises:
        ValueError: if its planner does not search, or its actions are discrete.
    """
    task = DistillationTask(
        agent, trajectories, config or DistillationConfig(), resolve_device(device)
    )
    Trainer(task).fit(folder, callbacks)
    task.model.requires_grad_(False).eval()
    return task.trained
