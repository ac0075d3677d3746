"""Watch an agent plan, and change its world.

$ jepa-agent plan --render             # a window; h shows its keys
$ jepa-agent plan --video plan.gif     # the same pictures (.gif or .mp4)
$ jepa-agent plan --checkpoint mazes --render    # drag the mouse to draw walls
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..agent.agent import JEPAAgent
from ..envs.drawing import Window, has_display, to_array
from ..viz.films import film, filmed
from ..viz.plan_view import SIZE, draw
from ..viz.session import Session, load
from ..viz.videos import STEPS_A_SECOND, VideoWriter
from ..viz.window import FRAMES_A_SECOND, Player
from ..worlds.protocols import Drawable
from .environments import WorldArgs, give_goal, play_in


@dataclass(frozen=True)
class Args:
    """What to play and how to show it."""

    checkpoint: str = "default"
    """A folder that `jepa-agent train` wrote, "default" or "mazes"."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    world: Annotated[WorldArgs, tyro.conf.OmitArgPrefixes] = field(default_factory=WorldArgs)
    layout: str = ""
    """Layouts, such as fixed, random, test or ood; by default those that it was trained for, and
    test layouts, which it never saw, if those were the train layouts."""
    episodes: int | None = None
    """By default 5 into a file, and as many as you watch in a window, which stays open if you have
    touched anything."""
    seed: int = 0
    """Episode i is played with seed + i."""
    render: bool = False
    """Open a window."""
    video: Path | None = None
    """Write a .gif or .mp4 file instead."""
    field: Literal["off", "learned", "learned and true"] = "off"
    """Show the distance map: distances to the goal from everywhere, learned and true."""
    goal: tuple[float, ...] = ()
    """The observation to reach, in environments without a desired_goal."""
    goal_state: tuple[float, ...] = ()
    """In such environments, numbers of the state to reach; see `jepa-agent evaluate`."""
    ghost: bool = False
    """Show the ghost: the state imagined from the start, without further observations."""


def main(args: Args) -> None:
    if (args.episodes is not None and args.episodes < 1) or args.seed < 0:
        raise ValueError(
            f"--episodes must be >= 1 and --seed >= 0, got {args.episodes} and {args.seed}"
        )
    agent = load(args.checkpoint, args.allow_code)
    play_in(agent, args.world)
    give_goal(agent, args.goal, args.goal_state)
    if not isinstance(agent.env_ref.make().unwrapped, Drawable):
        print(f"{agent.env_ref.id} has no `scene` to draw plans on: showing what it renders")
        seeds = range(args.seed, args.seed + (args.episodes or 5))
        with contextlib.closing(filmed(agent.env_ref)) as env:
            return film(agent, env, seeds, args.video or Path("plan.gif"))
    if agent.has_goal:
        raise ValueError(
            f"--goal and --goal-state have no use in {agent.env_ref.id}, which draws its goals, "
            f"got {args.goal or args.goal_state}; leave them out"
        )
    video = args.video
    if video is None and not (args.render and has_display()):
        video = Path("plan.gif")
        reason = "no display to open a window on" if args.render else "neither --render nor --video"
        print(f"{reason}: writing {video} instead")
    session = Session(agent, args.seed, **settings(agent, args.layout))
    session.fields, session.show_ghost = args.field, args.ghost
    with contextlib.closing(session):
        if video:
            outcomes = record(session, args.episodes or 5, video)
        else:
            window = Window("jepa-agent", FRAMES_A_SECOND, SIZE)
            outcomes = Player(session, window, args.episodes).run()
    where = f"; see {video}" if video else ""
    print(f"{sum(outcomes)} of {len(outcomes)} goals reached{where}")


def settings(agent: JEPAAgent, layout: str) -> dict[str, Any]:
    """The environment's keyword arguments, of those that it has.

    Raises:
        ValueError: if layouts are asked for in a world that has none.
    """
    config: Any = getattr(agent.env_ref.make().unwrapped, "config", None)
    chosen: dict[str, Any] = {}
    if hasattr(config, "layout"):
        chosen["layout"] = layout or {"train": "test"}.get(config.layout, config.layout)
    elif layout:
        raise ValueError(f"--layout has no use in {agent.env_ref.id}, got {layout}; leave it out")
    if hasattr(config, "terminate_on_success"):
        chosen["terminate_on_success"] = False
    return chosen


def record(session: Session, episodes: int, path: Path) -> list[bool]:
    """Play episodes into a video; returns which of them reached their goal."""
    outcomes = []
    with VideoWriter(path, STEPS_A_SECOND) as writer:
        for episode in range(episodes):
            if episode:
                session.new_episode()
            while not session.is_over:
                session.step(wait=True)
                writer.add(to_array(draw(session.view(wait=True))))
            print(session.summary)
            outcomes.append(session.reached_at is not None)
    return outcomes
