"""Watch the agent plan.

python scripts/plan.py --render              a window
python scripts/plan.py --video plan.gif      the same pictures in a file (.gif or .mp4)
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gymnasium as gym
import numpy as np
import tyro

from jepa_agent import JEPAAgent
from jepa_agent.console import errors_in_one_line
from jepa_agent.envs.drawing import Window, has_display, to_array
from jepa_agent.visualize import VideoWriter, draw, imagined_paths

FPS = 15
STEPS_AFTER_SUCCESS = 8


@dataclass(frozen=True)
class Args:
    """What to play and how to show it."""

    checkpoint: str = "default"
    """A folder that scripts/train.py wrote, or "default"."""
    layout: Literal["fixed", "random", "train", "test", "ood"] | None = None
    """Layouts; by default those that it was trained for, and test layouts, which it never saw, if
    those were the train layouts."""
    episodes: int = 5
    seed: int = 0
    """Episode i is played with seed + i."""
    render: bool = False
    """Open a window."""
    video: Path | None = None
    """Write a .gif or .mp4 file instead."""


def main(args: Args) -> None:
    if args.episodes < 1 or args.seed < 0:
        raise ValueError(
            "--episodes must be >= 1 and --seed >= 0, got "
            f"{args.episodes} and {args.seed}; change them"
        )
    agent = JEPAAgent.load(args.checkpoint)
    trained_on = agent.env.kwargs.get("layout", "random")
    layout = args.layout or {"train": "test"}.get(trained_on, trained_on)
    env = agent.env.make(render_mode="rgb_array", terminate_on_success=False, layout=layout)
    video = args.video
    if video is None and not (args.render and has_display()):
        video = Path("plan.gif")
        reason = "no display to open a window on" if args.render else "neither --render nor --video"
        print(f"{reason}: writing {video} instead")
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(video, FPS)) if video else None
        window = None if video else Window("jepa-agent", FPS)
        reached = 0
        for episode in range(args.episodes):
            outcome = play(agent, env, args.seed + episode, writer, window)
            if outcome is None:
                print("window closed")
                break
            reached += outcome
        if window is not None:
            window.close()
        env.close()
        print(f"{reached} of {args.episodes} goals reached" + (f"; see {video}" if video else ""))


def play(
    agent: JEPAAgent, env: gym.Env, seed: int, writer: VideoWriter | None, window: Window | None
) -> bool | None:
    """Play one episode; whether the goal was reached, or None if the window was closed."""
    to_screen = env.unwrapped.state_to_screen
    observation, info = env.reset(seed=seed)
    state, plan, candidates, milliseconds = None, None, None, []
    trail = [info["position"]]
    reached_at, step, truncated = None, 0, False
    while not truncated and (reached_at is None or step < reached_at + STEPS_AFTER_SUCCESS):
        began = time.perf_counter()
        action, state = agent.predict(observation, state, np.array([step == 0]))
        if state.planned[0]:
            milliseconds.append(1000 * (time.perf_counter() - began))
            seen, found = observation["observation"], agent.last_plan
            paths = imagined_paths(agent, seen, found, state.experience)
            plan, candidates = (to_screen(path) for path in paths)
        caption = (
            f"{type(agent.planner).__name__}   step {step:3d}   distance {info['distance']:5.1f} px"
            f"   decision {milliseconds[-1]:4.0f} ms   {'reached' if reached_at else ''}"
        )
        picture = draw(env.render(), caption, plan, candidates, to_screen(np.array(trail)))
        if writer is not None:
            writer.add(to_array(picture))
        if window is not None and not window.show(picture):
            return None
        observation, _, _, truncated, info = env.step(action)
        trail.append(info["position"])
        step += 1
        if reached_at is None and info["is_success"]:
            reached_at = step
    outcome = f"reached in {reached_at} steps" if reached_at else "not reached in 200 steps"
    print(f"seed {seed}: {outcome}, {np.median(milliseconds):.0f} ms per decision")
    return reached_at is not None


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
