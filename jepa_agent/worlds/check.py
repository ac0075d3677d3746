"""What a world offers, what will work in it, and how to add what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from ..io.serialisation import to_dict, to_json
from .actions import action_bounds
from .contract import PROTOCOLS
from .observations import check_observations
from .parts import parts_of
from .reference import EnvRef
from .sampling import sampling_space

STEPS = 30
"""Random steps that are taken."""
LONGEST, PATIENCE = 5000, 3.0
"""Steps, and seconds, for which an episode without a time limit is played; it may end by itself."""
FRESH = "built in a fresh process"
BUILD = """
import json, sys
from jepa_agent.io.serialisation import from_dict
from jepa_agent.worlds.reference import EnvRef
from_dict(EnvRef, json.loads(sys.argv[1])).make().close()
"""


class Finding(NamedTuple):
    """One line of a report."""

    what: str
    found: str
    is_there: bool
    advice: str
    """How to add it, or what it enables."""


@dataclass(frozen=True)
class WorldReport:
    """What `check` found.

    Args:
        required: without all of these, nothing works.
        offers: what else the world has.
        works: what will work, and why not.
    """

    required: tuple[Finding, ...]
    offers: tuple[Finding, ...] = ()
    works: tuple[Finding, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether data can be collected, and a model trained on them."""
        return all(finding.is_there for finding in self.required)


def check(ref: EnvRef, seed: int = 0) -> WorldReport:
    """Build an environment, take some random steps, and see what it offers.

    Args:
        ref: the environment.
        seed: of the steps.
    """
    try:
        env = ref.make()
    except Exception as error:
        return WorldReport((_failed("builds", error, "correct its name or its arguments"),))
    try:
        required = [
            Finding("builds", ref.id, True, "by its name and arguments"),
            _tried("observation", lambda: _observation(env), "wrap it to show vectors or images"),
            _tried(
                "actions",
                lambda: _actions(env),
                "wrap it, such as by gymnasium.wrappers",
            ),
        ]
        infos: list[dict[str, Any]] = []
        if all(finding.is_there for finding in required):
            advice = "mend what raises in reset or step"
            required.append(_tried("steps", lambda: _walk(env, seed, infos), advice))
        if not all(finding.is_there for finding in required):
            return WorldReport(tuple(required))
        offers = {finding.what: finding for finding in _offers(env, ref, seed, infos)}
        works = _works(offers, env, ref)
    finally:
        env.close()
    return WorldReport(tuple(required), tuple(offers.values()), works)


def _offers(env: gym.Env, ref: EnvRef, seed: int, infos: list[dict[str, Any]]) -> list[Finding]:
    world, space, limit = env.unwrapped, env.observation_space, _limit(env, seed)
    parts = space.spaces if isinstance(space, gym.spaces.Dict) else {}
    goal, seen = parts.get("desired_goal"), parts.get("observation")
    told = [name for name in ("is_success", "success") if name in infos[-1]]
    frames = _frame(ref, seed)
    return [
        Finding(
            "goal",
            "none" if goal is None else f"desired_goal {goal.shape}",
            goal is not None and seen is not None and goal.shape == seen.shape,
            "a dict observation with `desired_goal`, an observation to reach, or ShowsGoals; else "
            "--goal, --goal-state, --goals data, or agent.set_goal(observation)",
        ),
        Finding(
            "success",
            told[0] if told else f"info has {sorted(infos[-1])}",
            bool(told),
            "info['is_success'] in every step; else --success package.module:function",
        ),
        Finding(
            "time limit", limit, limit != "none",
            "gym.register(..., max_episode_steps=...), or --env-kwargs max_episode_steps=100",
        ),
        Finding(
            "pictures", frames, frames.startswith("frames"),
            "`render_mode` in the constructor, 'rgb_array' in metadata['render_modes'], render()",
        ),
        _tried(
            "reproducible", lambda: _same_again(env, seed),
            "draw all random numbers from self.np_random, after super().reset(seed=seed)",
        ),
        _tried(
            FRESH, lambda: _fresh(ref),
            "register it in a module, and name it module:Name-v0",
        ),
        *(
            Finding(kind.__name__, "yes" if isinstance(world, kind) else "no",
                    isinstance(world, kind), f"{each.how}: {each.enables}")
            for kind, each in PROTOCOLS.items()
        ),
    ]  # fmt: skip


def _works(offers: dict[str, Finding], env: gym.Env, ref: EnvRef) -> tuple[Finding, ...]:
    has = {what: finding.is_there for what, finding in offers.items()}
    more = " and the options given here" if ref != EnvRef(ref.id, {}) else ""
    is_vector = _observation(env).startswith("vector")
    preset = "pixels" if "image" in _observation(env) else "vector"
    planner = " --planner categorical-cem" if action_bounds(env).categories else ""
    agent = f"--checkpoint runs/{preset}"
    if not has["goal"]:
        agent += " --goal NUMBERS" if is_vector else " --goal-state NUMBERS"
    success = "" if has["success"] else " --success MODULE:FUNCTION"
    needs = {
        "collect": ((), f"jepa-agent collect --policy wander --out data.h5 --env {ref.id}{more}"),
        "train": ((FRESH,), f"jepa-agent train {preset} --data data.h5{planner}"),
        "plan": ((FRESH, "time limit"), f"jepa-agent plan {agent}"),
        "evaluate": ((FRESH, "time limit"), f"jepa-agent evaluate {agent}{success}"),
        "videos of what it renders": (
            (FRESH, "pictures"), f"jepa-agent plan {agent} --video plan.gif",
        ),
        "plans drawn over it": ((FRESH, "Drawable"), f"jepa-agent plan {agent} --render"),
        "shortest-path figures": (("HasMap", "HasLayout"), "in the log of jepa-agent train"),
    }  # fmt: skip
    rows = []
    for what, (needed, command) in needs.items():
        missing = ", ".join(name for name in needed if not has[name])
        fine = not missing
        how = command if fine else f"needs: {missing}"
        rows.append(Finding(what, "yes" if fine else "no", fine, how))
    return tuple(rows)


def _tried(what: str, find: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(what, find(), True, "")
    except Exception as error:
        return _failed(what, error, advice)


def _failed(what: str, error: Exception, advice: str) -> Finding:
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    said = str(error).strip()
    if not said:  # such as a bare assertion
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{at.line} (line {at.lineno} of {at.filename})"
    return Finding(what, f"{kind}{said}".splitlines()[0], False, advice)


def _observation(env: gym.Env) -> str:
    space = env.observation_space
    check_observations(space)
    parts = parts_of(env)
    if parts is not None:
        return ", ".join(f"{name} {shape}" for name, shape in parts.shapes.items())
    if isinstance(space, gym.spaces.Dict):
        space = space["observation"]
    kind = "vector" if len(space.shape or ()) == 1 else "image"
    return f"{kind} {space.shape} of {space.dtype}"


def _actions(env: gym.Env) -> str:
    action_bounds(env)
    return str(env.action_space)


def _walk(env: gym.Env, seed: int, infos: list[dict[str, Any]]) -> str:
    """Random steps, whose infos are noted."""
    for _ in _observations(env, seed, infos):
        pass
    return f"{STEPS} random ones"


def _observations(env: gym.Env, seed: int, infos: list[dict[str, Any]]) -> Any:
    space = sampling_space(env.action_space)
    space.seed(seed)
    observation, info = env.reset(seed=seed)
    for _ in range(STEPS):
        if not env.observation_space.contains(observation):
            raise ValueError(f"it must show observations of its space, got {observation!r:.80}")
        yield observation
        observation, _, terminated, truncated, info = env.step(space.sample())
        infos.append(info)
        if terminated or truncated:
            observation, _ = env.reset()


def _same_again(env: gym.Env, seed: int) -> str:
    first, second = (list(_observations(env, seed, [])) for _ in range(2))
    try:
        np.testing.assert_equal(first, second)
    except AssertionError:
        raise ValueError("reset(seed=...) gives other episodes every time") from None
    return "same seed, same episode"


def _frame(ref: EnvRef, seed: int) -> str:
    try:
        env = ref.make(render_mode="rgb_array")
        env.reset(seed=seed)
        frame = np.asarray(env.render())
        env.close()
    except Exception as error:
        return f"none: {error}".splitlines()[0]
    return f"frames {frame.shape}" if frame.ndim == 3 else "none"


def _limit(env: gym.Env, seed: int) -> str:
    """The registered limit, or the steps after which an episode was cut, or else ended, by itself.

    Episodes that end early, such as at a goal, are played again, with other actions.
    """
    if env.spec is not None and env.spec.max_episode_steps:
        return str(env.spec.max_episode_steps)
    space, began = sampling_space(env.action_space), time.monotonic()
    space.seed(seed)
    env.reset(seed=seed)
    steps, found = 0, "none"
    for _ in range(LONGEST):
        _, _, terminated, truncated, _ = env.step(space.sample())
        steps += 1
        if truncated:
            return f"its own, here after {steps} steps"
        if terminated:
            found, steps = f"episodes that end, here after {steps} steps", 0
            env.reset()
        if time.monotonic() - began > PATIENCE:
            break
    return found


def _fresh(ref: EnvRef) -> str:
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", BUILD, to_json(to_dict(ref))]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    return "yes"
