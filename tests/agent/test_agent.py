from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import EnvRef, JEPAAgent
from jepa_agent.agent.costs import CostConfig, PlanningCost
from jepa_agent.planners import (
    CEM,
    ActionBounds,
    CandidateTracker,
    Cost,
    Noise,
    Plan,
    RandomShooting,
    make_planner,
)
from jepa_agent.worlds.actions import action_bounds

Observation = dict[str, np.ndarray]
CHUNK = 3
"""Steps per decision of the tiny agent."""


def observations(agent: JEPAAgent, count: int) -> Observation:
    """The first observations of seeds 0, 1, ..."""
    env = agent.env_ref.make()
    each = [env.reset(seed=seed)[0] for seed in range(count)]
    return {key: np.stack([observation[key] for observation in each]) for key in each[0]}


def row(batch: Observation, index: int) -> Observation:
    return {key: value[index] for key, value in batch.items()}


def test_the_shipped_agent_reaches_ten_goals_of_ten(default_agent: JEPAAgent) -> None:
    """The end-to-end truth, as Stable-Baselines3 scores it."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: Monitor(default_agent.env_ref.make())] * 10)
    envs.seed(0)
    returns, lengths = evaluate_policy(
        default_agent,  # type: ignore[arg-type]
        envs,
        n_eval_episodes=10,
        return_episode_rewards=True,
    )
    assert len(returns) == 10
    assert max(lengths) < 100
    assert returns == [1.0 - length for length in lengths]  # -1 a step, and 0 at the goal


def test_one_observation_is_planned_like_a_batch(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 5)
    actions, state = tiny_agent.predict(batch)
    assert actions.shape == (5, 2)
    assert state.planned.tolist() == [True] * 5
    for index in range(5):
        alone, _ = tiny_agent.act(row(batch, index))
        assert alone.shape == (2,)
        np.testing.assert_allclose(alone, actions[index], rtol=0, atol=1e-6)


def test_permuting_the_batch_permutes_the_actions(tiny_agent: JEPAAgent) -> None:
    batch, order = observations(tiny_agent, 5), [3, 0, 4, 1, 2]
    actions, _ = tiny_agent.act(batch)
    permuted, _ = tiny_agent.act({key: value[order] for key, value in batch.items()})
    np.testing.assert_allclose(permuted, actions[order], rtol=0, atol=1e-6)


def test_actions_are_allowed(tiny_agent: JEPAAgent) -> None:
    actions, _ = tiny_agent.predict(observations(tiny_agent, 20))
    space = tiny_agent.env_ref.make().action_space
    assert actions.dtype == np.float32
    assert all(space.contains(action) for action in actions)
    assert np.linalg.norm(actions, axis=-1).max() <= 1.0 + 1e-6


def test_the_plan_lowers_the_imagined_distance(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 5)
    plan = tiny_agent.act(batch)[1].search
    assert plan is not None
    frames = torch.as_tensor(np.stack([batch["observation"], batch["desired_goal"]]))
    latents, goals = tiny_agent.model.encode(frames)
    cost = PlanningCost(tiny_agent.model, latents, goals, tiny_agent.cost)
    standing = cost(torch.zeros_like(plan.actions)[:, None])[:, 0]
    torch.testing.assert_close(cost(plan.actions[:, None])[:, 0], plan.cost)
    assert (plan.cost < standing).all()


def test_the_cost_is_the_distance_summed_over_the_rollout(tiny_agent: JEPAAgent) -> None:
    generator = torch.Generator().manual_seed(0)
    latents, goals = torch.randn(2, 3, 8, generator=generator, dtype=torch.float64)
    candidates = torch.randn(3, 4, 2, 2, generator=generator, dtype=torch.float64)
    costs = PlanningCost(tiny_agent.model, latents, goals, tiny_agent.cost)(candidates)
    for b in range(3):
        for n in range(4):
            latent, total = latents[b], torch.zeros((), dtype=torch.float64)
            for action in candidates[b, n]:
                latent = tiny_agent.model.predict(latent, action.repeat(CHUNK))
                total = total + tiny_agent.model.distance(latent, goals[b])
            torch.testing.assert_close(costs[b, n], total)


def test_an_action_is_held_for_a_chunk_and_then_replanned(tiny_agent: JEPAAgent) -> None:
    observation = row(observations(tiny_agent, 1), 0)
    state, planned, actions = None, [], []
    for _ in range(3 * CHUNK):
        action, state = tiny_agent.predict(observation, state, np.array([state is None]))
        planned.append(bool(state.planned[0]))
        actions.append(action.tolist())
    assert planned == [True, False, False] * 3
    for begin in range(0, 3 * CHUNK, CHUNK):
        assert actions[begin : begin + CHUNK] == [actions[begin]] * CHUNK
    assert actions[0] != actions[CHUNK]


def test_replanning_starts_from_the_shifted_plan(tiny_agent: JEPAAgent) -> None:
    starts: list[Tensor] = []

    class Spy(CEM):
        def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
            starts.append(warm_start)
            return super().plan(cost, bounds, noise, warm_start)

    tiny_agent.planner = Spy(tiny_agent.planner.config)
    batch, state = observations(tiny_agent, 2), None
    plans: list[Tensor] = []
    for step in range(2 * CHUNK + 1):
        # The second environment begins a new episode just when both are due again.
        _, state = tiny_agent.predict(batch, state, np.array([step == 0, step in (0, 2 * CHUNK)]))
        if state.planned.all():
            assert state.search is not None
            plans.append(state.search.actions)
    assert (starts[0] == 0.0).all()
    assert torch.equal(starts[1], plans[0][:, [1, 1]])  # horizon 2: the last action is repeated
    assert torch.equal(starts[2][0], plans[1][0, [1, 1]])
    assert (starts[2][1] == 0.0).all()


def test_every_decision_of_every_episode_has_its_own_noise(tiny_agent: JEPAAgent) -> None:
    drawn: list[tuple[float, ...]] = []

    class Spy(CEM):
        def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
            drawn.append(tuple(noise.normal(2, like=warm_start)[0].tolist()))
            return super().plan(cost, bounds, noise, warm_start)

    tiny_agent.planner = Spy(tiny_agent.planner.config)
    observation, state = row(observations(tiny_agent, 1), 0), None
    for step in range(4 * CHUNK):
        _, state = tiny_agent.predict(observation, state, np.array([step % (2 * CHUNK) == 0]))
    assert len(drawn) == len(set(drawn)) == 4  # two episodes of two decisions


def test_a_new_episode_is_planned_at_once_and_from_nothing(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 2)
    _, state = tiny_agent.predict(batch)
    actions, state = tiny_agent.predict(batch, state, np.array([False, True]))
    assert state.planned.tolist() == [False, True]
    assert state.elapsed.tolist() == [2, 1]
    assert state.episode.tolist() == [1, 2]
    assert actions.shape == (2, 2)
    _, state = tiny_agent.predict(batch, state, np.array([False, False]))
    assert state.planned.tolist() == [False, False]
    _, state = tiny_agent.predict(batch, state, np.array([False, False]))
    assert state.planned.tolist() == [True, False]


def test_stable_baselines3s_loop_may_drop_the_state(tiny_agent: JEPAAgent) -> None:
    """`action, _ = agent.predict(observation)` plays as if the state were kept."""
    env = tiny_agent.env_ref.make(terminate_on_success=False, max_episode_steps=7)
    observation, _ = env.reset(seed=0)
    kept, state, start = observation, None, True
    decisions: list[int] = []
    for step in range(16):  # three episodes, whose ends nobody tells the first loop
        action, memory = tiny_agent.predict(observation)
        expected, state = tiny_agent.act(kept, state, np.array([start]))
        np.testing.assert_array_equal(action, expected)
        if memory.planned[0]:
            decisions.append(step)
        observation, _, _, start, _ = env.step(action)
        if start:
            observation, _ = env.reset()
        kept = observation
    assert decisions == [0, 3, 6, 7, 10, 13, 14]


def test_what_is_remembered_ends_with_what_it_was_of(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 2)
    first, _ = tiny_agent.predict(batch)
    assert tiny_agent.predict(batch)[1].elapsed.tolist() == [2, 2]
    assert tiny_agent.predict(row(batch, 0))[1].elapsed.tolist() == [1]  # another number
    tiny_agent.predict(batch)
    everyone = np.array([True, True])  # as Stable-Baselines3's evaluate_policy begins
    np.testing.assert_array_equal(tiny_agent.predict(batch, None, everyone)[0], first)
    assert tiny_agent.predict(batch, None, ~everyone)[1].elapsed.tolist() == [2, 2]
    _, state = tiny_agent.act(batch)
    assert tiny_agent.predict(batch, state)[1].elapsed.tolist() == [2, 2]
    assert tiny_agent.predict(batch)[1].elapsed.tolist() == [1, 1]  # a state was passed in between
    tiny_agent.set_goal(batch["desired_goal"][0])
    assert tiny_agent.predict(batch["observation"])[1].elapsed.tolist() == [1, 1]
    assert tiny_agent.predict(batch["observation"])[1].elapsed.tolist() == [2, 2]


def test_actions_are_the_callers_own(tiny_agent: JEPAAgent) -> None:
    observation = row(observations(tiny_agent, 1), 0)
    action, state = tiny_agent.act(observation)
    meant = action.copy()
    action *= 0.5
    np.testing.assert_array_equal(tiny_agent.act(observation, state)[0], meant)


@pytest.fixture
def overwriting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as CUDA graphs do: every call returns the same tensors, with new numbers."""

    def compiled(search: Callable[..., Plan], **_: object) -> Callable[..., Plan]:
        kept: list[Plan] = []

        def replayed(*problem: object) -> Plan:
            actions, cost, trace = search(*problem)
            if not kept:
                kept.append(Plan(actions, cost, trace))
            kept[0].actions.copy_(actions)
            kept[0].cost.copy_(cost)
            for mine, new in zip(kept[0].trace, trace, strict=True):
                for old, fresh in zip(mine, new, strict=True):
                    old.copy_(fresh)
            return kept[0]

        return replayed

    monkeypatch.setattr(torch, "compile", compiled)


@pytest.mark.parametrize(
    "sent", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
def test_a_compiled_agent_can_be_copied_and_sent_to_another_process(
    tiny_agent: JEPAAgent, overwriting: None, sent: Callable[[JEPAAgent], JEPAAgent]
) -> None:
    batch = observations(tiny_agent, 2)
    expected, _ = tiny_agent.act(batch)
    tiny_agent.compile()
    again = sent(tiny_agent)
    np.testing.assert_array_equal(again.act(batch)[0], expected)
    again.planner = RandomShooting()  # its own, and not that of the agent it was made of
    assert (again.act(batch)[0] != tiny_agent.act(batch)[0]).any()


def test_a_compiled_agents_plans_stay_what_they_are(
    tiny_agent: JEPAAgent, overwriting: None
) -> None:
    batch = observations(tiny_agent, 2)
    plain = [tiny_agent.act(batch)[1]]
    tiny_agent.seed = 1
    plain.append(tiny_agent.act(batch)[1])
    tiny_agent.seed = 0
    tiny_agent.compile()
    tiny_agent.act(batch)  # notes which random numbers the search needs
    replayed = [tiny_agent.act(batch)[1]]
    tiny_agent.seed = 1
    replayed.append(tiny_agent.act(batch)[1])
    assert not torch.equal(plain[0].plan, plain[1].plan)
    for expected, found in zip(plain, replayed, strict=True):
        assert torch.equal(found.plan, expected.plan)
        np.testing.assert_array_equal(found.actions, expected.actions)
        assert expected.search is not None
        assert found.search is not None
        assert torch.equal(found.search.actions, expected.search.actions)
        assert torch.equal(found.search.cost, expected.search.cost)
        assert torch.equal(found.search.trace.costs[-1], expected.search.trace.costs[-1])
        assert torch.equal(found.search.trace.candidates[0], expected.search.trace.candidates[0])


def test_images_may_have_their_channels_first(tiny_agent: JEPAAgent) -> None:
    """As Stable-Baselines3's VecTransposeImage turns them."""
    batch = observations(tiny_agent, 2)
    turned = {key: np.moveaxis(value, -1, 1) for key, value in batch.items()}
    np.testing.assert_array_equal(tiny_agent.act(turned)[0], tiny_agent.act(batch)[0])
    one, _ = tiny_agent.act(row(turned, 1))
    np.testing.assert_array_equal(one, tiny_agent.act(row(batch, 1))[0])


def test_a_state_that_was_passed_in_is_not_changed(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 2)
    _, state = tiny_agent.predict(batch)
    plan, elapsed = state.plan.clone(), state.elapsed.copy()
    tiny_agent.predict(batch, state, np.array([True, False]))
    assert torch.equal(state.plan, plan)
    np.testing.assert_array_equal(state.elapsed, elapsed)


def test_the_seed_decides_the_search(tiny_agent: JEPAAgent) -> None:
    observation = row(observations(tiny_agent, 1), 0)
    first, _ = tiny_agent.act(observation)
    tiny_agent.seed = 1
    assert (tiny_agent.act(observation)[0] != first).any()


def test_predict_leaves_the_global_generator_alone(tiny_agent: JEPAAgent) -> None:
    before = torch.get_rng_state()
    tiny_agent.predict(observations(tiny_agent, 1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("observation", np.full((65, 65, 3), 2, np.float32), "float32"),
        ("observation", np.zeros((64, 64, 3), np.uint8), r"\(64, 64, 3\)"),
        ("observation", np.zeros((3, 64, 65), np.uint8), r"\(3, 64, 65\)"),
        ("observation", np.zeros((1, 1, 65, 65, 3), np.uint8), r"\(1, 1, 65, 65, 3\)"),
        ("desired_goal", np.zeros((65, 65), np.uint8), r"\(65, 65\)"),
        ("desired_goal", np.zeros(2, np.float32), r"float32 \(2,\)"),
    ],
)
def test_a_wrong_image_is_rejected(
    tiny_agent: JEPAAgent, key: str, value: np.ndarray, message: str
) -> None:
    observation = {**row(observations(tiny_agent, 1), 0), key: value}
    with pytest.raises(ValueError, match=rf"{key} must be uint8.*{message}.*agent\.env_ref\.make"):
        tiny_agent.predict(observation)


def test_state_observations_are_rejected(tiny_agent: JEPAAgent) -> None:
    observation, _ = tiny_agent.env_ref.make(obs_type="state").reset(seed=0)
    with pytest.raises(ValueError, match=r"must be uint8 images \(65, 65, 3\).*got float32 \(4,\)"):
        tiny_agent.predict(observation)


@pytest.mark.parametrize("observation", [np.zeros((65, 65, 3), np.uint8), {}, None])
def test_an_observation_without_a_goal_is_rejected(tiny_agent: JEPAAgent, observation: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a dict with .* goal-conditioned environment"):
        tiny_agent.predict(observation)


@pytest.mark.parametrize("goals", [None, 2, 4], ids=["a single goal", "too few", "too many"])
def test_goals_must_be_as_many_as_observations(tiny_agent: JEPAAgent, goals: int | None) -> None:
    batch = observations(tiny_agent, 4)
    goal = batch["desired_goal"][0] if goals is None else batch["desired_goal"][:goals]
    with pytest.raises(ValueError, match="desired_goal"):
        tiny_agent.predict({"observation": batch["observation"][:3], "desired_goal": goal})


def test_a_state_of_other_environments_is_rejected(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 3)
    _, state = tiny_agent.predict(batch)
    with pytest.raises(ValueError, match=r"must be of 1 environments .*got 3"):
        tiny_agent.predict(row(batch, 0), state)


def test_bounds_must_be_of_the_models_actions(tiny_agent: JEPAAgent) -> None:
    with pytest.raises(ValueError, match="action"):
        JEPAAgent(tiny_agent.model, ActionBounds((-1.0,), (1.0,)), tiny_agent.env_ref)


def test_a_loaded_agent_plays_like_the_saved_one(tiny_agent: JEPAAgent, tmp_path: Path) -> None:
    tiny_agent.model.float()
    tiny_agent.save(tmp_path)
    batch = observations(tiny_agent, 3)
    loaded = JEPAAgent.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(batch)[0], tiny_agent.predict(batch)[0])
    other = JEPAAgent.load(str(tmp_path), seed=1)
    assert (other.predict(batch)[0] != tiny_agent.predict(batch)[0]).any()


def test_a_planner_that_a_checkpoint_cannot_record_is_not_saved(
    tiny_agent: JEPAAgent, tmp_path: Path
) -> None:
    class Lazy:
        horizon = 2

        def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
            search = CandidateTracker(cost)
            search.evaluate(warm_start[:, None])
            return search.plan()

    tiny_agent.planner = Lazy()
    actions, _ = tiny_agent.predict(observations(tiny_agent, 2))
    assert (actions == 0.0).all()
    with pytest.raises(TypeError, match=r"at the top of a module.*got .*Lazy"):
        tiny_agent.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_env_spec_makes_its_environment() -> None:
    spec = EnvRef("TwoRooms-v0", {"layout": "fixed", "success_radius": 3.0})
    env = spec.make(success_radius=2.0, max_episode_steps=7)
    assert env.unwrapped.config.layout == "fixed"  # type: ignore[attr-defined]
    assert env.unwrapped.config.success_radius == 2.0  # type: ignore[attr-defined]
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7


def test_action_bounds_are_read_off_an_environment() -> None:
    assert action_bounds(gym.make("TwoRooms-v0")) == ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
    assert action_bounds(gym.make("Pendulum-v1")) == ActionBounds((-2.0,), (2.0,))
    assert action_bounds(gym.make("CartPole-v1")) == ActionBounds.one_hot((2,), (), ())


def test_a_checkpoint_in_half_precision_takes_half_the_space(
    default_agent: JEPAAgent, tmp_path: Path
) -> None:
    sizes = []
    for name, half in (("whole", False), ("half", True)):
        default_agent.save(tmp_path / name, half=half)
        (weights,) = (tmp_path / name).glob("*.safetensors")
        sizes.append(weights.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    again = JEPAAgent.load(tmp_path / "half")
    for name, tensor in default_agent.model.state_dict().items():
        restored = again.model.state_dict()[name]
        assert restored.dtype == torch.float32
        torch.testing.assert_close(restored, tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what torch has deprecated
@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "random"])
def test_a_search_is_one_graph(
    tiny_agent: JEPAAgent, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever is not compiled, such as the random numbers, is outside of it."""
    plain = partial(torch.compile, backend="eager", fullgraph=True, dynamic=False)
    monkeypatch.setattr(torch, "compile", lambda search, **_: plain(search))
    batch = observations(tiny_agent, 2)
    tiny_agent.planner, tiny_agent.cost = make_planner(name), CostConfig(error_memory=2)
    plans = [tiny_agent.act(batch)[0]]
    tiny_agent.compile()
    plans += [tiny_agent.act(batch)[0] for _ in range(2)]
    np.testing.assert_array_equal(plans[1], plans[0])
    np.testing.assert_array_equal(plans[2], plans[0])


def test_a_compiled_agent_may_change_its_planner(
    tiny_agent: JEPAAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda search, **_: search)
    batch = observations(tiny_agent, 2)
    tiny_agent.compile()
    for name in ("cem", "random", "icem"):  # with other numbers for starts of the same shape
        tiny_agent.planner = make_planner(name)
        expected, _ = copy.copy(tiny_agent).act(batch)
        for _ in range(2):
            np.testing.assert_array_equal(tiny_agent.act(batch)[0], expected)


def test_a_compiled_agent_says_that_costs_are_not_numbers(
    tiny_agent: JEPAAgent, overwriting: None
) -> None:
    batch = observations(tiny_agent, 2)
    tiny_agent.compile()
    tiny_agent.act(batch)
    tiny_agent.model.observation_mean.fill_(math.nan)
    with pytest.raises(ValueError, match="costs must be numbers, got NaN"):
        tiny_agent.act(batch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what torch has deprecated
def test_a_compiled_search_finds_the_same_plans(default_agent: JEPAAgent) -> None:
    compiled = JEPAAgent.load("default")
    compiled.compile()
    observation, _ = default_agent.env_ref.make().reset(seed=3)
    plain, state = default_agent.act(observation)
    compiled.act(observation)  # notes which random numbers the search needs
    same, compiled_state = compiled.act(observation)
    np.testing.assert_allclose(same, plain, atol=1e-3)
    torch.testing.assert_close(
        compiled_state.search.trace.costs[0], state.search.trace.costs[0],
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip


def test_a_selected_state_goes_on_as_if_the_others_were_there(tiny_agent: JEPAAgent) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 2, 65, 65, 3), dtype=np.uint8)
    batch = {"observation": images[:, 0], "desired_goal": images[:, 1]}
    _, state = tiny_agent.predict(batch)
    for _ in range(4):  # beyond a chunk
        whole, next_state = tiny_agent.predict(batch, state)
        rows = np.array([2, 0])
        part, _ = tiny_agent.predict(
            {key: value[rows] for key, value in batch.items()}, state.select(rows)
        )
        np.testing.assert_allclose(part, whole[rows], atol=1e-12)
        state = next_state
