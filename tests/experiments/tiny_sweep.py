"""A sweep of 12 fits of a line, as a program that can be killed.

python tiny_sweep.py OUT [--slurm] [--retry]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from jepa_agent.experiments.launchers import Submitit
from jepa_agent.experiments.sweep import plan, sweep
from jepa_agent.experiments.systems import Budget, Figures, System, Variant, folder_name

STEPS = {"1": Variant(), "2": Variant(), "3": Variant(), "4": Variant()}


def measured(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Fit a line by as many steps as the variant says; the last run fails until it is mended."""
    folder = out / folder_name(name, seed)
    folder.mkdir(exist_ok=True)
    with (folder / "attempts").open("a") as file:
        print(name, seed, file=file)
    if (name, seed) == ("4", 2) and not (out / "mended").exists():
        raise RuntimeError("it is broken")
    weights = np.zeros(3)
    seen = np.random.default_rng(seed).normal(size=(64, 3))
    for _ in range(int(name)):
        weights -= 0.1 * seen.T @ (seen @ weights - 1.0) / len(seen)
    return {"norm": float(np.linalg.norm(weights))}


def lowest(runs: list[Figures]) -> tuple[float, float, float]:
    """The least norm."""
    return (min(run["norm"] for run in runs),) * 3


if __name__ == "__main__":
    out = Path(sys.argv[1])
    system = System(STEPS, measured, 1.0, "norm", lowest, {})
    runs = plan(system, tuple(STEPS), (0, 1, 2), Budget(1.0, 1, 1.0), out)
    launcher = Submitit("local", out / "jobs", 2, {})
    if "--slurm" in sys.argv:
        launcher = Submitit("slurm", out / "jobs", len(runs), {"slurm_partition": "cpu"})
    for status in sweep(runs, launcher, "--retry" in sys.argv):
        print(status, flush=True)
    for run in status.failed:
        print(run, run.failure())
