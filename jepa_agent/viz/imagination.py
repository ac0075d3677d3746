"""Imagined states and learned distances, for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..agent.imagination import imagine
from ..agent.state import AgentState

SHOWN_CANDIDATES = 24


@torch.no_grad()
def imagined_paths(agent: JEPAAgent, state: AgentState) -> tuple[np.ndarray, np.ndarray]:
    """States that the probe reads off an imagined plan and off the best of its last candidates.

    Args:
        agent: the agent; its model must have a probe.
        state: the state of one environment that has just planned.

    Returns:
        The plan's states (horizon + 1, S), and those of up to 24 candidates
        (N, horizon + 1, S), from best to worst.
    """
    model, plan, latents = agent.model, state.search, state.latents  # (1, D)
    assert plan is not None
    rounds = list(zip(plan.trace.costs, plan.trace.candidates, strict=True))
    rounds = rounds or [(plan.cost[:, None], plan.actions[:, None])]  # no search
    several = [one for one in rounds if one[0].shape[1] > 1]  # MPPI's last round is its mean alone
    costs, candidates = (several or rounds)[-1]
    order = costs[0].argsort()[:SHOWN_CANDIDATES]
    actions = torch.cat([plan.actions[:, None], candidates[:, order]], dim=1)
    imagined = imagine(model, latents, actions, state.error_memory, agent.chunks)[0][0]  # (N, H, D)
    start = latents[:, None].expand(imagined.shape[0], -1, -1)
    states = model.locate(torch.cat([start, imagined], dim=1)).cpu().numpy()
    return states[0], states[1:]


@torch.no_grad()
def paths_of_heads(agent: JEPAAgent, state: AgentState) -> np.ndarray | None:
    """States (heads, horizon + 1, S) that each of several heads imagines under the plan.

    Args:
        agent: the agent; its model must have a probe.
        state: the state of one environment that has just planned.
    """
    if state.outlook is None or agent.model.num_heads == 1:
        return None
    imagined = state.outlook.paths[0]  # (heads, H, D)
    start = state.latents[:, None].expand(len(imagined), -1, -1)
    return agent.model.locate(torch.cat([start, imagined], dim=1)).cpu().numpy()


@torch.no_grad()
def computed_way(agent: JEPAAgent, state: AgentState) -> np.ndarray | None:
    """The way to the goal that the distance computes: places (N, 2) as shares of the picture.

    Args:
        agent: the agent.
        state: the state of one environment that has just planned.

    Returns:
        None if the distance computes no ways over the picture.
    """
    model = agent.model
    if agent.seeks_state or not hasattr(model.distance_head, "way"):
        return None
    ends = (model.distance_embedding(latents[0]) for latents in (state.latents, state.goal_latents))
    return model.distance_head.way(*ends).cpu().numpy()


def predicted_risk(agent: JEPAAgent, state: AgentState) -> float | None:
    """The chance of failure of one environment: calibrated, or else that of an end within the plan.

    Args:
        agent: the agent.
        state: the state of one environment that has just planned.

    Returns:
        None if the agent neither was calibrated nor foresees ends.
    """
    if state.failure is not None:
        return float(state.failure[0])
    if state.outlook is None or agent.model.ending is None:
        return None
    return state.outlook.ending[0].item()


class Landscape:
    """The distances of many states of one layout, encoded once, to any goal.

    Args:
        agent: the agent whose model measures.
        states: (..., S).
        layout: (C,).
    """

    def __init__(self, agent: JEPAAgent, states: np.ndarray, layout: np.ndarray) -> None:
        self._agent, self._layout = agent, layout
        self._world: Any = agent.env_ref.make().unwrapped
        self._shape = states.shape[:-1]
        self._latents = self._encode(states)
        with torch.no_grad():
            self._embedded = agent.model.distance_embedding(self._latents)

    def distances(self, goal: np.ndarray, distance: str = "learned") -> np.ndarray:
        """From every state to a goal (S,).

        Args:
            goal: in the same layout.
            distance: "learned" or "latent", as in `CostConfig`.

        Returns:
            (...): chunks for "learned", mean squared difference for "latent".
        """
        model, wanted = self._agent.model, self._encode(goal)
        with torch.no_grad():
            if distance == "learned":
                field = model.embedding_distance(self._embedded, model.distance_embedding(wanted))
            else:
                field = (self._latents - wanted).square().mean(dim=-1)
        return field.cpu().numpy().reshape(self._shape)

    @torch.no_grad()
    def _encode(self, states: np.ndarray) -> torch.Tensor:
        agent = self._agent
        flat = torch.as_tensor(states, device=agent.device).float().reshape(-1, states.shape[-1])
        where = torch.as_tensor(self._layout, device=agent.device).float()
        images = (self._world.render_states(part, where) for part in flat.split(1024))
        return torch.cat([agent.model.encode(each) for each in images])
