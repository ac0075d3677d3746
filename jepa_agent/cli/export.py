"""Write an agent as one file that decides without this library.

$ jepa-agent export --checkpoint runs/base --out base.onnx
$ jepa-agent export --checkpoint runs/fast --planner reactive --out fast.onnx
$ jepa-agent export --checkpoint runs/base --batch 16 --out base.pt2

Encoder, dynamics, distance and planner are in the file: images and a memory in, the
actions of the next steps and the next memory out; see docs/export.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..agent.agent import JEPAAgent
from ..exporting.files import export
from ..planners import make_planner


@dataclass(frozen=True)
class Args:
    """What to write, and where."""

    out: Path
    """A .onnx file (needs the extra `export`), or a .pt2 file for torch.export.load."""
    checkpoint: str = "default"
    """A folder that `jepa-agent train` wrote, or "default"."""
    planner: str = ""
    """Another planner than the checkpoint's, with its defaults; see docs/choosing-a-planner.md."""
    batch: int = 1
    """Environments that decide together."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""


def main(args: Args) -> None:
    agent = JEPAAgent.load(args.checkpoint, "cpu", allow_code=args.allow_code)
    if args.planner:
        agent.planner = make_planner(args.planner)
    path = export(agent, args.out, args.batch)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB, for {args.batch} at once")
