"""Environments that commands are asked to build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tyro

from ..agent.agent import JEPAAgent
from ..worlds.arguments import parse, parse_call
from ..worlds.reference import EnvRef, WrapperRef, rendered
from ..worlds.showing import showing


@dataclass(frozen=True)
class WorldArgs:
    """An environment in the place of the recorded one."""

    env: str = ""
    """The environment, as module:Name-v0; by default the one that the data name."""
    env_kwargs: tuple[str, ...] = ()
    """Its arguments, key=value with JSON values, or one JSON object; among them
    max_episode_steps, its time limit."""
    wrapper: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A wrapper, "package.module:Name key=value ...", called with it; the first is the
    innermost."""

    def ref(self) -> EnvRef | None:
        """The environment that is named, if one is."""
        if self.env:
            return reference(self.env, self.env_kwargs, self.wrapper)
        if self.env_kwargs or self.wrapper:
            raise ValueError(
                f"--env-kwargs and --wrapper are of the environment that --env names, got "
                f"{[*self.env_kwargs, *self.wrapper]} without it; name it too"
            )
        return None


def play_in(agent: JEPAAgent, args: WorldArgs) -> None:
    """Give an agent the environment that `--env` names, if it does."""
    if (ref := args.ref()) is not None:
        history = agent.notes.get("data", {}).get("history", 1)
        agent.set_environment(showing(ref, agent.model.config.observation_shape, history))


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
