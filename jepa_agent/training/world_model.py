"""Training a world model from trajectories, without rewards and without reconstructing pixels.

Joint training trains all modules on windows of a few layouts per batch. Refinement then freezes
the encoder and the distance and trains the predictor on cached latents, in much larger batches.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..agent.agent import JEPAAgent
from ..data.hindsight import Hindsight, HindsightSampler
from ..data.latents import Latents, encode_trajectories
from ..data.source import env_of, recorded_bounds, world_shape
from ..data.splitting import held_out_episodes, selected
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Windows, WindowSampler
from ..device import resolve_device
from ..evaluation.diagnostics import diagnose
from ..io import checkpoint
from ..io.serialisation import to_dict
from ..models.backbones import Backbone
from ..models.encoders import BackboneEncoder, EncoderConfig, Fused
from ..models.encoders.fused import fused
from ..models.world_model import WorldModel
from ..worlds.parts import Parts
from . import distributed
from .batches import Batch, Batches
from .config import Preset, RefinementConfig, TrainingConfig
from .loop import Callback, Trainer
from .objective import Objective
from .optim import adamw, cosine
from .start import weights_from
from .task import Progress, StepOutput, Task

FLOOR = 0.05
"""Final learning rate of joint training, as a share of its peak, if refinement follows."""
AGAIN = 2
"""Frames are rendered once and kept, if joint training draws each more often than this."""


class WorldModelTask(Task):
    """A world model in its two stages; see `train` for the arguments.

    The preset's model takes the shapes of the data's observations, actions and states.
    """

    model: WorldModel
    config: TrainingConfig
    generator: torch.Generator
    is_static = True

    def __init__(
        self,
        trajectories: Trajectories,
        preset: Preset,
        device: torch.device,
        held_out: Trajectories | None = None,
        backbone: Backbone | None = None,
        keep: int = 0,
        start: JEPAAgent | None = None,
    ) -> None:
        trajectories.check_finite()
        config, env_ref = preset.training, env_of(trajectories)
        (seen, action_dim, state_dim), render, bounds = world_shape(env_ref, trajectories)
        shape = replace(
            preset.model,
            observation_shape=seen,
            encoder=_encoder(preset, trajectories),
            action_dim=action_dim,
            state_dim=state_dim if preset.model.state_dim else 0,
        )
        self.stages = (config.steps, config.steps + config.refinement.steps)
        self._left_out = np.empty(0, dtype=np.int64)
        if held_out is None:
            share, length = config.held_out_share, shape.learned_chunk + 1
            self._left_out = held_out_episodes(trajectories, share, length)
        if len(self._left_out):
            held_out = selected(trajectories, self._left_out)
        self._trajectories, self._held_out, self._keep = trajectories, held_out, keep
        windows = config.steps * config.layouts_per_batch * config.windows_per_layout
        again = windows * (config.horizon + 1) > AGAIN * len(trajectories.states)
        self._source = ObservationSource(trajectories, render, device, shape.encoded_shape, again)
        self._render = render
        self.sampler = WindowSampler(
            trajectories, shape.learned_chunk, config.horizon, device, self._left_out
        )
        if config.weights.contrast and self.sampler.num_layouts < 2:
            raise ValueError(
                "the contrast loss needs data of several layouts, got 1; collect more layouts or "
                "set training.weights.contrast to 0"
            )
        self._latents: tuple[Latents, WindowSampler] | None = None
        self._terminal: Tensor | None = None
        self._hindsight: HindsightSampler | None = None
        self.generator = torch.Generator(device).manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = WorldModel(shape)
            self.objective = Objective(model, config, self.sampler.num_layouts)
        super().__init__(model, config, device)
        self.modules["objective"] = self.objective.to(device)
        self._batches = Batches(self.sampler, self._source, self.objective, shape.latent_dim)
        if backbone is not None and start is not None:
            raise ValueError(
                "a training begins with the weights of a backbone or of an agent, got both; "
                "leave one of them out"
            )
        notes: dict[str, Any] = {"training": to_dict(config), "data": trajectories.metadata}
        if backbone is not None:
            self._adopt(backbone)
            notes["backbone"] = checkpoint.digest(backbone.state_dict())
        self.run_config = {"model": to_dict(shape), **notes}
        self.run_config["data_checksum"] = trajectories.checksum()
        self.clipped = (model.encoder, model.predictor, model.distance_head)
        if model.proposals is not None:
            self.clipped = (*self.clipped, model.proposals)
            if not config.refinement.steps:
                raise ValueError(
                    "proposals are learned in refinement, got training.refinement.steps 0; raise it"
                )
        self.max_grad_norm = config.max_grad_norm
        if model.ending is not None:
            self.clipped = (*self.clipped, model.ending)
            self._check_ending()
        self._joint = self.compile(self.objective)
        self._refine = self.compile(self.objective.refine)
        if start is None:
            if not config.steps:
                raise ValueError(
                    "refinement alone needs an agent whose encoder is kept, got training.steps 0 "
                    "without start; name one, or raise the steps"
                )
            self._standardise()
        else:
            self.model.load_state_dict(weights_from(start.model, self.model))
            notes["start"] = self.run_config["start"] = checkpoint.digest(start.model.state_dict())
            if env_ref is None:
                env_ref = start.env_ref if start.has_environment else None
                bounds = recorded_bounds(trajectories) or start.bounds
        planner = preset.planner.build()
        self.trained = JEPAAgent(self.model, bounds, env_ref, planner, preset.cost, notes=notes)
        self.model.requires_grad_(True)

    def given(self, step: int) -> tuple[Tensor, ...]:
        """The batch of joint training, if some of it is on the disk."""
        if step >= self.config.steps or not self._batches.are_read:
            return ()
        batch = self._batches.draw(self.generator, more=step + 1 < self.config.steps)
        return (*batch.windows, batch.images, batch.directions)

    def compute_losses(self, step: int, given: tuple[Tensor, ...] = ()) -> StepOutput:
        """Joint training's terms, or refinement's."""
        joint = step < self.config.steps
        terms = self._joint_terms(given) if joint else self._refinement_terms()
        stage = self._stage(step)
        frames = stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
        return StepOutput(terms, self.objective.total(terms), frames)

    def new_optimizer(self, step: int) -> torch.optim.Optimizer:
        """AdamW for all parameters, or only for the predictor and the probe."""
        modules: list[nn.Module | None]
        if step < self.config.steps:
            modules = [self.model, self.objective]
        else:
            model = self.model
            modules = [model.predictor, model.probe, model.proposals, model.ending]
        parameters = [p for module in modules if module for p in module.parameters()]
        return adamw(parameters, self.config.weight_decay)

    def learning_rate(self, step: int) -> float:
        """A cosine after a warm-up, in each stage."""
        stage, floor = self._stage(step), FLOOR if self.config.refinement.steps else 0.0
        if step >= self.config.steps:
            step, floor = step - self.config.steps, 0.0
        return stage.learning_rate * cosine(
            step, stage.steps, self.config.warmup * stage.steps, floor
        )

    def report(self, progress: Progress, output: StepOutput) -> Progress:
        """Add the probe's error, and diagnostics where they are due."""
        if "probe" in progress.losses:
            spread = self.model.state_std.square().mean().sqrt().item()
            progress = replace(progress, probe_error=progress.losses["probe"] ** 0.5 * spread)
        if self._held_out is not None and self._is_due(progress.step):
            episodes = self.config.diagnose_episodes
            found = diagnose(self.trained, self._trajectories, self._held_out, episodes)
            progress = replace(progress, diagnostics=found)
        return progress

    def save(self, folder: Path, step: int, seconds: float) -> None:
        """Write the agent, and a copy named by its step where diagnostics are due and kept."""
        self.trained.notes["seconds"] = seconds
        self.trained.save(folder)
        if self._keep and self._is_due(step):
            self.trained.save(folder / f"step-{step:06d}")
            for old in sorted(folder.glob("step-*"))[: -self._keep]:
                shutil.rmtree(old)

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._batches.close()

    def _is_due(self, step: int) -> bool:
        return step % self.config.diagnose_every == 0 or step in self.stages

    def _check_ending(self) -> None:
        known = self._trajectories.terminal
        if not self.config.refinement.steps or known is None or not known.any():
            raise ValueError(
                "ends are learned in refinement, from data with terminal states, got "
                f"training.refinement.steps {self.config.refinement.steps} and "
                f"{0 if known is None else known.sum()} such states; raise the steps, or set "
                "model.ending.width to 0"
            )

    def _stage(self, step: int) -> TrainingConfig | RefinementConfig:
        return self.config if step < self.config.steps else self.config.refinement

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
        """Set the statistics of what the model sees, does and its probe reads.

        They are those of all actions, and of all vectors or a first batch of images.
        """
        mean, std = _spread(torch.as_tensor(self._trajectories.actions).to(self.device))
        self.model.action_mean.copy_(mean)
        self.model.action_std.copy_(std)
        batch = self.sampler.draw(
            self.config.layouts_per_batch, self.config.windows_per_layout, self.generator
        )
        seen, states = self._source(batch), batch.states
        if seen.dtype != torch.uint8:  # a batch may miss what rarely changes
            data = self._trajectories
            vectors = data.states if data.observations is None else data.observations[:]
            seen = torch.as_tensor(vectors).to(self.device)
            states = torch.as_tensor(data.states).to(self.device)
        encoder = self.model.encoder
        parts = encoder.unpack(seen) if isinstance(encoder, Fused) else [seen]
        spreads = [_spread(part) for part in parts]
        mean = torch.cat([mean for mean, _ in spreads])
        least = [1.0 if part.dtype == torch.uint8 else 0.0 for part in parts]
        std = torch.cat([std.clamp_min(low) for (_, std), low in zip(spreads, least, strict=True)])
        self.model.observation_mean.copy_(mean)
        self.model.observation_std.copy_(std)
        if self.model.probe is not None:
            mean, std = _spread(states)
            self.model.state_mean.copy_(mean)
            self.model.state_std.copy_(std)

    def _joint_terms(self, given: tuple[Tensor, ...] = ()) -> dict[str, Tensor]:
        if given:
            *windows, images, directions = given
            batch = Batch(Windows(*windows), images, directions)
        else:
            batch = self._batches.draw(self.generator)
        with self.autocast():
            return self._joint(self.model, batch.images, batch.windows, batch.directions)

    def _refinement_terms(self) -> dict[str, Tensor]:
        config = self.config.refinement
        if self._latents is None:
            self._latents = self._encode_all()
        latents, sampler = self._latents
        batch = sampler.draw(config.layouts_per_batch, config.windows_per_layout, self.generator)
        hindsight = None
        if self._hindsight is not None:
            count = config.layouts_per_batch * config.windows_per_layout
            hindsight = self._hindsight.draw(count, self.generator)
            hindsight = Hindsight(*map(distributed.shard, hindsight))
        batch = Windows(*map(distributed.shard, batch))
        seen = latents.values[batch.frame_index].float()
        ended = None if self._terminal is None else self._terminal[batch.frame_index]
        with self.autocast():
            return self._refine(self.model, seen, batch.actions, batch.states, hindsight, ended)

    def _encode_all(self) -> tuple[Latents, WindowSampler]:
        shape, horizon = self.model.config, self.config.refinement.horizon
        proposals, data, source = shape.proposals, self._trajectories, self._source
        if self.model.ending is not None:  # windows go on where episodes have ended
            data = data.absorbing(shape.chunk * (horizon + 1), self.config.seed)
            source = ObservationSource(data, self._render, self.device, shape.encoded_shape)
        latents = encode_trajectories(
            data,
            lambda rows: self.model.encode(source.at(rows)),
            shape.chunk,
            self.device,
            self.config.seed,
            self._left_out,
        )
        terminal = latents.trajectories.terminal
        if self.model.ending is not None and terminal is not None:
            self._terminal = torch.as_tensor(terminal[:, 0]).to(self.device)
        windows = WindowSampler(latents.trajectories, 1, horizon, self.device)
        if proposals.heads:
            self._hindsight = HindsightSampler(
                latents, proposals.horizon, proposals.reach, self.device
            )
        return latents, windows


def _encoder(preset: Preset, trajectories: Trajectories) -> EncoderConfig:
    """The preset's encoder, or one for each part of what the data show."""
    shapes, encoder = trajectories.metadata.get("parts"), preset.model.encoder
    return encoder if shapes is None else fused(Parts(shapes), encoder, preset.model.max_image_size)


def _spread(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the last dimension; 1 where nothing varies.

    What varies less than a millionth of its size is rounding, whatever the unit.
    """
    values = values.flatten(0, -2).double()
    std, size = values.std(0), values.abs().amax(0)
    return values.mean(0), torch.where(std > 1e-6 * size, std, 1.0)


def train(
    trajectories: Trajectories,
    preset: Preset,
    device: torch.device | str = "auto",
    *,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    held_out: Trajectories | None = None,
    backbone: Backbone | None = None,
    keep: int = 0,
    start: JEPAAgent | str | Path | None = None,
) -> JEPAAgent:
    """Train a world model on trajectories and wrap it as an agent.

        def show(progress, agent):
            print(progress.step, progress.losses)

        agent = jepa_agent.train(data, BASE, folder="runs/base", callbacks=[show, WandB("rooms")])

    Args:
        trajectories: the data; their metadata name the environment, and the model takes the shapes
            of their observations, actions and states.
        preset: the model, its training, the planner and its cost; a run may be resumed with
            another planner and cost.
        device: where to train, see `resolve_device`.
        folder: where the run keeps its state, its log `metrics.jsonl` and its agent; a run that
            was interrupted goes on from there.
        callbacks: called with the progress and the agent about every 50 steps, after both are
            saved; `training.loggers` has some for TensorBoard, Weights & Biases and trackio.
        held_out: data of other layouts or episodes, for the diagnostics; without them, the preset's
            `training.held_out_share` of the episodes is kept back.
        backbone: pretrained weights for a model whose encoder is a `BackboneEncoder`.
        keep: number of past diagnostic checkpoints to keep, as `step-N/` in the folder.
        start: an agent, or where one is saved, to go on from, on these data and with a new
            schedule. Its weights are taken, and with them the statistics by which it standardises
            observations and states; heads that only the losses use begin anew. An agent with one
            predictor may become one with several (`model.predictor.heads`), which all begin as it
            and part by what they see. Where the data name no environment, its environment and
            bounds are kept too.

    Raises:
        KeyboardInterrupt: at Ctrl-C, in a folder after the step in progress, which is kept.
        ValueError: if there is no such device, the environment cannot render states in batch and
            the data have no observations, the folder's run had another config, or `start` has a
            model of another shape.
        FloatingPointError: if a loss term is not finite; the folder keeps the last good state.
    """
    if isinstance(start, str | Path):
        start = JEPAAgent.load(start, "cpu")
    task = WorldModelTask(
        trajectories, preset, resolve_device(device), held_out, backbone, keep, start
    )
    trainer = Trainer(task)
    trainer.fit(folder, callbacks)
    task.trained.notes["seconds"] = trainer.meter.seconds
    task.model.requires_grad_(False).eval()
    return task.trained
