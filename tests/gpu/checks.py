"""What a GPU would be asked to do, by training, planning, watching and pretraining.

Every check is a function of what was `seen`; it raises where a rule is broken. `test_gpu.py` runs
this in a process of its own, `with_hooks.py`, which prints a JSON document.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from unittest import mock

import numpy as np
import torch
from faults import FAULTS
from pretended import Seen, pretended_gpu

from jepa_agent import EnvRef, JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModel, train
from jepa_agent.agent import replayed
from jepa_agent.agent.costs import CostConfig
from jepa_agent.data.windows import ObservationSource
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.evaluation.episodes import play
from jepa_agent.experiments.gpu import Course, GPUBenchmark
from jepa_agent.models.backbones import BackboneConfig, ResNetConfig
from jepa_agent.models.distances import BlockNormConfig
from jepa_agent.models.encoders import PatchCNNConfig, VectorMLPConfig
from jepa_agent.models.predictors import ResidualMLPConfig
from jepa_agent.models.world_model import WorldModelConfig
from jepa_agent.planners import (
    DISCRETE_PLANNERS,
    PLANNERS,
    ActionBounds,
    CEMConfig,
    GradientConfig,
    MPPIConfig,
    RandomShootingConfig,
)
from jepa_agent.presets import PRESETS
from jepa_agent.pretraining import image, video
from jepa_agent.pretraining.datasets import ImageData, Split
from jepa_agent.pretraining.videos import MovingDigits
from jepa_agent.training import graph, losses
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.run_folder import Run
from jepa_agent.training.task import Task
from jepa_agent.training.world_model import WorldModelTask
from jepa_agent.viz.session import Session

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
IN_A_STEP = 3
"""Launches of a training step by its graph: the learning rate, the graph, a copy of the losses."""
IN_A_DECISION = 3
"""Launches of a decision by its graph: the last plans and errors, the graph, a copy of all."""
WAITS_IN_A_DECISION = 2
"""Waits of the host in a decision: for the check that costs are numbers, and for the actions."""
LAUNCHES = {
    "quick": 600, "base": 1350, "eb_jepa": 720, "vector": 550, "proposals": 630, "gc_idm": 630,
    "lewm": 400,
}  # fmt: skip
"""Most launches in the graph of a preset's joint step; `proposals` are `pixels` with one
network more."""
launches: dict[str, int] = {}
"""Launches by what was done."""

SMALL = Preset(
    WorldModelConfig(
        chunk=3, latent_dim=8, encoder=PatchCNNConfig(16, (4, 4), 16),
        predictor=ResidualMLPConfig(16, 1), distance_head=BlockNormConfig(16, 1, 4, 2),
    ),
    TrainingConfig(
        steps=3, layouts_per_batch=8, windows_per_layout=2, horizon=2, hard_negative_cluster=4,
        center_per_layout=True, diagnose_every=3, diagnose_episodes=1,
        weights=LossWeights(sigreg=1.0, contrast=1.0, window_contrast=1.0),
        refinement=RefinementConfig(2, layouts_per_batch=4, windows_per_layout=4, horizon=2),
    ),
    RandomShootingConfig(horizon=2, num_samples=8),
)  # fmt: skip


@cache
def rooms() -> Trajectories:
    """32 episodes in 8 layouts."""
    config = CollectConfig("mixed", episodes=32, steps=24, episodes_per_layout=4)
    return Trajectories.from_rollouts(*collect(config))


@cache
def shown(pixels: bool) -> Trajectories:
    """The same, as recorded images or vectors of no environment."""
    data, observations = rooms(), None
    if pixels:
        rng = np.random.default_rng(0)
        observations = rng.integers(0, 256, (len(data.states), 32, 32, 3), dtype=np.uint8)
    return Trajectories(
        data.states, data.actions, data.layout[:, :0], data.offsets, {}, observations
    )


def steps_of(seen: Seen, task: Task, may_wait: tuple[int, ...] = ()) -> list[int]:
    """Launches that the graph of each stage holds; nothing waits for the device in any step.

    Every stage has a step that is launched kernel by kernel, and one that is recorded and replayed.
    """
    trainer, counts = Trainer(task), []
    assert task._bfloat16, "training on a GPU must be in bfloat16"
    while trainer.step < task.stages[-1]:
        step = trainer.step
        seen.clear()
        output = trainer.update()
        trainer.meter.add(output.terms, output.frames)
        assert step in may_wait or not seen.waits, f"step {step} waits: {dict(seen.waits)}"
        if task.is_static and trainer.step in task.stages:
            asked = seen.launches.total() - 1  # for the recording
            assert asked == IN_A_STEP, f"step {step} of {task.stages} is {asked} launches"
            counts.append(seen.inside.total())
    return counts


def check_steps(seen: Seen, name: str) -> None:
    """Joint and refinement steps of a preset, with its model and losses, on small batches."""
    preset, data = PRESETS[name], rooms()
    if name in ("vector", "pixels", "proposals", "gc_idm", "lewm"):
        data = shown(pixels=name != "vector")
    training = preset.training
    few = {"layouts_per_batch": 8, "windows_per_layout": 2}
    if name == "base":
        few["hard_negative_cluster"] = 4
    elif name == "eb_jepa":
        few = {"layouts_per_batch": 16, "windows_per_layout": 1, "horizon": 8}
    refinement = RefinementConfig(min(2, training.refinement.steps), 4, 4, horizon=2)
    training = replace(training, steps=2, refinement=refinement, **few)
    task = WorldModelTask(data, replace(preset, training=training), CUDA)
    joint, *rest = steps_of(seen, task, may_wait=(2,))  # where refinement encodes all data
    launches[f"{name}: joint step"] = joint
    if refinement.steps:
        launches[f"{name}: refinement step"] = rest[-1]
    assert joint <= LAUNCHES[name], f"a joint step of {name} launches {joint}"


def check_losses(seen: Seen) -> None:
    """Far from the origin, where bfloat16 is coarse, the losses are those of float32."""
    task, found = WorldModelTask(rooms(), SMALL, CUDA), []
    head = task.objective.heads["contrast"]
    head.prototypes.normal_(std=10.0, generator=task.generator)
    with torch.no_grad():
        head.embedding[-1].bias.add_(10.0)
    state, prototypes = task.generator.get_state(), head.prototypes.clone()
    for task._bfloat16 in (False, True):
        task.generator.set_state(state)
        head.prototypes.copy_(prototypes)
        found.append({name: term.item() for name, term in task._joint_terms().items()})
    assert found[0]["prediction"] != found[1]["prediction"], "the model must run in bfloat16"
    for name, exact in found[0].items():
        error = abs(found[1][name] - exact)
        assert error <= 0.03 * abs(exact) + 1e-2, f"{name} is {found[1][name]} and not {exact}"
    latents = 30.0 + torch.randn(64, 4, generator=task.generator, device=CUDA)
    expected = losses.covariance(latents)
    with task.autocast():
        assert torch.equal(losses.covariance(latents).cpu(), expected.cpu()), "covariance is coarse"


def check_graphs(seen: Seen) -> None:
    """A training by graphs has the bits of one that is launched kernel by kernel."""
    found = []
    joint = replace(SMALL, training=replace(SMALL.training, refinement=RefinementConfig()))
    for graphs in (False, True):
        trainer, losses = Trainer(WorldModelTask(rooms(), joint, CUDA), graphs), []
        while trainer.step < trainer.task.stages[-1]:
            losses.append(trainer.update())
        found.append((trainer.state()[0], losses))
    (one, all_losses), (other, same) = found
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor.cpu(), other[name].cpu()), f"{name} must be what it is without"
    for step, pair in enumerate(zip(all_losses, same, strict=True)):
        terms, kept = ([*each.terms.values(), each.loss] for each in pair)
        assert [each.item() for each in terms] == [each.item() for each in kept], f"step {step}"


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Press Ctrl-C in a step after the start of a run."""
    asked: list[int] = []

    def overdue(run: Run) -> bool:
        asked.append(1)
        run.interrupted = len(asked) == after
        return run.interrupted

    with mock.patch.object(Run, "overdue", property(overdue)):
        yield


def check_resume(seen: Seen) -> None:
    """Interrupted twice within one line of the log, training ends with the bits of a whole one."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            with interrupted(after=1):
                try:
                    train(rooms(), SMALL, CUDA, folder=folder)
                except KeyboardInterrupt:
                    continue
            raise AssertionError("the run must have been interrupted")
        parts = train(rooms(), SMALL, CUDA, folder=folder)
    whole = train(rooms(), SMALL, CUDA)
    pairs = zip(whole.model.state_dict().items(), parts.model.state_dict().items(), strict=True)
    for (name, one), (_, other) in pairs:
        assert one.is_cuda, f"{name} must be on the device"
        assert torch.equal(one.cpu(), other.cpu()), f"{name} must be what it is without interrupts"


def check_diagnostics(seen: Seen) -> None:
    """Held-out data are measured on the device, and episodes planned."""
    measured = []
    data = rooms()
    soon = {**data.metadata["env_kwargs"], "max_episode_steps": 20}
    held_out = replace(data, metadata={**data.metadata, "env_kwargs": soon})
    short = replace(SMALL, training=replace(SMALL.training, refinement=RefinementConfig()))
    train(
        held_out, short, CUDA, held_out=held_out,
        callbacks=[lambda progress, _: measured.append(progress.diagnostics)],
    )  # fmt: skip
    assert measured[-1] is not None


def agent_of(bounds: ActionBounds, device: torch.device) -> JEPAAgent:
    """An untrained agent of vectors."""
    config = WorldModelConfig((4,), len(bounds.low), 0, 3, 8, encoder=VectorMLPConfig(16, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WorldModel(config)
    return JEPAAgent(model.to(device), bounds, EnvRef("Nowhere-v0", {}))


def check_decisions(seen: Seen, name: str) -> None:
    """A planner plans on the device what it plans on the CPU, bit for bit, also in batches and
    from its memory; a decision waits twice for the device, and a held step never."""
    discrete = name not in PLANNERS
    bounds = ActionBounds.one_hot((3, 2)) if discrete else ActionBounds((-1.0, 0.0), (1.0, 5.0))
    settings = {} if name in ("cem-gradient", "subgoals") else {"horizon": 2}
    kind = (PLANNERS | DISCRETE_PLANNERS)[name](**settings, knots=2)
    if name == "cem-gradient":
        steps = replace(kind.gradient, iterations=2, horizon=2)
        kind = replace(kind, cem=CEMConfig(2, 8, 2, 2), gradient=steps)
    elif isinstance(kind, GradientConfig):
        kind = replace(kind, iterations=2)
    here, there = agent_of(bounds, CPU), agent_of(bounds, CUDA)
    for agent in (here, there):
        agent.planner, agent.cost = kind.build(), CostConfig(error_memory=2)
    rng, states = np.random.default_rng(0), [None, None]
    for step in range(7):
        seen_now, goal = rng.normal(size=(2, 3, 4)).astype(np.float32)
        batch = {"observation": seen_now, "desired_goal": goal}
        seen.clear()
        action, states[1] = there.act(batch, states[1])
        waits, most = seen.waits.total(), WAITS_IN_A_DECISION if step % 3 == 0 else 0
        assert waits <= most, f"{name} waits {waits} times in step {step}: {dict(seen.waits)}"
        if step == 6 and kind.differentiates:
            launches[f"{name}: decision"] = seen.launches.total()
        elif step == 6:  # recorded, with room for 4, and replayed
            asked = seen.launches.total() - 1
            assert asked == IN_A_DECISION, f"{name}: {asked} launches: {dict(seen.launches)}"
            assert waits == 1, f"a replayed decision of {name} waits {waits} times"
            launches[f"{name}: decision"] = seen.inside.total()
        expected, states[0] = here.act(batch, states[0])
        np.testing.assert_array_equal(action, expected, err_msg=f"{name}, step {step}")


def check_episodes(seen: Seen) -> None:
    """The shipped agent plays the same episodes on the device, and in the window's thread."""
    agents = [JEPAAgent.load("default", device) for device in (CPU, CUDA)]
    for agent in agents:
        agent.planner = MPPIConfig(horizon=2, num_samples=16, iterations=2).build()
    make = partial(agents[0].env_ref.make, max_episode_steps=12)
    here, there = ([episode.steps for episode in play(a, make, range(2))] for a in agents)
    assert here == there, f"episodes of {there} steps, on the CPU of {here}"
    trails = []
    for agent in agents:
        session = Session(agent, terminate_on_success=False)
        for _ in range(7):
            session.step(wait=True)
        trails.append(session.trail)
        view = session.view()
        assert isinstance(view.plan, np.ndarray)
        session.close()
    np.testing.assert_array_equal(*trails)


def check_images(seen: Seen) -> None:
    """Image pretraining."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (32, 16, 16, 3), dtype=np.uint8), rng.integers(0, 3, 32))
    network = BackboneConfig((16, 16, 3), ResNetConfig(2, (8,), (1,)))
    weights = image.ImageWeights(sigreg=1.0)
    config = image.ImageConfig(network, 16, epochs=1.0, projector=(8, 8), weights=weights)
    with mock.patch.object(image, "Augment", return_value=plain):
        steps_of(seen, image.ImagePretrainer(ImageData("noise", split), config, CUDA))


def plain(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Views that are not augmented: kornia's operators wait for the device as they please."""
    return images.permute(0, 3, 1, 2).float() / 255.0


def check_videos(seen: Seen) -> None:
    """Video pretraining."""
    rng = np.random.default_rng(0)
    clips = MovingDigits(rng.integers(0, 256, (8, 28, 28), dtype=np.uint8), "noise", CUDA)
    network = BackboneConfig((64, 64, 1), ResNetConfig(4, (8,), (1,), 4))
    config = video.VideoConfig(network, 16, width=8, steps=2, prediction_steps=2)
    steps_of(seen, video.VideoPretrainer(clips, config, CUDA))


def check_stored(seen: Seen) -> None:
    """Recorded images are on the device, as they were recorded."""
    data = shown(pixels=True)
    source = ObservationSource(data, None, CUDA)
    rows = torch.arange(4, device=CUDA)
    assert source.at(rows).is_cuda
    np.testing.assert_array_equal(source.at(rows).cpu().numpy(), data.observations[:4])


def check_benchmark(seen: Seen) -> None:
    """The whole benchmark runs as its command does, and says a decision and a step of each kind."""
    data = CollectConfig("mixed", "train", episodes=32, steps=24, episodes_per_layout=4)
    course = Course(SMALL, data, "train")
    small = GPUBenchmark(
        CUDA, runs=1, episodes=1, tries=1, length=6, matrix=8, courses={"small": course},
        num_decisions=1,
    )  # fmt: skip
    compiler, agent = mock.Mock(return_value=None), JEPAAgent.load("default", CUDA)
    agent.planner = RandomShootingConfig(horizon=1, num_samples=2).build()
    with (
        mock.patch.object(JEPAAgent, "load", return_value=agent),
        mock.patch.object(GPUBenchmark.resumed, "__defaults__", (4,)),
        mock.patch("jepa_agent.experiments.gpu.WARM_UP", 1),
        mock.patch("jepa_agent.experiments.gpu.missing_compiler", compiler),
        mock.patch("jepa_agent.agent.compiled.check_compiler", compiler),
    ):
        found = {each.what: each.values for each in small.figures()}
    kinds = ("eager", "graphed", "compiled", "compiled and graphed")
    expected = [f"decision, {kind}, p{percent}" for kind in kinds for percent in (50, 99)]
    for name in ("small", "small, eager"):
        expected += [f"{name}: {stage} training" for stage in ("joint", "refinement")]
        expected.append(f"{name}: training, memory")
    missing = set(expected) - found.keys()
    assert not missing, f"not measured: {missing}"
    assert found["a resumed training has the same bits"].tolist() == [1.0]


CHECKS: dict[str, Callable[[Seen], None]] = {
    **{f"steps of {name}": partial(check_steps, name=name) for name in LAUNCHES},
    "losses": check_losses,
    "graphs": check_graphs,
    "resume": check_resume,
    "diagnostics": check_diagnostics,
    **{
        f"decisions of {name}": partial(check_decisions, name=name)
        for name in (*PLANNERS, *DISCRETE_PLANNERS)
    },
    "episodes": check_episodes,
    "images": check_images,
    "videos": check_videos,
    "stored observations": check_stored,
    "benchmark": check_benchmark,
}


def main() -> None:
    """Run all checks, and every planted fault's check; print what failed and what was missed."""
    torch.set_num_threads(1)
    graph.WARM_UP, replayed.WARM_UP = 1, 2  # steps and decisions before there is a graph
    warnings.filterwarnings("error", message=".* are launched kernel by kernel")
    failed, caught, missed = {}, {}, []
    for name, check in CHECKS.items():
        began = time.process_time()
        try:
            with pretended_gpu() as seen:
                check(seen)
        except Exception:
            failed[name] = traceback.format_exc(limit=-4)
        print(f"{name}: {time.process_time() - began:.1f} s", file=sys.stderr)
    counted = dict(launches)
    for name, (plant, check_name) in FAULTS.items():
        try:
            with pretended_gpu() as seen, plant():
                CHECKS[check_name](seen)
            missed.append(name)
        except Exception as error:
            caught[name] = f"{type(error).__name__}: {error}"
    seconds = time.process_time()
    document = {"failed": failed, "missed": missed, "caught": caught, "launches": counted}
    print(json.dumps({**document, "seconds": seconds}))


if __name__ == "__main__":
    main()
