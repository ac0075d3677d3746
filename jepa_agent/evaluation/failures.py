"""How well failures are foreseen: ranking, calibration, and what abstaining buys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..agent.calibration import Calibration, features, fit
from ..agent.state import AgentState
from .episodes import play

BINS = 10


class Watched:
    """An agent that notes what it expects of every plan.

    Args:
        agent: whose model has several heads or foresees ends.
    """

    def __init__(self, agent: JEPAAgent) -> None:
        if not agent.foresees:
            raise ValueError(
                "foreseeing failure needs a model of several heads, or one that foresees ends, got "
                "neither; train it with model.predictor.heads 5"
            )
        self._agent = agent
        self.plans: list[list[Tensor]] = []
        """The features (4,) of every plan, a list for each episode."""

    def predict(
        self,
        observation: Any,
        state: AgentState | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, AgentState]:
        """The agent's own actions."""
        actions, now = self._agent.act(observation, state, episode_start)
        if state is None:
            self._first = len(self.plans)
            self.plans += [[] for _ in now.environment]
        if now.outlook is not None:
            rows = np.flatnonzero(now.planned)
            found = features(now.outlook, torch.as_tensor(now.decision[rows])).cpu()
            for row, each in zip(rows.tolist(), found, strict=True):
                self.plans[self._first + int(now.environment[row])].append(each)
        return actions, now


class Watchings(NamedTuple):
    """What was expected of P plans in E episodes."""

    features: Tensor
    """(P, 4)."""
    episode: Tensor
    """(P,), the number of each plan's episode, in order."""
    failed: Tensor
    """Boolean (E,)."""

    @property
    def first(self) -> Tensor:
        """(E,), the number of each episode's first plan."""
        return torch.searchsorted(self.episode, torch.arange(len(self.failed)))


def watch(
    agent: JEPAAgent,
    make_env: Callable[[], gym.Env],
    seeds: Sequence[int],
    parallel: int = 64,
    on_episode: Callable[[int], None] | None = None,
) -> Watchings:
    """Play episodes, and note what was expected of their plans and whether they failed."""
    watched = Watched(agent)
    episodes = play(watched, make_env, seeds, parallel, on_episode)
    wrong = next((each for each in episodes if each.error), None)
    if wrong is not None:
        raise RuntimeError(f"episodes must be played to their end, got {wrong.error}")
    counts = torch.tensor([len(plans) for plans in watched.plans])
    return Watchings(
        torch.stack([each for plans in watched.plans for each in plans]),
        torch.repeat_interleave(torch.arange(len(counts)), counts),
        torch.tensor([not each.success for each in episodes]),
    )


def calibrate(seen: Watchings) -> Calibration:
    """Fit the chance of failure to plans, the episodes counting alike."""
    counts = torch.bincount(seen.episode, minlength=len(seen.failed))
    return fit(seen.features, seen.failed[seen.episode], 1.0 / counts[seen.episode])


@dataclass(frozen=True)
class Forecast:
    """How well failures of episodes were foreseen at their first decision.

    Args:
        episodes, failures: how many there were.
        auroc: the chance that a failed episode had been given a greater chance of failure than
            another one; None if all are of one kind.
        calibration_error: the expected calibration error over ten equal bins.
        reliability: by bin, episodes, the mean chance foreseen and the share that failed.
        abstain: the least share of episodes to leave out, the most doubtful first, for 99.9 % of
            the others to succeed.
    """

    episodes: int
    failures: int
    auroc: float | None
    calibration_error: float
    reliability: list[tuple[int, float, float]]
    abstain: float


def forecast(chances: np.ndarray, failed: np.ndarray, wanted: float = 0.999) -> Forecast:
    """Compare chances (E,) of failure with what happened (E,)."""
    number = np.minimum((chances * BINS).astype(int), BINS - 1)
    rows = [(number == each) for each in range(BINS) if (number == each).any()]
    reliability = [
        (int(row.sum()), float(chances[row].mean()), float(failed[row].mean())) for row in rows
    ]
    error = sum(count * abs(mean - share) for count, mean, share in reliability) / len(failed)
    order = np.argsort(chances, kind="stable")
    share = np.cumsum(failed[order]) / (1 + np.arange(len(failed)))
    kept = np.flatnonzero(share <= 1 - wanted)
    most = int(kept[-1]) + 1 if len(kept) else 0
    return Forecast(
        len(failed), int(failed.sum()), auroc(chances, failed), float(error), reliability,
        1 - most / len(failed),
    )  # fmt: skip


def auroc(chances: np.ndarray, failed: np.ndarray) -> float | None:
    """The area under the ROC curve: how often chances (E,) rank a failure first, ties half."""
    failures, others = chances[failed], np.sort(chances[~failed])
    if not len(failures) or not len(others):
        return None
    below = np.searchsorted(others, failures, side="left")
    up_to = np.searchsorted(others, failures, side="right")
    return float((below + up_to).mean() / 2 / len(others))
