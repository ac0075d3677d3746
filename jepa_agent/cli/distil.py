"""Teach an agent to propose what its planner decides, for decisions in real time.

$ jepa-agent distil --checkpoint runs/base --data data/train.h5 --out runs/fast
$ jepa-agent distil --data data/train.h5 --planner cem --problems 1000

The new agent verifies its proposals in one round; evaluate it with --planner
reactive, too, which plays them without a search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from ..agent.agent import JEPAAgent
from ..data.formats import read as read_data
from ..planners import make_planner
from ..training.distillation import DistillationConfig, distil
from .console import TrainingDisplay, resumable


@dataclass(frozen=True)
class Args:
    """Whom to teach, and by what."""

    data: tuple[Path, ...]
    """Trajectory files of the agent's world, in which its planner imagines to decide."""
    training: tyro.conf.OmitArgPrefixes[DistillationConfig] = field(
        default_factory=DistillationConfig
    )
    checkpoint: str = "default"
    """A folder that `jepa-agent train` wrote, or "default"."""
    planner: str = ""
    """The teacher, another planner than the checkpoint's; see docs/choosing-a-planner.md."""
    out: Path = Path("runs/fast")
    """The run's folder: a checkpoint, and metrics.jsonl."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""


def main(args: Args) -> None:
    agent = JEPAAgent.load(args.checkpoint, args.device, allow_code=args.allow_code)
    if args.planner:
        agent.planner = make_planner(args.planner)
    with resumable(args.out), TrainingDisplay() as display:
        distil(
            agent, read_data(args.data), args.training, args.device,
            folder=args.out, callbacks=(display,),
        )  # fmt: skip
    print(f"next: jepa-agent evaluate --checkpoint {args.out} (and with --planner reactive)")
