"""Score an agent beside the oracle, a straight walker and a random policy, on fixed seeds.

python scripts/evaluate.py --episodes 300 --out runs/evaluation
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.progress import Progress

import jepa_agent
from jepa_agent import JEPAAgent
from jepa_agent.envs import OraclePolicy, RandomPolicy, StraightPolicy
from jepa_agent.evaluation import measure_latency, play, summarise, table, write_report


@dataclass(frozen=True)
class Args:
    """What to evaluate."""

    checkpoint: str = "default"
    """A folder that scripts/train.py wrote, or "default"."""
    episodes: int = 300
    seed: int = 1_000_000
    """Episode i is played with seed + i."""
    out: Path = Path("runs/evaluation")
    """The folder for report.json."""
    parallel: int = 64
    """Environments side by side, planned together."""


def main(args: Args) -> None:
    if args.episodes < 1 or args.parallel < 1 or args.seed < 0:
        raise SystemExit(
            f"--episodes and --parallel must be >= 1 and --seed >= 0, got {args}; change them"
        )
    agent = JEPAAgent.load(args.checkpoint)
    suite = agent.env.kwargs["layout"]
    policies = {
        "agent": agent,
        "oracle": OraclePolicy(),
        "straight": StraightPolicy(),
        "random": RandomPolicy(args.seed),
    }
    seeds = range(args.seed, args.seed + args.episodes)
    rows = []
    with Progress(transient=True) as progress:
        for name, policy in policies.items():
            task = progress.add_task(name, total=args.episodes)
            episodes = play(
                policy,
                lambda: agent.env.make(terminate_on_success=False),
                seeds,
                args.parallel,
                lambda done, task=task: progress.update(task, completed=done),
            )
            latency = measure_latency(policy, agent.env.make)
            rows.append(summarise(name, suite, episodes, latency))
    Console().print(table(rows))
    config = {
        "checkpoint": args.checkpoint,
        "seed": args.seed,
        "parallel": args.parallel,
        "jepa_agent": jepa_agent.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }
    print("wrote", write_report(args.out, rows, config))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
