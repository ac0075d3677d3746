"""The agent: its decisions, and what it remembers between them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from jepa_agent import EnvRef, JEPAAgent
from jepa_agent.agent.costs import PlanningCost
from jepa_agent.planners import (
    CEM,
    ActionBounds,
    Cost,
    Noise,
    Plan,
)
from jepa_agent.worlds.actions import action_bounds

from .observing import CHUNK, observations, row


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
