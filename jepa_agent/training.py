"""Training a world model from trajectories, without rewards and without reconstructing pixels."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from . import losses
from .agent import EnvSpec, JEPAAgent, action_bounds
from .configs import to_dict
from .costs import CostConfig
from .data import Renderer, Windows, WindowSampler
from .planners import CEM, CEMConfig
from .predictors import mlp
from .trajectories import Trajectories
from .world_model import WorldModel, WorldModelConfig


@dataclass(frozen=True)
class LossWeights:
    """The coefficients of the loss terms."""

    prediction: float = 1.0
    variance: float = 16.0
    covariance: float = 8.0
    temporal_similarity: float = 0.1
    inverse_dynamics: float = 10.0
    value: float = 0.2


@dataclass(frozen=True)
class TrainingConfig:
    """How a world model is trained.

    Args:
        steps: optimiser steps.
        groups: contexts (layouts) per batch.
        windows: trajectory windows per context.
        horizon: chunks per window, predicted autoregressively from its first frame.
        learning_rate: peak of AdamW's cosine schedule.
        weight_decay: of AdamW.
        warmup: share of the steps that the learning rate rises.
        clip: largest gradient norm.
        discount: of the value, per chunk.
        expectile: of the value regression.
        ema: rate per step at which the value's target follows it.
        weights: coefficients of the loss terms.
        bfloat16: autocast to bfloat16.
        seed: of parameters, data order and everything else.
    """

    steps: int = 1000
    groups: int = 4
    windows: int = 64
    horizon: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    warmup: float = 0.05
    clip: float = 2.0
    discount: float = 0.98
    expectile: float = 0.95
    ema: float = 0.02
    weights: LossWeights = field(default_factory=LossWeights)
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "groups", "windows", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}; raise it")
        if self.groups * self.windows < 16:
            raise ValueError(
                "groups * windows must be at least 16 for the batch statistics, got "
                f"{self.groups} * {self.windows}; raise one of them"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and self.clip > 0):
            raise ValueError(
                "learning_rate and clip must be > 0 and weight_decay >= 0, got "
                f"{self.learning_rate}, {self.clip} and {self.weight_decay}; change them"
            )
        if not (0 <= self.warmup <= 1 and 0 < self.ema <= 1):
            raise ValueError(
                f"warmup must be in [0, 1] and ema in (0, 1], got {self.warmup} and {self.ema}; "
                "change them"
            )
        if not 0.5 < self.expectile < 1.0 or not 0.0 < self.discount < 1.0:
            raise ValueError(
                "expectile must be in (0.5, 1) and discount in (0, 1), got "
                f"{self.expectile} and {self.discount}; change them"
            )


@dataclass(frozen=True)
class Preset:
    """A model's shape, its training and its planner, chosen together.

    Args:
        model: the world model's shape.
        training: how it is trained.
        planner: the search that its agent uses.
        cost: what that search minimises.
    """

    model: WorldModelConfig = field(default_factory=WorldModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    planner: CEMConfig = field(default_factory=CEMConfig)
    cost: CostConfig = field(default_factory=CostConfig)


@dataclass(frozen=True)
class Progress:
    """One line of a training's log: means since the last one."""

    step: int
    steps: int
    seconds: float
    frames_per_second: float
    losses: dict[str, float]
    probe_error: float
    """Root mean square error of the probed state, in the environment's units (pixels)."""

    @property
    def seconds_left(self) -> float:
        return self.seconds / self.step * (self.steps - self.step)


class Objective(nn.Module):
    """The weighted loss, with the heads that only training needs."""

    def __init__(self, model: WorldModel, config: TrainingConfig) -> None:
        super().__init__()
        shape = model.config
        self.config = config
        self.inverse_dynamics = mlp(2 * shape.latent_dim, 256, 2, shape.chunk * shape.action_dim)
        self.value_target = copy.deepcopy(model.value).requires_grad_(False)

    def forward(self, model: WorldModel, images: Tensor, batch: Windows) -> dict[str, Tensor]:
        """Loss terms by name, unweighted; `probe` trains the probe alone.

        Args:
            model: the world model.
            images: uint8 (G, R, H + 1, height, width, C).
            batch: the windows that the images show.
        """
        latents = model.encode(images)  # (G, R, H + 1, D)
        imagined = model.rollout(latents[:, :, 0], batch.actions)
        flat = latents.reshape(-1, latents.shape[-1]).float()
        actions = self.inverse_dynamics(torch.cat([latents[:, :, :-1], latents[:, :, 1:]], -1))
        probed = model.probe(latents.detach())
        truth = (batch.states - model.state_mean) / model.state_std
        return {
            "prediction": losses.prediction(imagined.float(), latents[:, :, 1:].float()),
            "variance": losses.variance(flat),
            "covariance": losses.covariance(flat),
            "temporal_similarity": losses.temporal_similarity(latents.float()),
            "inverse_dynamics": losses.inverse_dynamics(actions.float(), batch.actions),
            "value": self._value(model, latents),
            "probe": losses.prediction(probed.float(), truth),
        }

    def _value(self, model: WorldModel, latents: Tensor) -> Tensor:
        """Every state against every state of its group as goal."""
        windows, frames = latents.shape[1:3]
        phi = model.embed(latents).float()  # (G, R, H + 1, E)
        with torch.no_grad():
            target = self.value_target(latents).float()
        numbers = torch.arange(windows * frames, device=latents.device).reshape(windows, frames)
        sources = numbers[:, :-1].reshape(-1)
        return losses.expectile_value(
            states=phi[:, :, :-1].flatten(1, 2),
            goals=phi.flatten(1, 2),
            next_states=target[:, :, 1:].flatten(1, 2),
            target_goals=target.flatten(1, 2),
            is_goal=sources[:, None] == numbers.reshape(-1),
            discount=self.config.discount,
            expectile=self.config.expectile,
        )

    @torch.no_grad()
    def update_target(self, model: WorldModel) -> None:
        """Move the value's target towards it."""
        for slow, fast in zip(
            self.value_target.parameters(), model.value.parameters(), strict=True
        ):
            slow.lerp_(fast, self.config.ema)


class Trainer:
    """One training run; `run` yields its progress.

    Args:
        trajectories: the data.
        render: the environment's batched renderer.
        model_config: the model's shape.
        config: how to train.
        device: where to train.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        render: Renderer,
        model_config: WorldModelConfig,
        config: TrainingConfig,
        device: torch.device,
    ) -> None:
        if not np.isfinite(trajectories.states).all():
            raise ValueError("states must be finite, got NaN or infinite ones; collect again")
        self.config, self.device, self._render = config, device, render
        self.sampler = WindowSampler(trajectories, model_config.chunk, config.horizon, device)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = WorldModel(model_config)
            self.objective = Objective(self.model, config)
        self.model.to(device)
        self.objective.to(device)
        self._standardise()
        self.optimizer = torch.optim.AdamW(
            [*self.model.parameters(), *self.objective.inverse_dynamics.parameters()],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.step = 0

    @torch.no_grad()
    def _standardise(self) -> None:
        """Set the model's input and probe statistics from a first batch."""
        batch = self.sampler.draw(self.config.groups, self.config.windows, self.generator)
        pixels = self._images(batch).flatten(0, -2).float()
        self.model.pixel_mean.copy_(pixels.mean(0))
        self.model.pixel_std.copy_(pixels.std(0).clamp_min(1.0))
        states = batch.states.flatten(0, -2)
        self.model.state_mean.copy_(states.mean(0))
        self.model.state_std.copy_(states.std(0).clamp_min(1e-6))

    def _images(self, batch: Windows) -> Tensor:
        return self._render(batch.states, batch.context)

    def _learning_rate(self) -> float:
        share = self.step / self.config.steps
        rise = min(1.0, (self.step + 1) / max(1.0, self.config.warmup * self.config.steps))
        return self.config.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * share))

    def _update(self) -> dict[str, Tensor]:
        config = self.config
        batch = self.sampler.draw(config.groups, config.windows, self.generator)
        images = self._images(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bfloat16):
            terms = self.objective(self.model, images, batch)
        total = terms["probe"] + sum(
            getattr(config.weights, name) * term for name, term in terms.items() if name != "probe"
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        self.objective.update_target(self.model)
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def run(self, log_every: int = 50) -> Iterator[Progress]:
        """Train to the last step, yielding progress every `log_every` steps.

        Raises:
            FloatingPointError: when a loss term or a parameter is not finite; names the term.
        """
        config = self.config
        frames_per_step = config.groups * config.windows * (config.horizon + 1)
        begin = last = time.perf_counter()
        sums: dict[str, Tensor] = {}
        done_before, since = self.step, 0
        while self.step < config.steps:
            for name, term in self._update().items():
                sums[name] = sums[name] + term if name in sums else term
            since += 1
            if self.step % log_every and self.step != config.steps:
                continue
            means = {name: (term / since).item() for name, term in sums.items()}
            for name, value in means.items():
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"every loss term must stay finite, got {name} = {value} by step "
                        f"{self.step}; lower the learning rate or its weight"
                    )
            if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
                raise FloatingPointError(
                    f"every parameter must stay finite, they did not by step {self.step}; "
                    "lower the learning rate or the largest loss weight"
                )
            now = time.perf_counter()
            spread = self.model.state_std.square().mean().sqrt().item()
            yield Progress(
                step=self.step,
                steps=config.steps,
                seconds=(now - begin) * self.step / (self.step - done_before),
                frames_per_second=since * frames_per_step / (now - last),
                losses=means,
                probe_error=means["probe"] ** 0.5 * spread,
            )
            last, since = now, 0
            sums.clear()


def train(
    trajectories: Trajectories,
    preset: Preset,
    device: torch.device | str = "cpu",
    on_progress: Callable[[Progress, JEPAAgent], None] | None = None,
) -> JEPAAgent:
    """Train a world model on trajectories and wrap it as an agent.

    Args:
        trajectories: the data; their metadata name the environment.
        preset: the model's shape, the training and the planner.
        device: where to train.
        on_progress: called about every 50 steps, with the agent as it is then.

    Raises:
        ValueError: if the environment cannot render states in batch, or the model's shape does
            not fit its observations and actions.
        FloatingPointError: if a loss term is not finite.
    """
    metadata = trajectories.metadata
    if not {"env_id", "env_kwargs"} <= set(metadata):
        raise ValueError(
            "the trajectories' metadata must name their environment by env_id and env_kwargs, got "
            f"{sorted(metadata)}; add them"
        )
    env_spec = EnvSpec(metadata["env_id"], metadata["env_kwargs"])
    env = env_spec.make()
    render = getattr(env.unwrapped, "render_states", None)
    if render is None:
        raise ValueError(
            f"{env_spec.id} must have a batched renderer `render_states(states, context)`, got "
            "none; add it to the environment"
        )
    bounds = action_bounds(env)
    shape = env.observation_space["observation"].shape  # type: ignore[index]
    expected = (shape, len(bounds.low), trajectories.states.shape[1])
    model = preset.model
    if expected != (model.observation_shape, model.action_dim, model.state_dim):
        raise ValueError(
            f"observation_shape, action_dim and state_dim must be {expected} for {env_spec.id}, "
            f"got {(model.observation_shape, model.action_dim, model.state_dim)}; change the model"
        )
    env.close()
    trainer = Trainer(trajectories, render, model, preset.training, torch.device(device))
    notes = {"training": to_dict(preset.training), "data": metadata}
    agent = JEPAAgent(
        trainer.model, bounds, env_spec, CEM(preset.planner), preset.cost, notes=notes
    )
    trainer.model.requires_grad_(True).train()
    for progress in trainer.run():
        if on_progress is not None:
            on_progress(progress, agent)
    trainer.model.requires_grad_(False).eval()
    return agent
