"""Memory in the predictor: stacked frames beside recurrent predictors, where a frame is no state.

python scripts/experiments/memory.py --out runs/memory --record

Every training writes its row into the folder as it is done, and is left out where that is there.
With --record, the tables go into docs/experiments/memory.json and the plot into docs/media.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from mazes.files import once
from memory import summary
from memory.learning import STEPS, Batch, drawn, errors, learn, recall, remembered, to_remember
from memory.planning import PLANNER, success, tasks
from memory.predictors import KINDS, Predictor, multiplications, of_size, parameters
from memory.worlds import ACTION, FRAME, WORLDS, Episodes

from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.io.serialisation import write_json

DOCS = Path(__file__).parents[2] / "docs"
BATCH = 64
AS_FAST = {"MLP, 16 frames": 25_000, "2RNN": 22_000}
"""Parameters at which kinds imagine about as fast as a GRU of depth 1 with 10,000."""


@dataclass(frozen=True)
class Args:
    """The size of the experiment."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of data, training and tasks."""
    worlds: tuple[str, ...] = (*WORLDS, "number")
    kinds: tuple[str, ...] = tuple(KINDS)
    parameters: int = 10_000
    """How many each predictor has, about."""
    equal_time: bool = False
    """Measure some predictors also at sizes that imagine as fast as a GRU of depth 1."""
    steps: int = 600
    """Training steps, in batches of 64."""
    episodes: int = 2000
    """To learn from; a quarter as many to measure with."""
    tasks: int = 100
    """For each seed and world."""
    record: bool = False
    """Write the tables and the plot into docs/."""
    out: Path = Path("runs/memory")


def main(args: Args) -> None:
    torch.set_num_threads(1)
    rows = []
    for seed, world in itertools.product(args.seeds, args.worlds):
        sizes = [(kind, args.parameters, "parameters") for kind in args.kinds]
        if args.equal_time and world in WORLDS:
            sizes += [(kind, size, "time") for kind, size in AS_FAST.items() if kind in args.kinds]
        for kind, size, equal in sizes:
            name = f"{world} {kind} {seed}" + (" equal time" if equal == "time" else "")
            make = partial(measure, world, kind, seed, size, equal, args)
            rows.append(shown(once(args.out / file_name(name), make)))
        for kind in ("random actions", "true physics") if world in WORLDS else ():
            path = args.out / file_name(f"{world} {kind} {seed}")
            rows.append(shown(once(path, partial(limit, args, world, kind, seed))))
    if args.record:
        record(rows)


def file_name(row: str) -> str:
    return row.replace(",", "").replace(" ", "-") + ".json"


def shown(path: Path) -> dict[str, Any]:
    """The row of a file, printed."""
    row = json.loads(path.read_text())
    print(row, flush=True)
    return row


def measure(world: str, kind: str, seed: int, size: int, equal: str, args: Args, to: Path) -> None:
    """Train a predictor of a size and write its row."""
    torch.manual_seed(seed)
    predictor = of_size(kind, size)
    row = {
        "world": world, "kind": kind, "seed": seed, "equal": equal,
        "parameters": parameters(predictor), "multiplications": multiplications(predictor),
        "ms": milliseconds(predictor),
    }  # fmt: skip
    if world == "number":
        row |= trained(predictor, partial(to_remember, BATCH), args.steps, seed)
        row["recall"] = remembered(predictor, args.episodes // 2, seed)
    else:
        place, train = WORLDS[world], data(world, args.episodes, seed, False)
        test = data(world, args.episodes // 4, seed, True)
        row |= trained(predictor, partial(drawn, train, BATCH), args.steps, seed)
        row["errors"] = errors(predictor, test)
        row["recall"] = recall(predictor, place, train, test)
        solved = success(place, tasks(place, args.tasks, 1000 + seed), predictor, seed)
        row |= {"solved": int(solved.sum()), "tasks": len(solved)}
    write_json(to, row)


def trained(
    predictor: Predictor, draw: Callable[[torch.Generator], Batch], steps: int, seed: int
) -> dict[str, float]:
    """The loss that a predictor reaches, and the seconds of a thread's time that it takes."""
    began = time.process_time()
    loss = learn(predictor, draw, steps, seed)
    return {"loss": loss, "trained_s": time.process_time() - began}


def limit(args: Args, world: str, kind: str, seed: int, to: Path) -> None:
    """What random actions and the true physics reach in the tasks of a seed."""
    begun = tasks(WORLDS[world], args.tasks, 1000 + seed)
    solved = success(WORLDS[world], begun, None, seed, kind == "random actions")
    row = {"world": world, "kind": kind, "seed": seed, "solved": int(solved.sum())}
    write_json(to, row | {"tasks": len(solved)})


@functools.lru_cache(maxsize=2)
def data(world: str, episodes: int, seed: int, test: bool) -> Episodes:
    """Episodes of a world; the last ones are remembered."""
    return WORLDS[world].episodes(episodes, STEPS, seed, test)


@torch.no_grad()
def milliseconds(predictor: Predictor, repeats: int = 30) -> float:
    """A thread's time to imagine a step for each sample of 100 tasks: the least measured."""
    rows = 100 * PLANNER.num_samples
    memory, frame = torch.zeros(rows, predictor.memory), torch.zeros(rows, FRAME)
    found = []
    for _ in range(repeats):
        began = time.process_time()
        predictor.imagine(memory, frame, torch.zeros(rows, 1, ACTION))
        found.append(1000 * (time.process_time() - began))
    return min(found)


def record(rows: list[dict[str, Any]]) -> None:
    """Put the tables among the figures, whose captions stay, and draw the plot."""
    path = DOCS / "experiments" / "memory.json"
    figures = json.loads(path.read_text()) if path.exists() else {"tables": {}}
    for name, table in summary.tables(rows).items():
        figures["tables"][name] = figures["tables"].get(name, {}) | table
    write_json(path, figures)
    summary.draw(rows, DOCS / "media" / "memory.png")


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
