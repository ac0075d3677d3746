"""Measure speed: of the environment and its data, of planning, of training, of the window.

$ jepa-agent benchmark env
$ jepa-agent benchmark planning --checkpoint runs/quick
$ jepa-agent benchmark decision     # its planner, proposals, reactive; exported
$ jepa-agent benchmark training     # `base` beside EB-JEPA's model and losses
$ jepa-agent benchmark operations   # counted, not timed
$ jepa-agent benchmark shares       # of a training step, by kind of operator
$ jepa-agent benchmark window       # SDL_VIDEODRIVER=dummy without a display
$ jepa-agent benchmark gpu --out gpu.json   # trainings, decisions, memory

Each figure is the median of several runs; the first, which warms up, is left out.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..agent.agent import JEPAAgent
from ..device import resolve_device
from ..envs.drawing import Window
from ..experiments import speed
from ..experiments.decision_speed import decision_speed
from ..experiments.gpu import GPUBenchmark
from ..experiments.speed import Figures
from ..io.serialisation import to_json
from ..viz import session
from ..viz.plan_view import SIZE
from ..viz.window import FRAMES_A_SECOND, Player


@dataclass(frozen=True)
class Args:
    """What to measure."""

    what: tyro.conf.Positional[
        Literal["env", "planning", "decision", "training", "window", "operations", "shares", "gpu"]
    ]
    runs: int = 5
    """Measurements of each figure."""
    checkpoint: str = "default"
    """For `planning`, `decision` and `window`: a folder of `jepa-agent train`, or "default"."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    compiled: bool = False
    """For `planning`: compile the search first."""
    device: str = "auto"
    """For `gpu`: auto, cuda, cuda:N, or cpu, which takes an hour."""
    out: Path | None = None
    """Write the figures here too, as JSON."""


def main(args: Args) -> None:
    data = (speed.single_env, speed.vector_env, speed.collection, speed.batches, speed.disk)
    measure: dict[str, Callable[[], Iterable[Figures]]] = {
        "env": lambda: chain.from_iterable(each(args.runs) for each in data),
        "planning": lambda: speed.planning(
            args.runs, JEPAAgent.load(args.checkpoint, allow_code=args.allow_code), args.compiled
        ),
        "decision": lambda: decision_speed(
            args.runs, JEPAAgent.load(args.checkpoint, "cpu", allow_code=args.allow_code)
        ),
        "training": lambda: speed.training(args.runs),
        "window": lambda: window(args.runs, session.load(args.checkpoint, args.allow_code)),
        "operations": lambda: speed.operations(
            JEPAAgent.load(args.checkpoint, allow_code=args.allow_code)
        ),
        "shares": lambda: speed.shares(args.runs),
    }
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    if args.what == "gpu":
        measure["gpu"], machine = gpu(args.runs, args.device)
    table = Table(title=machine, box=box.MARKDOWN if args.what == "gpu" else box.HEAVY_HEAD)
    for heading in ("what", "median", "lowest", "highest", "unit"):
        table.add_column(heading)
    found = []
    try:
        for name, values, unit in measure[args.what]():
            low, middle, high = np.percentile(values, [0, 50, 100])
            numbers = (f"{v:,.4g}" if v < 100 else f"{v:,.0f}" for v in (middle, low, high))
            table.add_row(name, *numbers, unit)
            found.append({"what": name, "values": values.tolist(), "unit": unit})
            if args.out is not None:
                about = {"machine": machine, "torch": torch.__version__, "jepa_agent": __version__}
                args.out.write_text(to_json({**about, "figures": found}, indent=1) + "\n")
    finally:  # what is measured is shown, whatever comes
        Console(width=110 if args.what == "gpu" else None).print(table)


def gpu(runs: int, name: str) -> tuple[Callable[[], Iterable[Figures]], str]:
    """The measurements of a device, and its name.

    Raises:
        ValueError: if there is no GPU, and the CPU was not asked for.
    """
    device = resolve_device(name)
    if device.type == "cpu" and name != "cpu":
        raise ValueError(
            "benchmark gpu measures a GPU, got a machine without; use --device cpu to measure "
            "the CPU, which takes an hour"
        )
    cuda = device.type == "cuda"
    machine = torch.cuda.get_device_name(device) if cuda else platform.processor() or device.type
    return GPUBenchmark(device, runs).figures, machine


class Stopwatch(Window):
    """A window that notes when it showed what, and closes by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__("jepa-agent", FRAMES_A_SECOND, SIZE)
        self._seconds, self.shown = seconds, [time.perf_counter()]

    def show(self, surface: Any) -> bool:
        """See `Window`."""
        self.shown.append(time.perf_counter())
        return super().show(surface) and self.shown[-1] - self.shown[0] < self._seconds


def window(runs: int, agent: JEPAAgent, seconds: float = 5.0) -> Iterator[Figures]:
    """Frames per second of the window of `jepa-agent plan` while the agent acts; 60 at most."""
    rates, slowest = [], []
    for run in range(runs + 1):
        game = session.Session(agent, run, layout="random", terminate_on_success=False)
        game.fields = "learned"
        stopwatch = Stopwatch(seconds)
        Player(game, stopwatch).run()
        game.close()
        rates.append((len(stopwatch.shown) - 1) / (stopwatch.shown[-1] - stopwatch.shown[0]))
        slowest.append(1000 * np.percentile(np.diff(stopwatch.shown), 99))
    yield Figures("window", np.array(rates[1:]), "frames/s")
    yield Figures("window, 99th percentile", np.array(slowest[1:]), "ms/frame")
