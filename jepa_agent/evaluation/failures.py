"""How well failures are foreseen: ranking, calibration, and what abstaining buys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..agent.calibration import Calibration, features, fit
from ..agent.state import AgentState
from .episodes import play

BINS = 10
MOMENTS = (0, 2, 5, 10, 20)
"""Decisions at which failure is foreseen."""
DRAWS = 2000
"""Samples of the bootstrap."""


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
        """The features (F,) of every plan, a list for each episode."""

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
    """(P, F), see `calibration.FEATURES`."""
    episode: Tensor
    """(P,), the number of each plan's episode, in order."""
    failed: Tensor
    """Boolean (E,)."""
    layout: Tensor
    """(E,), a number for each episode's layout, or its own where the world has no layouts."""

    @property
    def first(self) -> Tensor:
        """(E,), the number of each episode's first plan."""
        return torch.searchsorted(self.episode, torch.arange(len(self.failed)))

    def at(self, decision: int) -> tuple[Tensor, Tensor]:
        """The features of plans of one decision, and whether their episodes failed.

        Episodes that were over before have none.
        """
        counts = torch.bincount(self.episode, minlength=len(self.failed))
        under_way = counts > decision
        return self.features[self.first[under_way] + decision], self.failed[under_way]

    def select(self, chosen: Tensor) -> Watchings:
        """Some of the episodes, given as booleans (E,)."""
        plans = chosen[self.episode]
        number = chosen.cumsum(dim=0) - 1
        return Watchings(
            self.features[plans],
            number[self.episode[plans]],
            self.failed[chosen],
            self.layout[chosen],
        )

    def halves(self, seed: int = 0) -> tuple[Watchings, Watchings]:
        """Episodes in two halves of about one size which share no layout, unless there is one."""
        groups = self.layout if len(self.layout.unique()) > 1 else torch.arange(len(self.layout))
        names, sizes = groups.unique(return_counts=True)
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
        until = sizes[order].cumsum(dim=0)
        early = until <= len(self.failed) / 2
        chosen = torch.isin(groups, names[order[early]])
        return self.select(chosen), self.select(~chosen)


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
        torch.tensor([crc32(repr(each.layout or each.seed).encode()) for each in episodes]),
    )


def calibrate(seen: Watchings) -> Calibration:
    """Fit the chance of failure to plans, later ones counting less.

    A plan counts by the number of its decision alone. By the length of its episode it must not:
    failures are long, and would seem rarer at every decision than they are.
    """
    decision = torch.arange(len(seen.episode)) - seen.first[seen.episode]
    return fit(seen.features, seen.failed[seen.episode], 1.0 / (1 + decision))


@dataclass(frozen=True)
class Forecast:
    """How well failures of episodes were foreseen at one decision.

    Args:
        episodes, failures: how many there were.
        auroc: the chance that a failed episode had been given a greater chance of failure than
            another one; None if all are of one kind.
        calibration_error: the expected calibration error over ten equal bins.
        reliability: by bin, episodes, the mean chance foreseen and the share that failed.
        abstain: the least share of episodes to leave out, the most doubtful first, for 99.9 % of
            the others to succeed.
        auroc_low, auroc_high: the 95 % interval of `auroc`, see `auroc_interval`; it means little
            where fewer than ten episodes failed.
    """

    episodes: int
    failures: int
    auroc: float | None
    calibration_error: float
    reliability: list[tuple[int, float, float]]
    abstain: float
    auroc_low: float | None = None
    auroc_high: float | None = None


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
        1 - most / len(failed), *auroc_interval(chances, failed),
    )  # fmt: skip


def auroc(chances: np.ndarray, failed: np.ndarray) -> float | None:
    """The area under the ROC curve: how often chances (E,) rank a failure first, ties half."""
    failures, others = chances[failed], np.sort(chances[~failed])
    if not len(failures) or not len(others):
        return None
    below = np.searchsorted(others, failures, side="left")
    up_to = np.searchsorted(others, failures, side="right")
    return float((below + up_to).mean() / 2 / len(others))


def auroc_interval(
    chances: np.ndarray, failed: np.ndarray, seed: int = 0
) -> tuple[float | None, float | None]:
    """The middle 95 % of the areas of samples of the failures, and of the others, with repetition.

    The bootstrap of Efron (1979), stratified: every sample has as many failures as there were.
    """
    failures, others = chances[failed], chances[~failed]
    if not len(failures) or not len(others):
        return None, None
    higher = failures[:, None] - others
    wins = (np.sign(higher) + 1) / 2
    rng = np.random.default_rng(seed)
    shares = [np.full(len(each), 1 / len(each)) for each in (failures, others)]
    bad, good = (rng.multinomial(len(share), share, DRAWS) for share in shares)
    areas = ((bad @ wins) * good).sum(axis=1) / wins.size
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)
