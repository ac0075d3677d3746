"""How well and how fast an agent decides with proposals and without a search, beside its teacher.

$ python scripts/experiments/real_time.py --checkpoint runs/fast --teacher default
$ python scripts/experiments/real_time.py --teacher runs/base-1 --checkpoint "" --decisions 0

The second line plays the teacher alone. All ways play the same test layouts until they arrive, so
that differences are paired. Decisions are timed on one thread, in turns. A way that rows.json has
is not played again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from jepa_agent import JEPAAgent
from jepa_agent.evaluation.episodes import Episode, play
from jepa_agent.evaluation.metrics import mcnemar, summarise
from jepa_agent.experiments.decision_speed import in_torch, one_thread, real_time
from jepa_agent.io.serialisation import write_json


@dataclass(frozen=True)
class Args:
    """Whom to measure."""

    checkpoint: str = "runs/fast"
    """A folder of `jepa-agent distil`; "" for none."""
    teacher: str = "default"
    """The agent whose planner was the teacher."""
    layout: str = "test"
    episodes: int = 300
    seed: int = 1_000_000
    """Episode i is played with seed + i."""
    decisions: int = 100
    """How many each of three measurements of time takes; 0 leaves them out."""
    out: Path = Path("runs/real-time")


def against(first: list[Episode], second: list[Episode]) -> dict[str, Any]:
    """A way beside the first: McNemar's test, and the difference of the steps ratio, paired."""
    lost, won, p = mcnemar(first, second)
    pairs = [
        (b.steps - a.steps) / a.optimal_steps
        for a, b in zip(first, second, strict=True)
        if a.steps and b.steps and a.optimal_steps
    ]
    error = float(np.std(pairs, ddof=1) / len(pairs) ** 0.5)
    return {"won": won, "lost": lost, "p": p, "longer": float(np.mean(pairs)), "error": error}


def main(args: Args) -> None:
    teacher = JEPAAgent.load(args.teacher, "cpu")
    agents = {"its own planner": teacher}
    if args.checkpoint:
        _, fast, reactive = real_time(JEPAAgent.load(args.checkpoint, "cpu")).values()
        agents |= {"verified proposals": fast, "reactive": reactive}
    path = args.out / "rows.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    seeds = range(args.seed, args.seed + args.episodes)
    with one_thread():
        for name, agent in reversed(agents.items()):  # the quickest first
            if name not in found:
                world = partial(agent.env_ref.make, layout=args.layout, terminate_on_success=True)
                found[name] = {"episodes": [asdict(each) for each in play(agent, world, seeds)]}
                write_json(path, found)
        taken: dict[str, list[np.ndarray]] = {name: [] for name in agents}
        for _ in range(3 if args.decisions else 0):
            for name, agent in agents.items():
                taken[name].append(in_torch(agent, args.decisions).processor)
    first = [Episode(**each) for each in found["its own planner"]["episodes"]]
    for name in agents:
        episodes = [Episode(**each) for each in found[name]["episodes"]]
        found[name] |= {"row": asdict(summarise(name, args.layout, episodes))}
        found[name] |= {"paired": against(first, episodes)}
        if args.decisions:
            times = {q: [float(np.percentile(each, q)) for each in taken[name]] for q in (50, 99)}
            found[name] |= {"milliseconds": times}
        print(name, {key: value for key, value in found[name].items() if key != "episodes"})
    write_json(path, found)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
