"""Training a world model from trajectories, without rewards and without reconstructing pixels.

Joint training shows every module windows of a few layouts at a time. Refinement then freezes the
encoder and the value and goes on with the predictor on cached latents, many more at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..agent.agent import JEPAAgent
from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Renderer, Windows, WindowSampler, encode_trajectories
from ..evaluation.diagnostics import Diagnostics, diagnose
from ..io import checkpoint
from ..io.serialisation import to_dict
from ..models.backbones import Backbone
from ..models.encoders import BackboneEncoder
from ..models.world_model import WorldModel, WorldModelConfig
from ..planners import ActionBounds
from ..worlds.reference import EnvRef
from . import distributed
from .config import Preset, RefinementConfig, TrainingConfig
from .loss_meter import LossMeter
from .objective import Objective
from .optim import check_finite, cosine, pack, strip_prefix, unpack
from .run_folder import Run

FLOOR = 0.05
"""Where the learning rate of joint training ends, as a share of its peak, if refinement follows."""

PROJECTIONS = 64
"""Random directions on which SIGReg looks at a batch."""


@dataclass(frozen=True)
class Progress:
    """One line of a training's log: means since the last one."""

    step: int
    steps: int
    seconds: float
    frames_per_second: float
    losses: dict[str, float]
    probe_error: float | None
    """Root mean square error of the probed state, in the environment's units (pixels)."""
    diagnostics: Diagnostics | None = None

    @property
    def seconds_left(self) -> float:
        return self.seconds / self.step * (self.steps - self.step)


class Trainer:
    """One training run; `run` yields its progress.

    Args:
        trajectories: the data.
        render: the environment's batched renderer, if it has one.
        model_config: the model's shape.
        config: how to train.
        device: where to train.
        backbone: pretrained weights of the encoder's backbone, if it has one.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        render: Renderer | None,
        model_config: WorldModelConfig,
        config: TrainingConfig,
        device: torch.device,
        backbone: Backbone | None = None,
    ) -> None:
        if not np.isfinite(trajectories.states).all():
            raise ValueError("states must be finite, got NaN or infinite ones; collect again")
        self.config, self.device = config, device
        self._trajectories = trajectories
        self._view = ObservationSource(trajectories, render, device)
        self.sampler = WindowSampler(trajectories, model_config.chunk, config.horizon, device)
        if config.weights.contrast and self.sampler.num_layouts < 2:
            raise ValueError(
                "the layout's loss needs data of several layouts (layouts), got 1; collect more "
                "layouts or set training.weights.contrast to 0"
            )
        self._latents: tuple[WindowSampler, ObservationSource] | None = None
        self.generator = torch.Generator(device).manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = WorldModel(model_config)
            self.objective = Objective(self.model, config, self.sampler.num_layouts)
        if backbone is not None:
            self._adopt(backbone)
        self.model.to(device)
        self.objective.to(device)
        on_gpu = device.type == "cuda"
        self._bfloat16 = on_gpu if config.bfloat16 is None else config.bfloat16
        self._joint: Callable[..., dict[str, Tensor]] = self.objective
        self._refine = self.objective.refine
        if on_gpu if config.compiled is None else config.compiled:
            self._joint = torch.compile(self._joint)
            self._refine = torch.compile(self._refine)
        self._standardise()
        self.step = 0
        self.meter = LossMeter()
        self.optimizer = self._new_optimizer()

    @property
    def steps(self) -> int:
        """Steps of joint training and refinement together."""
        return self.config.steps + self.config.refinement.steps

    @property
    def refining(self) -> bool:
        """Whether the encoder is frozen by now."""
        return self.step >= self.config.steps

    def _new_optimizer(self) -> torch.optim.Optimizer:
        modules: list[nn.Module | None]
        if self.refining:
            modules = [self.model.predictor, self.model.probe]
        else:
            modules = [self.model, self.objective.inverse_dynamics, self.objective.contrast_head]
        parameters = [p for module in modules if module for p in module.parameters()]
        return torch.optim.AdamW(parameters, weight_decay=self.config.weight_decay)

    def _adopt(self, backbone: Backbone) -> None:
        encoder = self.model.encoder
        if not isinstance(encoder, BackboneEncoder) or encoder.config.backbone != backbone.config:
            raise ValueError(
                f"the model's encoder must be made for the backbone {backbone.config}, got "
                f"{self.model.config.encoder}; set model.encoder to a BackboneEncoderConfig of it"
            )
        encoder.backbone.load_state_dict(backbone.state_dict())

    @torch.no_grad()
    def _standardise(self) -> None:
        """Set the model's input and probe statistics from a first batch."""
        batch = self.sampler.draw(
            self.config.layouts_per_batch, self.config.windows_per_layout, self.generator
        )
        seen = self._images(batch)
        least = 1.0 if seen.dtype == torch.uint8 else 1e-6
        seen = seen.flatten(0, -2).float()
        self.model.observation_mean.copy_(seen.mean(0))
        self.model.observation_std.copy_(seen.std(0).clamp_min(least))
        if self.model.probe is None:
            return
        states = batch.states.flatten(0, -2)
        self.model.state_mean.copy_(states.mean(0))
        self.model.state_std.copy_(states.std(0).clamp_min(1e-6))

    def _images(self, batch: Windows) -> Tensor:
        return self._view(batch.frame_index, batch.states, batch.layout)

    def _learning_rate(self) -> float:
        stage: TrainingConfig | RefinementConfig = self.config
        step, floor = self.step, FLOOR if self.config.refinement.steps else 0.0
        if self.refining:
            stage, step, floor = self.config.refinement, step - self.config.steps, 0.0
        warmup = self.config.warmup * stage.steps
        return stage.learning_rate * cosine(step, stage.steps, warmup, floor)

    def _joint_terms(self) -> dict[str, Tensor]:
        groups, alike, layouts = (
            self.config.layouts_per_batch,
            self.config.hard_negative_cluster,
            None,
        )
        if alike > 1 and self.sampler.num_layouts >= groups:
            layouts = self.objective.draw_hard_negatives(groups, alike, self.generator)
        batch = self.sampler.draw(groups, self.config.windows_per_layout, self.generator, layouts)
        batch = Windows(*map(distributed.shard, batch))
        images = self._images(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            return self._joint(self.model, images, batch, self._directions())

    def _directions(self) -> Tensor:
        """Fresh directions for SIGReg, (D, 64), if it is used."""
        dim, count = self.model.config.latent_dim, PROJECTIONS if self.config.weights.sigreg else 0
        return torch.randn(dim, count, generator=self.generator, device=self.device)

    def _refinement_terms(self) -> dict[str, Tensor]:
        config = self.config.refinement
        if self._latents is None:
            self._latents = self._encode_all()
        sampler, view = self._latents
        batch = sampler.draw(config.layouts_per_batch, config.windows_per_layout, self.generator)
        batch = Windows(*map(distributed.shard, batch))
        truth = view(batch.frame_index, batch.states, batch.layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            return self._refine(self.model, batch.states.float(), batch.actions, truth)

    def _encode_all(self) -> tuple[WindowSampler, ObservationSource]:
        """The data in latent space, and their true states."""
        encoded = encode_trajectories(
            self._trajectories,
            lambda *where: self.model.encode(self._view(*where)),
            self.model.config.chunk,
            self.device,
            self.config.seed,
        )
        sampler = WindowSampler(encoded, 1, self.config.refinement.horizon, self.device)
        return sampler, ObservationSource(encoded, None, self.device)

    def update(self) -> dict[str, Tensor]:
        """One step of the optimiser; the loss terms, unweighted."""
        if self.step == self.config.steps:
            self.optimizer = self._new_optimizer()
        terms = self._refinement_terms() if self.refining else self._joint_terms()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        self.objective.total(terms).backward()
        distributed.average_gradients(p for g in self.optimizer.param_groups for p in g["params"])
        for module in (self.model.encoder, self.model.predictor, self.model.distance_head):
            nn.utils.clip_grad_norm_(module.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def run(
        self, log_every: int = 50, pause: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress | None]:
        """Train to the last step, yielding progress every `log_every` steps.

        Args:
            log_every: steps.
            pause: asked after every step; whether to yield None, though no line ends.

        Raises:
            FloatingPointError: when a loss term or a parameter is not finite; names the term.
        """
        joint = (
            self.config.layouts_per_batch
            * self.config.windows_per_layout
            * (self.config.horizon + 1)
        )
        stage = self.config.refinement
        latents = stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)

        def work() -> tuple[dict[str, Tensor], int]:
            frames = latents if self.refining else joint
            return self.update(), frames

        def due() -> bool:
            return self.step % log_every == 0 or self.step in (self.config.steps, self.steps)

        def check(means: dict[str, float]) -> None:
            check_finite(means, self.model.parameters(), self.step, self.config.seed)

        lines = self.meter.lines(work, due, check, pause)
        while self.step < self.steps:
            means = next(lines)
            yield None if means is None else self._line(means)

    def _line(self, means: dict[str, float]) -> Progress:
        spread = self.model.state_std.square().mean().sqrt().item()
        return Progress(
            step=self.step,
            steps=self.steps,
            seconds=self.meter.seconds,
            frames_per_second=self.meter.rate,
            losses=means,
            probe_error=means["probe"] ** 0.5 * spread if "probe" in means else None,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that `load_state` needs to go on with the same bits: tensors and JSON."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"objective.{name}": t for name, t in self.objective.state_dict().items()}
        tensors |= pack(self.optimizer) | self.meter.state()
        tensors["generator"] = self.generator.get_state()
        return tensors, {"step": self.step, "seconds": self.meter.seconds}

    def load_state(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go on from a state of a trainer with the same config and data."""
        self.step = progress["step"]
        self.meter.load_state(tensors, progress["seconds"])
        self.model.load_state_dict(strip_prefix(tensors, "model."))
        self.objective.load_state_dict(strip_prefix(tensors, "objective."))
        self.generator.set_state(tensors["generator"])
        self.optimizer = self._new_optimizer()
        unpack(self.optimizer, tensors)


def train(
    trajectories: Trajectories,
    preset: Preset,
    device: torch.device | str = "cpu",
    on_progress: Callable[[Progress, JEPAAgent], None] | None = None,
    folder: str | Path | None = None,
    held_out: Trajectories | None = None,
    backbone: Backbone | None = None,
    keep: int = 0,
) -> JEPAAgent:
    """Train a world model on trajectories and wrap it as an agent.

    Args:
        trajectories: the data; their metadata name the environment.
        preset: the model's shape, the training and the planner.
        device: where to train.
        on_progress: called about every 50 steps, with the agent as it is then.
        folder: where the run keeps its state, its log `metrics.jsonl` and its agent; a run that
            was interrupted goes on from there.
        held_out: data of other layouts, for the diagnostics.
        backbone: pretrained weights for a model whose encoder is a `BackboneEncoder`.
        keep: of the agents at diagnostics, keep the last so many in folders of their own, `step-N`.

    Raises:
        KeyboardInterrupt: at Ctrl-C, in a folder after the step in progress, which is kept.
        ValueError: if the environment cannot render states in batch, the model's shape does not
            fit its observations and actions, or the folder's run had another config.
        FloatingPointError: if a loss term is not finite; the folder keeps the last good state.
    """
    env, render, bounds = resolve_env(preset.model, trajectories)
    trainer = Trainer(
        trajectories, render, preset.model, preset.training, torch.device(device), backbone
    )
    notes: dict[str, Any] = {
        "training": to_dict(preset.training),
        "data": trajectories.metadata,
    }
    if backbone is not None:
        notes["backbone"] = checkpoint.digest(backbone.state_dict())
    planner = preset.planner.build()
    agent = JEPAAgent(trainer.model, bounds, env, planner, preset.cost, notes=notes)
    trainer.model.requires_grad_(True).train()
    first = distributed.is_main_process()
    config = {"preset": to_dict(preset), **notes}
    run = Run(folder, config) if first and folder is not None else None
    try:
        restored = distributed.broadcast_object(run.restore() if run else None)
        if restored:
            trainer.load_state(*restored)
        for progress in trainer.run(pause=lambda: run is not None and run.overdue):
            agent.notes["seconds"] = trainer.meter.seconds
            if first and progress:
                due = _due(progress, preset.training)
                if held_out and due:
                    episodes = preset.training.diagnose_episodes
                    found = diagnose(agent, trajectories, held_out, episodes)
                    progress = replace(progress, diagnostics=found)
                if run:
                    run.log(asdict(progress))
                    agent.save(run.folder)
                    if keep and due:
                        _keep(agent, run.folder, progress.step, keep)
            if run:
                run.save(*trainer.state())
            if first and progress and on_progress is not None:
                on_progress(progress, agent)
            if run and run.interrupted:
                raise KeyboardInterrupt
    finally:
        if run:
            run.close()
        trainer.model.requires_grad_(False).eval()
    return agent


def _keep(agent: JEPAAgent, folder: Path, step: int, count: int) -> None:
    """Save an agent under its step, and forget all but the last `count` of them."""
    agent.save(folder / f"step-{step:06d}")
    for old in sorted(folder.glob("step-*"))[:-count]:
        shutil.rmtree(old)


def _due(progress: Progress, config: TrainingConfig) -> bool:
    return progress.step % config.diagnose_every == 0 or progress.step in (
        config.steps,
        progress.steps,
    )


def resolve_env(
    model: WorldModelConfig, trajectories: Trajectories
) -> tuple[EnvRef, Renderer | None, ActionBounds]:
    """The environment that made the data, its renderer and its actions' bounds.

    Raises:
        ValueError: if a model of this shape does not fit it.
    """
    spec = env_of(trajectories)
    expected, render, bounds = world_shape(spec, trajectories)
    states = model.state_dim or expected[2]  # without a probe, any will do
    if expected != (model.observation_shape, model.action_dim, states):
        raise ValueError(
            f"observation_shape, action_dim and state_dim must be {expected} for {spec.id}, "
            f"got {(model.observation_shape, model.action_dim, model.state_dim)}; change the model"
        )
    return spec, render, bounds
