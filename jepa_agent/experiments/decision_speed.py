"""How long one decision takes: by an agent's own planner, from proposals, and without a search."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..evaluation.episodes import play
from ..exporting.files import export
from ..exporting.graph import DecisionGraph
from ..models.proposals import ProposalsConfig
from ..planners import ProposalConfig, ReactiveConfig
from .speed import Figures, timed

HEADS = 8
"""Proposals of a network that is made for the measurement; with the last plan and doing nothing,
10 candidates."""


class Taken(NamedTuple):
    """Milliseconds of decisions, (N,) each."""

    wall: np.ndarray
    """By the clock."""
    processor: np.ndarray
    """That the processor worked: what the clock shows if nothing else runs."""


def real_time(agent: JEPAAgent) -> dict[str, JEPAAgent]:
    """The agent as it is, with verified proposals, and reactive.

    An agent without proposals gets an untrained network: how good they are takes no time.
    """
    horizon = agent.planner.horizon
    made, fast, reactive = agent.model, copy.copy(agent), copy.copy(agent)
    if made.proposals is None:
        made = made.with_proposals(ProposalsConfig(HEADS, horizon, max(20, horizon)))
    fast.model = reactive.model = made
    knots, heads = agent.chunks.knots, made.config.proposals.heads
    fast.planner = ProposalConfig(horizon, heads + 2, 1, knots=knots).build()
    reactive.planner = ReactiveConfig(horizon, knots=knots).build()
    return {"its own planner": agent, "verified proposals": fast, "reactive": reactive}


def decision_speed(
    runs: int, agent: JEPAAgent, decisions: int = 100, episodes: int = 1000
) -> Iterator[Figures]:
    """Milliseconds a decision on one thread, in turns, and of many episodes planned together.

    Args:
        runs: measurements of each figure.
        agent: on the CPU, with an environment.
        decisions: of each measurement.
        episodes: that are played together, up to the first entry.
    """
    agents = real_time(agent)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[int], Taken]] = {}
        for name, each in agents.items():
            ways[f"{name}, torch"] = partial(in_torch, each)
            if find_spec("onnxruntime"):
                path = export(each, Path(folder) / f"{len(ways)}.onnx")
                ways[f"{name}, onnxruntime"] = in_onnxruntime(each, path)
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, measure in ways.items():
                taken[name].append(measure(decisions))
        for name, found in taken.items():
            for kind, percentile in (("median", 50), ("99th percentile", 99)):
                for clock in Taken._fields:
                    times = [np.percentile(getattr(one, clock), percentile) for one in found]
                    yield Figures(f"{name}: {kind}, {clock}", np.array(times), "ms")
        for name, each in agents.items():
            make = partial(each.env_ref.make, terminate_on_success=True)
            together = partial(play, each, make, range(episodes), parallel=episodes)
            taking = 1000 * timed(1, together) / episodes
            yield Figures(f"{name}: {episodes} episodes together", taking, "ms/episode")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def in_torch(agent: JEPAAgent, decisions: int) -> Taken:
    """Decide in an environment that goes on; steps between decisions are not counted."""
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    state, begins = None, True
    taken: list[tuple[float, float]] = []
    while len(taken) < decisions + 2:  # the first ones warm up
        clock, work = time.perf_counter(), time.thread_time()
        action, state = agent.act(observation, state, np.array([begins]))
        spent = (time.perf_counter() - clock, time.thread_time() - work)
        if state.planned[0]:
            taken.append(spent)
        observation, _, terminated, truncated, _ = env.step(action)
        begins = terminated or truncated
        if begins:
            observation, _ = env.reset()
    env.close()
    return Taken(*1000 * np.array(taken[2:]).T)


def in_onnxruntime(agent: JEPAAgent, path: Path) -> Callable[[int], Taken]:
    """The measurement of an agent's file, which goes on deciding for one observation."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    inputs = {name: example.numpy() for name, example in DecisionGraph(agent).inputs.items()}

    def measure(decisions: int) -> Taken:
        taken = []
        for _ in range(decisions + 2):
            clock, work = time.perf_counter(), time.thread_time()
            _, inputs["memory"] = session.run(None, inputs)
            taken.append((time.perf_counter() - clock, time.thread_time() - work))
        return Taken(*1000 * np.array(taken[2:]).T)

    return measure
