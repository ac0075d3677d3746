"""Exported agents act as the agents do."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Preset, WorldModel, export
from jepa_agent.agent.costs import CostConfig
from jepa_agent.agent.replanning import mixed
from jepa_agent.exporting.graph import DecisionGraph
from jepa_agent.models.encoders.fused import fused
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.planners import (
    ActionBounds,
    CandidateTracker,
    CategoricalCEMConfig,
    GradientConfig,
    MPPIConfig,
    Noise,
    Plan,
    PlannerConfig,
    ProposalConfig,
)
from jepa_agent.worlds.parts import Parts

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
Decide = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


def agent_with(preset: Preset, planner: PlannerConfig, cost: CostConfig) -> JEPAAgent:
    """An untrained agent whose model proposes 3 sequences of 2 chunks."""
    proposals = ProposalsConfig(heads=3, horizon=2, reach=4, width=16, depth=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WorldModel(dataclasses.replace(preset.model, proposals=proposals))
    model.observation_mean.fill_(20.0)
    model.observation_std.fill_(60.0)
    world = EnvRef("TwoRooms-v0", {"layout": "fixed"})
    bounds = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
    return JEPAAgent(model, bounds, world, planner.build(), cost)


def in_onnxruntime(path: Path) -> Decide:
    session = onnxruntime.InferenceSession(path)
    return lambda inputs: session.run(None, inputs)


def in_order(module: Callable[..., Any]) -> Decide:
    """A module that is called with the tensors of the inputs, in their order."""
    return lambda inputs: [out.numpy() for out in module(*map(torch.as_tensor, inputs.values()))]


class NoiseOf:
    """The noise that an agent draws in its first decisions, for the inputs of a graph."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.numbers: list[torch.Tensor] = []
        normal = Noise.normal

        def noted(noise: Any, *shape: int, like: torch.Tensor) -> torch.Tensor:
            self.numbers.append(normal(noise, *shape, like=like))
            return self.numbers[-1]

        monkeypatch.setattr(Noise, "normal", noted)

    def last(self) -> dict[str, np.ndarray]:
        return {"noise": self.numbers[-1].numpy()} if self.numbers else {}


def assert_same_episode(agent: JEPAAgent, decide: Decide, noise: NoiseOf, steps: int) -> None:
    """Play an episode by an agent, and compare every decision of a file's with its own."""
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    memory = np.zeros_like(DecisionGraph(agent).inputs["memory"].numpy())
    state = None
    for step in range(steps):
        action, state = agent.act(observation, state)
        if step % agent.model.config.chunk == 0:
            seen = {"observation": observation["observation"], "goal": observation["desired_goal"]}
            inputs = {name: image[None] for name, image in seen.items()}
            actions, memory = decide(inputs | {"memory": memory} | noise.last())
        np.testing.assert_allclose(actions[0, step % len(actions[0])], action, atol=1e-4)
        observation, *_ = env.step(action)


MEMORY = "mppi with a memory"
CASES: dict[str, tuple[PlannerConfig, CostConfig]] = {
    "proposals": (
        ProposalConfig(horizon=2, num_samples=5, iterations=1, num_centres=2, knots=3),
        CostConfig(reduction="arrival", near_weight=1.0),
    ),
    "searched proposals": (
        ProposalConfig(horizon=2, num_samples=8, iterations=2, num_centres=2),
        CostConfig(reduction="deadline"),
    ),
    MEMORY: (
        MPPIConfig(horizon=2, num_samples=8, iterations=2),
        CostConfig(error_memory=2, action_cost=0.1),
    ),
    "a budget of risk": (
        MPPIConfig(horizon=2, num_samples=8, iterations=1),
        CostConfig(error_memory=1, risk="cvar"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_graph_acts_as_the_agent_over_an_episode(
    case: str, tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_with(tiny_preset, *CASES[case])
    assert_same_episode(agent, in_order(DecisionGraph(agent)), NoiseOf(monkeypatch), 24)


@pytest.mark.slow
def test_a_file_for_torch_acts_as_the_agent_over_an_episode(
    tiny_preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_with(tiny_preset, *CASES[MEMORY])
    module = torch.export.load(export(agent, tmp_path / "agent.pt2")).module()
    assert_same_episode(agent, in_order(module), NoiseOf(monkeypatch), 24)


def test_the_lines_of_the_page_act_as_the_agent_without_torch_and_without_this_library(
    tiny_preset: Preset, tmp_path: Path
) -> None:
    planner, cost = CASES["proposals"]
    agent = agent_with(tiny_preset, planner, cost)
    export(agent, tmp_path / "agent.onnx")
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=1)
    seen, played, state, chunk = [], [], None, agent.model.config.chunk
    for step in range(8 * chunk):
        action, state = agent.act(observation, state)
        if step % chunk == 0:
            seen.append(observation["observation"])
        played.append(action)
        observation, *_ = env.step(action)
    np.savez(tmp_path / "seen.npz", seen=seen, goal=observation["desired_goal"])
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(lines.splitlines()) <= 12
    (tmp_path / "robot.py").write_text(
        "import sys\n"
        "sys.modules['torch'] = sys.modules['jepa_agent'] = None\n"
        "import numpy\n"
        "data, actions_played = numpy.load('seen.npz'), []\n"
        "goal, frames = data['goal'], list(data['seen'])\n"
        "camera, move, arrived = lambda: frames.pop(0), actions_played.append, lambda: not frames\n"
        f"{lines}\n"
        "numpy.save('played.npy', actions_played)\n"
    )
    subprocess.run([sys.executable, "robot.py"], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "played.npy"), played, atol=1e-4)


@pytest.mark.slow
def test_the_shipped_agent_acts_the_same_in_onnxruntime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = JEPAAgent.load("default", "cpu")
    agent.planner = MPPIConfig(horizon=2, num_samples=32, iterations=1).build()
    decide = in_onnxruntime(export(agent, tmp_path / "agent.onnx"))
    assert_same_episode(agent, decide, NoiseOf(monkeypatch), 50)


def test_bad_input_is_refused_with_the_way_out(
    tiny_preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_with(tiny_preset, *CASES["proposals"])
    with pytest.raises(ValueError, match=r"must end in .onnx or .pt2, got 'agent.tflite'; rename"):
        export(agent, tmp_path / "agent.tflite")
    with pytest.raises(ValueError, match="batch must be at least 1, got 0; give how many"):
        export(agent, tmp_path / "agent.pt2", batch=0)
    gradient = agent_with(tiny_preset, GradientConfig(horizon=2), CostConfig())
    with pytest.raises(ValueError, match="without gradients, got the planner gradient; choose"):
        export(gradient, tmp_path / "agent.pt2")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"need the extra `export`, got .*pip install 'jepa-ag"):
        export(agent, tmp_path / "agent.onnx")
    assert not list(tmp_path.iterdir())


class Counting:
    """A planner that reads numbers out of tensors, which no graph can."""

    horizon = 2

    def plan(self, cost: Any, bounds: Any, noise: Any, warm_start: torch.Tensor) -> Plan:
        tracker = CandidateTracker(cost)
        tracker.evaluate(bounds.project(warm_start[:, None] + 0.1))
        if float(tracker.best_cost[0]) > 0:
            tracker.evaluate(bounds.project(warm_start[:, None] - 0.1))
        return tracker.plan()


def test_planners_that_are_no_graph_are_named(tiny_preset: Preset, tmp_path: Path) -> None:
    agent = agent_with(tiny_preset, *CASES["proposals"])
    agent.planner = Counting()
    with pytest.raises(ValueError, match=r"tensor operations, got the planner Counting .*; plan"):
        export(agent, tmp_path / "agent.pt2")


def test_a_batch_decides_for_each_as_alone_and_zeros_begin_anew(tiny_preset: Preset) -> None:
    agent = agent_with(tiny_preset, ProposalConfig(horizon=2, iterations=1), CASES[MEMORY][1])
    alone, both = DecisionGraph(agent), DecisionGraph(agent, 2)
    images = torch.randint(256, (2, 2, 65, 65, 3), dtype=torch.uint8)
    noise = torch.randn_like(both.inputs["noise"])
    memory = both.inputs["memory"]
    for begins in (False, False, True):
        if begins:
            memory[1] = 0.0
        actions, following = both(images[0], images[1], memory, noise)
        for row in range(2):
            one = slice(row, row + 1)
            expected = alone(images[0, one], images[1, one], memory[one], noise[one])
            torch.testing.assert_close((actions[one], following[one]), expected)
        memory = following
    assert memory[:, 0].tolist() == [3.0, 1.0]


def test_observations_of_several_parts_and_discrete_actions_have_their_own_shapes(
    tiny_preset: Preset,
) -> None:
    parts = Parts({"image": (65, 65, 3), "speed": (2,)})
    encoder = fused(parts, tiny_preset.model.encoder)
    shape = dataclasses.replace(
        tiny_preset.model, observation_shape=(parts.size,), encoder=encoder, action_dim=5
    )
    bounds = ActionBounds.one_hot((2, 3), start=(4, 0))
    planner = CategoricalCEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2).build()
    agent = JEPAAgent(WorldModel(shape), bounds, None, planner)
    graph = DecisionGraph(agent)
    assert [*graph.inputs] == [
        "observation_image", "observation_speed", "goal_image", "goal_speed", "memory", "noise",
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    seen = {
        role: {"image": rng.integers(256, size=(65, 65, 3)).astype(np.uint8),
               "speed": rng.normal(size=2).astype(np.float32)}
        for role in ("observation", "desired_goal")
    }  # fmt: skip
    action, _ = agent.act(seen)
    flat = [torch.as_tensor(part)[None] for role in seen.values() for part in role.values()]
    noise = Noise([mixed(0, 1, 0)]).normal(*graph.inputs["noise"].shape[1:], like=torch.zeros(()))
    actions, _ = graph(*flat, graph.inputs["memory"], noise)
    assert actions.dtype == torch.int64
    assert actions[0, 0].tolist() == action.tolist()
