"""Environments that commands are asked to build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..agent.agent import JEPAAgent
from ..worlds.arguments import parse, parse_call
from ..worlds.reference import EnvRef, WrapperRef, rendered
from ..worlds.showing import showing


def play_in(agent: JEPAAgent, env: str) -> None:
    """Give an agent the environment that `--env` names, if it does."""
    if env:
        history = agent.notes.get("data", {}).get("history", 1)
        agent.set_environment(showing(env, agent.model.config.observation_shape, history))


def reference(
    env: str,
    env_kwargs: Iterable[str] = (),
    wrappers: Iterable[str] = (),
    pixels: bool = False,
    size: int = 0,
    history: int = 1,
) -> EnvRef:
    """The environment that options name.

    Args:
        env: its id.
        env_kwargs: words of `parse`; among them may be `max_episode_steps`.
        wrappers: calls of `parse_call`, from the inside.
        pixels: show rendered frames, inside of the wrappers.
        size: height and width of these frames; 0 for those that are rendered.
        history: frames per observation.
    """
    kwargs = parse(env_kwargs)
    steps = kwargs.pop("max_episode_steps", None)
    frames = (rendered(size),) if pixels else ()
    named = tuple(WrapperRef(*parse_call(each)) for each in wrappers)
    return EnvRef(env, kwargs, history, (*frames, *named), steps)


def give_goal(agent: JEPAAgent, goal: Sequence[float], state: Sequence[float]) -> None:
    """Set the goal that `--goal` or `--goal-state` names, if one does."""
    if goal and state:
        raise ValueError(f"--goal and --goal-state exclude each other, got {goal} and {state}")
    if goal:
        agent.set_goal(np.array(goal, dtype=np.float32))
    elif state:
        agent.set_goal_state(state)
