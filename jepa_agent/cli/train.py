"""Train a world model on offline trajectories and save it as an agent.

$ jepa-agent train quick --out runs/quick
$ jepa-agent train base --out runs/base
$ jepa-agent train eb_jepa                     # EB-JEPA's own; for a GPU
$ jepa-agent train eb_jepa --training.steps 60 --planner.horizon 20 \\
    --planner.num-samples 64 --planner.iterations 4 \\
    --planner.num-elites 8                   # small enough for two cores
$ jepa-agent train quick --data data/a.h5 data/b.h5 --training.steps 2000
$ jepa-agent train base --encoder.backbone runs/frames --encoder.freeze
$ jepa-agent train quick --planner cem --planner.iterations 6
$ jepa-agent train vector --data data/pendulum.h5 --out runs/pendulum
$ jepa-agent train vector --start runs/a --data data/more.h5 --out runs/b
$ jepa-agent train vector --data data/maze.h5 --rounds.count 3    # it explores
$ torchrun --nproc-per-node 4 -m jepa_agent train base    # on 4 processes
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import tyro

from .. import presets
from ..agent.agent import JEPAAgent
from ..agent.costs import CostConfig
from ..data.formats import read as read_data
from ..data.trajectories import Trajectories
from ..device import resolve_device
from ..envs import CollectConfig, collect
from ..evaluation.two_rooms import HELD_OUT_DATA, SETTINGS, default_suites, evaluate
from ..models.backbones import load_backbone
from ..models.encoders import BackboneEncoderConfig
from ..models.world_model import WorldModelConfig
from ..planners import CEMConfig, PlannerConfig
from ..registry import import_object
from ..training import distributed
from ..training.config import Preset, TrainingConfig
from ..training.loggers import TensorBoard, Trackio, WandB
from ..training.loop import Callback
from ..training.rounds import RoundsConfig, train_in_rounds
from ..training.world_model import train
from ..viz.tensorboard import DistanceMaps
from ..worlds.reference import EnvRef
from .console import TrainingDisplay, resumable
from .kinds import Kinds, kinds_of, with_kinds


@dataclass(frozen=True)
class EncoderArgs:
    """A pretrained backbone in the place of the preset's encoder."""

    backbone: Path | None = None
    """A folder of `jepa-agent pretrain image` or `jepa-agent pretrain video`."""
    freeze: bool = False
    """Keep the backbone's weights."""
    size: Literal["same", "resize", "any"] = "same"
    """Images of another size: an error, scaled to the backbone's, or taken as they are."""
    channels: Literal["same", "mean"] = "same"
    """Images of other channels: an error, or their mean in each of the backbone's channels."""
    allow_code: bool = False
    """Import the module of a backbone whose network is not the library's; this runs its code."""


@dataclass(frozen=True)
class Args:
    """What to train on, what to train, and where to."""

    collect: CollectConfig
    """The data to collect first, unless --data names a file."""
    kinds: tyro.conf.OmitArgPrefixes[Kinds]
    """What `choices` has put into the preset."""
    model: WorldModelConfig = field(default_factory=WorldModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    planner: tyro.conf.AvoidSubcommands[PlannerConfig] = field(default_factory=CEMConfig)
    cost: CostConfig = field(default_factory=CostConfig)
    encoder: EncoderArgs = field(default_factory=EncoderArgs)
    data: tuple[Path, ...] = ()
    """Trajectory files of `jepa-agent collect`, all of one environment."""
    data_on_disk: bool = False
    """Read the observations of --data from the disk when needed, if they exceed the memory."""
    rounds: RoundsConfig = field(default_factory=RoundsConfig)
    """Then let the agent collect more data by planning to what it has rarely seen, and train on."""
    start: Path | None = None
    """A folder of `jepa-agent train`: go on from its agent, with a new schedule, perhaps on other
    data."""
    allow_code: bool = False
    """Import the modules of parts that the agent of --start names; this runs their code."""
    out: Path = Path("runs/quick")
    """The run's folder: a checkpoint, and metrics.jsonl."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    keep: int = 0
    """Number of past diagnostic checkpoints to keep, as step-N in the run's folder."""
    log: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = field(
        default_factory=lambda: ("tensorboard",) if find_spec("tensorboard") else ()
    )
    """Where the metrics go beside metrics.jsonl; each needs the extra of its name."""
    report: int = 32
    """Episodes that the trained agent plays for a report in the run's folder (Two Rooms, extra
    `plots`); 0 for none."""


ABOUT = {
    "quick": "The fixed layout, in under 6 minutes on two cores.",
    "base": "Any layout, from the 966 train layouts, in under 30 minutes on two cores.",
    "base_gpu": "`base` in batches of 16 times the frames; for a GPU.",
    "eb_jepa": "EB-JEPA's model, losses, batch, data and planner (arXiv 2602.03604); for a GPU.",
    "maps": "Something among walls that may be anywhere, in images; --data names its trajectories.",
    "vector": "Any environment whose observations are vectors; --data names its trajectories.",
    "pixels": "Any environment whose observations are images; --data names its trajectories.",
    "proposals": "Images of any world, from behaviour that goes somewhere; --data as above.",
    "gc_idm": "A goal-conditioned inverse model, without any search; --data as above.",
    "lewm": "LeWM's two losses and planner (arXiv 2603.19312) in small networks; --data as above.",
}


def args_of(name: str, preset: Preset) -> Args:
    """A preset as the options that may change it; `module:NAME` is a user's."""
    short = name.rpartition(":")[2]
    return Args(
        collect=presets.DATA.get(name, CollectConfig()),
        kinds=kinds_of(preset),
        model=preset.model,
        training=preset.training,
        planner=preset.planner,
        cost=preset.cost,
        out=Path("runs") / short.lower(),
        # on two cores it takes hours to play the episodes of eb_jepa's report
        report=0 if name == "eb_jepa" else 32,
    )


def choices(options: Sequence[str]) -> dict[str, tuple[str, Args]]:
    """The presets to choose from, or the one that `module:NAME` names, of the kinds asked for."""
    found, about = dict(presets.PRESETS), ABOUT
    if options and ":" in options[0]:
        preset = import_object(options[0])
        if not isinstance(preset, Preset):
            raise ValueError(
                f"{options[0]} must be a jepa_agent.Preset, got {type(preset).__name__}"
            )
        found, about = {options[0]: preset}, {options[0]: "A preset of yours."}
    return {
        name: (about[name], args_of(name, with_kinds(preset, options)))
        for name, preset in found.items()
    }


PRESETS = choices(())


def main(args: Args) -> None:
    began = time.perf_counter()
    device = distributed.join(resolve_device(args.device))
    trajectories, model, backbone, start = read(args), args.model, None, None
    if args.start is not None:
        start = JEPAAgent.load(args.start, "cpu", allow_code=args.allow_code)
    if args.encoder.backbone is not None:
        backbone = load_backbone(args.encoder.backbone, allow_code=args.encoder.allow_code)
        about = args.encoder
        model = replace(
            model,
            encoder=BackboneEncoderConfig(
                backbone.config, about.freeze, about.size, about.channels
            ),
        )
    preset = Preset(model, args.training, args.planner, args.cost)
    about_data = trajectories.metadata
    in_two_rooms = about_data.get("env_id", "TwoRooms-v0").endswith("TwoRooms-v0")
    layout = str(about_data.get("env_kwargs", {}).get("layout", "")) if in_two_rooms else ""
    others = HELD_OUT_DATA.get(layout)
    held_out = Trajectories.from_rollouts(*collect(others)) if others else None
    shown = {"layout": others.layout, "terminate_on_success": False} if others else None
    with resumable(args.out), TrainingDisplay(" px" if layout else "") as display:

        def watch(folder: Path) -> list[Callback]:
            return [display, *(logger(name, folder, shown) for name in args.log)]

        if args.rounds.count:
            agent = train_in_rounds(
                trajectories, preset, args.rounds, device, folder=args.out, watch=watch,
                backbone=backbone, start=start,
            )  # fmt: skip
        else:
            agent = train(
                trajectories, preset, device, folder=args.out, callbacks=watch(args.out),
                held_out=held_out, backbone=backbone, keep=args.keep, start=start,
            )  # fmt: skip
    if not distributed.is_main_process():
        return
    print(f"trained in {time.perf_counter() - began:.0f} s, checkpoint and metrics in {args.out}")
    if args.report and layout and find_spec("matplotlib") and find_spec("jinja2"):
        from ..viz.report import write_report

        seeds = range(1_000_000, 1_000_000 + args.report)
        report = evaluate(agent, default_suites(agent), seeds, 64, str(args.out))
        print("wrote", write_report(args.out, agent, report, args.out, SETTINGS))
    more = "" if agent.has_environment else " --env MODULE:NAME"
    if not (agent.has_environment and shows_goals(agent.env_ref)):
        more += " --goals data --data HELD_OUT.h5 --success-within NUMBERS"
    print(f"next: jepa-agent evaluate --checkpoint {args.out}{more}")


def shows_goals(world: EnvRef) -> bool:
    """Whether episodes have goals of their own."""
    return "desired_goal" in getattr(world.make().observation_space, "spaces", {})


def logger(name: str, out: Path, world: dict[str, Any] | None) -> Callback:
    """One of the dashboards, which draws distance maps of a held-out world where it can."""
    if name != "tensorboard":
        return {"trackio": Trackio, "wandb": WandB}[name](name=out.name)
    folder = out / "tensorboard"
    return DistanceMaps(folder, world) if world else TensorBoard(folder)


def read(args: Args) -> Trajectories:
    """The trajectories that the arguments name, or collected ones."""
    if args.data:
        return read_data(args.data, in_memory=not args.data_on_disk)
    if args.data_on_disk:
        raise ValueError(
            "--data-on-disk needs the file whose observations stay there; name it with --data"
        )
    if args.collect.episodes < 2:  # of the presets for any world
        raise ValueError(
            "this preset needs trajectories, got none; name a file of `jepa-agent collect` or "
            "`jepa-agent import` with --data"
        )
    return Trajectories.from_rollouts(*collect(args.collect))
