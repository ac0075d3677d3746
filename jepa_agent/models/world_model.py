"""The world model: encode, predict, rollout, distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.resizing import scaled, scaled_shape
from .distances import BlockNormConfig, DistanceHeadConfig
from .encoders import EncoderConfig, PatchCNNConfig
from .ending import EndingConfig
from .layers import mlp
from .predictors import Ensemble, PredictorConfig, ResidualMLPConfig
from .predictors.ensemble import dealt, gathered
from .proposals import ProposalsConfig


@dataclass(frozen=True)
class WorldModelConfig:
    """A world model's shape.

    Args:
        observation_shape: (H, W, C) of uint8 images, (S,) of vectors, or (bytes,) of observations
            of several parts; see `jepa_agent.worlds.parts`.
        action_dim: size A of one action.
        state_dim: size of the compact state that the probe reads off a latent; 0 for no probe.
        chunk: environment steps K per prediction.
        latent_dim: size D of the latent.
        max_image_size: images whose height or width exceeds it are scaled down to it, keeping their
            proportions, before the encoder; 0 for images as they come.
        encoder: the encoder's config.
        predictor: the predictor's config.
        distance_head: the distance's config.
        proposals: the config of the network that proposes actions, if there is one.
        ending: the config of the network that foresees an episode's end, if there is one.
        training_chunk: environment steps of the chunks that joint training shows, and that
            distances count, where they are not those of refinement and of plans; 0 where they are.
            Long chunks teach distances, short ones walk straighter. A predictor whose weights fit
            one length of chunks gets shorter ones filled up with mean actions.
    """

    observation_shape: tuple[int, ...] = (65, 65, 3)
    action_dim: int = 2
    state_dim: int = 2
    chunk: int = 5
    latent_dim: int = 128
    max_image_size: int = 72
    encoder: EncoderConfig = field(default_factory=PatchCNNConfig)
    predictor: PredictorConfig = field(default_factory=ResidualMLPConfig)
    distance_head: DistanceHeadConfig = field(default_factory=BlockNormConfig)
    proposals: ProposalsConfig = field(default_factory=ProposalsConfig)
    ending: EndingConfig = field(default_factory=EndingConfig)
    training_chunk: int = 0

    def __post_init__(self) -> None:
        least = {
            "action_dim": 1,
            "state_dim": 0,
            "chunk": 1,
            "latent_dim": 2,
            "max_image_size": 0,
            "training_chunk": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        fits = self.predictor.any_chunk or self.chunk <= self.learned_chunk
        if self.learned_chunk != self.chunk and (self.ending.width or not fits):
            raise ValueError(
                "training_chunk may be longer than chunk, or shorter where a predictor fits any, "
                f"and there must be no ending, got {self.training_chunk} and {self.chunk} with "
                f"{self.predictor.kind} and an ending's width of {self.ending.width}; leave "
                "training_chunk out"
            )

    @property
    def learned_chunk(self) -> int:
        """Environment steps of the chunks that joint training shows, and that distances count."""
        return self.training_chunk or self.chunk

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """(h, w, C) of the images that the encoder gets, or (S,)."""
        longest = 0 if self.encoder.scales_images else self.max_image_size
        return scaled_shape(self.observation_shape, longest)


class WorldModel(nn.Module):
    """An action-conditioned JEPA with a learned distance that accounts for obstacles.

    Shapes: B batch, T time, H horizon in chunks, K steps per chunk, A action, D latent.
    """

    observation_mean: Tensor
    observation_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    state_mean: Tensor
    state_std: Tensor

    def __init__(self, config: WorldModelConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.latent_dim
        if len(config.observation_shape) != config.encoder.observation_ndim:
            kind = {1: "vectors (S,)", 3: "images (H, W, C)"}[config.encoder.observation_ndim]
            raise ValueError(
                f"the encoder {config.encoder.kind} takes {kind}, got observations "
                f"{config.observation_shape}; choose another encoder"
            )
        self.encoder: Any = config.encoder.build(config.encoded_shape, dim)
        if config.predictor.shares_norm and not hasattr(self.encoder, "norm"):
            raise ValueError(
                f"the predictor {config.predictor.kind} needs an encoder with a LayerNorm `norm`, "
                f"got {config.encoder.kind}"
            )
        if config.predictor.heads < 1:
            raise ValueError(f"predictor.heads must be at least 1, got {config.predictor.heads}")
        shape = (dim, config.action_dim, config.learned_chunk)
        self.predictor = (
            Ensemble(config.predictor, *shape)
            if config.predictor.heads > 1
            else config.predictor.build(*shape)
        )
        self.distance_head: Any = config.distance_head.build(dim)
        self.probe = mlp(dim, 256, 1, config.state_dim) if config.state_dim else None
        self.proposals = (
            config.proposals.build(dim, config.chunk * config.action_dim)
            if config.proposals.heads
            else None
        )
        chunk_dim = config.chunk * config.action_dim
        self.ending = config.ending.build(dim, chunk_dim) if config.ending.width else None
        channels = config.encoder.statistics_size(config.observation_shape)
        self.register_buffer("observation_mean", torch.zeros(channels))
        self.register_buffer("observation_std", torch.ones(channels))
        self.register_buffer("action_mean", torch.zeros(config.action_dim))
        self.register_buffer("action_std", torch.ones(config.action_dim))
        self.register_buffer("state_mean", torch.zeros(config.state_dim))
        self.register_buffer("state_std", torch.ones(config.state_dim))

    def encode(self, observations: Tensor) -> Tensor:
        """Latents (..., D) of uint8 images (..., H, W, C), vectors (..., S) or rows of bytes.

        Images may have their size already that the encoder gets, `config.encoded_shape`.
        """
        shape, wanted = self.config.observation_shape, self.config.encoded_shape
        batch = observations.shape[: observations.ndim - len(shape)]
        flat = observations.reshape(-1, *observations.shape[len(batch) :])
        if wanted != shape:
            flat = scaled(flat, wanted)
        latents = self.encoder(flat, self.observation_mean, self.observation_std)
        return latents.reshape(*batch, -1)

    def predict(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) one chunk later, given action chunks (..., K * A)."""
        return self._predict(latents, self._given(actions))

    def rollout(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Imagined latents (..., H, D) from latents (..., D) under chunks (..., H, K * A)."""
        if self.num_heads > 1:
            return self.rollout_heads(latents, actions).mean(dim=0)
        imagined = []
        for chunk in self._given(actions).unbind(dim=-2):
            latents = self._predict(latents, chunk)
            imagined.append(latents)
        return torch.stack(imagined, dim=-2)

    @property
    def num_heads(self) -> int:
        """Predictors that imagine independently; 1 without an ensemble."""
        return self.predictor.heads if isinstance(self.predictor, Ensemble) else 1

    def predict_heads(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Every head's latents (heads, ..., D) one chunk later, from its own (heads, ..., D).

        Given latents of fewer, these are the first heads.
        """
        if not isinstance(self.predictor, Ensemble):
            return self.predict(latents, actions.expand(1, *actions.shape))
        return self.predictor.each(latents, self._given(actions))

    def rollout_heads(self, latents: Tensor, actions: Tensor) -> Tensor:
        """What every head imagines, (heads, ..., H, D); see `rollout`."""
        latents = latents.expand(self.num_heads, *latents.shape)
        imagined = []
        for chunk in actions.unbind(dim=-2):
            latents = self.predict_heads(latents, chunk)
            imagined.append(latents)
        return torch.stack(imagined, dim=-2)

    def rollout_dealt(self, latents: Tensor, actions: Tensor) -> Tensor:
        """What one head each imagines, (..., H, D): windows are dealt out, for training."""
        if not isinstance(self.predictor, Ensemble):
            return self.rollout(latents, actions)
        count, lead = latents.shape[:-1].numel(), actions.shape[:-1]
        hands = dealt(latents.flatten(0, -2), self.num_heads)
        chunks = dealt(self._given(actions).flatten(0, -3), self.num_heads)
        imagined = []
        for chunk in chunks.unbind(dim=-2):
            hands = self.predictor.each(hands, chunk, dealt=True)
            imagined.append(hands)
        return gathered(torch.stack(imagined, dim=-2), count).reshape(*lead, -1)

    def chance_of_ending(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The chance (...) that an episode at latents (..., D) ends in a chunk (..., K * A).

        Raises:
            ValueError: if the model does not foresee ends.
        """
        if self.ending is None:
            raise ValueError(
                "foreseeing an end needs a model that has learned it, got ending.width 0; train it "
                "with model.ending.width 128 on data with terminal states"
            )
        return self.ending(latents, self.standardise(actions)).sigmoid()

    def standardise(self, actions: Tensor) -> Tensor:
        """Action chunks (..., K * A) in units of their mean and deviation in the training data."""
        steps = actions.unflatten(-1, (-1, self.config.action_dim))
        return ((steps - self.action_mean) / self.action_std).flatten(-2)

    def propose(self, latents: Tensor, goals: Tensor, ahead: Tensor, horizon: int) -> Tensor:
        """Action chunks (B, M, H, K * A) that may lead from latents to goals (B, D).

        Args:
            latents: (B, D).
            goals: (B, D).
            ahead: (B,), in how many chunks.
            horizon: chunks H to propose.

        Returns:
            The likeliest first; chunks after the goal, and after the network's own horizon, repeat
            the last one before.

        Raises:
            ValueError: if the model has no proposals.
        """
        actions, logits = self.proposed(latents, goals, ahead, horizon)
        order = logits.argsort(dim=-1, descending=True)
        return actions[torch.arange(len(actions), device=order.device)[:, None], order]

    def proposed(
        self, latents: Tensor, goals: Tensor, ahead: Tensor, horizon: int
    ) -> tuple[Tensor, Tensor]:
        """What `propose` returns, in the order of the heads, and how likely (B, M) each is."""
        if self.proposals is None:
            raise ValueError(
                "proposing actions needs a model with proposals, got one of 0 heads; train it with "
                "model.proposals.heads 8, or choose another planner"
            )
        actions, logits = self.proposals(latents, goals, ahead)
        last = ahead[:, None].clamp(1, self.config.proposals.horizon) - 1
        which = torch.minimum(torch.arange(horizon, device=ahead.device), last)  # (B, H)
        which = which[:, None, :, None].expand(-1, actions.shape[1], -1, actions.shape[-1])
        steps = actions.gather(2, which).unflatten(-1, (-1, self.config.action_dim))
        return (steps * self.action_std + self.action_mean).flatten(-2), logits

    def with_proposals(self, config: ProposalsConfig) -> WorldModel:
        """A copy with a new, untrained network that proposes actions."""
        copied = WorldModel(replace(self.config, proposals=config)).to(self.observation_mean)
        mine = self.state_dict().items()
        kept = {name: tensor for name, tensor in mine if not name.startswith("proposals.")}
        copied.load_state_dict(copied.state_dict() | kept)
        return copied.eval().requires_grad_(False)

    def _given(self, actions: Tensor) -> Tensor:
        """Action chunks (..., K * A) as the predictor takes them, see `training_chunk`."""
        config, actions = self.config, self.standardise(actions)
        missing = config.learned_chunk * config.action_dim - actions.shape[-1]
        if config.predictor.any_chunk or not missing:
            return actions
        return F.pad(actions, (0, missing))

    def _predict(self, latents: Tensor, actions: Tensor) -> Tensor:
        predicted = self.predictor(latents, actions)
        return self.encoder.norm(predicted) if self.config.predictor.shares_norm else predicted

    def distance_embedding(self, latents: Tensor) -> Tensor:
        """The distance head's embeddings (..., E) of latents (..., D)."""
        return self.distance_head(latents)

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Learned path length in chunks (...) from latents to goal latents (..., D)."""
        return self.embedding_distance(
            self.distance_embedding(latents), self.distance_embedding(goals)
        )

    def embedding_distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Learned path length in chunks (...) from one embedding (..., E) to another."""
        return self.distance_head.distance(start, end)

    def distance_towards(self, end: Tensor) -> Callable[[Tensor], Tensor]:
        """`embedding_distance` to (..., E) as a function of the start: what is the same is kept."""
        head = self.distance_head
        if hasattr(head, "towards"):
            return head.towards(end)
        return partial(head.distance, end=end)

    def near_distance(self, start: Tensor, end: Tensor) -> Tensor:
        """As `embedding_distance`, but at little cost, and right within a chunk or so alone."""
        head = self.distance_head
        return getattr(head, "near", head.distance)(start, end)

    def locate(self, latents: Tensor) -> Tensor:
        """Compact states (..., S) read off latents by the probe, in the environment's units.

        Raises:
            ValueError: if the model has no probe.
        """
        if self.probe is None:
            raise ValueError(
                "reading states off latents needs a model with a probe, got one of state_dim 0; "
                "train it with the state_dim of its data"
            )
        return self.probe(latents) * self.state_std + self.state_mean
