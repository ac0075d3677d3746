"""What an episode teaches, against its plain definition."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent
from jepa_agent.agent.costs import CostConfig
from jepa_agent.agent.error_memory import NEAR_ACTION, NEAR_DISTANCE, ErrorMemory
from jepa_agent.agent.imagination import imagine
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.distances import BlockNormConfig, DistanceHeadConfig, QuasimetricConfig

SIZE = 2
WIDTH = torch.tensor([0.5, 2.0], dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lived(agent: JEPAAgent, chunks: int, count: int = 3) -> tuple[ErrorMemory, list[list[Tensor]]]:
    """Chunks of `count` episodes: the error_memory, and (start, action, error) of each."""
    model, story = agent.model, []
    here, action = random(count, 8), torch.zeros(count, 2, dtype=torch.float64)
    fresh = torch.ones(count, dtype=torch.bool)
    error_memory = ErrorMemory.none(model, count, SIZE, WIDTH).observe_outcome(
        model, here, action, fresh
    )
    for chunk in range(chunks):
        action, there = random(count, 2, seed=chunk + 1), random(count, 8, seed=chunk + 50)
        error_memory = error_memory.expect(model, action.repeat(1, model.config.chunk))
        expected = model.predict(here, action.repeat(1, model.config.chunk))
        story.append([here, action, there - expected])
        error_memory = error_memory.observe_outcome(model, there, action, ~fresh)
        here = there
    return error_memory, story


@pytest.mark.parametrize("head", [BlockNormConfig(), QuasimetricConfig()])
def test_the_correction_equals_a_plain_loop(
    tiny_agent: JEPAAgent, head: DistanceHeadConfig
) -> None:
    """The last two of four chunks are remembered, where they are near both ways."""
    model = tiny_agent.model
    model.distance_head = head.build(8).double()
    error_memory, story = lived(tiny_agent, 4)
    latents, actions = random(3, 5, 8, seed=7), random(3, 5, 2, seed=8)
    found = error_memory.correction(model, model.distance_embedding(latents), actions)
    for episode in range(3):
        for n in range(5):
            total, sum_of_weights = torch.zeros(8, dtype=torch.float64), 0.0
            for start, action, error in story[-SIZE:]:
                here, there = latents[episode, n], start[episode]
                way = max(model.distance(*pair).item() for pair in ((here, there), (there, here)))
                turn = ((actions[episode, n] - action[episode]) / WIDTH).norm().item()
                weight = math.exp(-((way / NEAR_DISTANCE) ** 2) - (turn / NEAR_ACTION) ** 2)
                total, sum_of_weights = total + weight * error[episode], sum_of_weights + weight
            torch.testing.assert_close(found[episode, n], total / max(1.0, sum_of_weights))


def test_what_happened_once_is_imagined_when_it_is_tried_again(tiny_agent: JEPAAgent) -> None:
    model = tiny_agent.model
    error_memory, ((start, action, _),) = lived(tiny_agent, 1)
    imagined, embedding = imagine(model, start, action[:, None, None], error_memory)
    torch.testing.assert_close(imagined[:, 0, 0], error_memory.latent)
    torch.testing.assert_close(embedding, model.distance_embedding(imagined))
    elsewhere, _ = imagine(model, start, action[:, None, None] + 20.0, error_memory)
    alone, _ = imagine(model, start, action[:, None, None] + 20.0)
    torch.testing.assert_close(elsewhere, alone)


def test_an_episode_begins_without_experience(tiny_agent: JEPAAgent) -> None:
    model = tiny_agent.model
    error_memory, ((_, action, _), _) = lived(tiny_agent, 2)
    fresh = torch.tensor([False, True, False])
    error_memory = error_memory.observe_outcome(model, random(3, 8, seed=3), action, fresh)
    assert error_memory.known.tolist() == [[1, 1], [0, 0], [1, 1]]
    embedding = model.distance_embedding(random(3, 1, 8, seed=4))
    found = error_memory.correction(model, embedding, action[:, None])
    assert (found[1] == 0).all()
    assert (found[0] != 0).any()


def test_episodes_can_be_chosen_and_put_back(tiny_agent: JEPAAgent) -> None:
    error_memory, _ = lived(tiny_agent, 2)
    rows = torch.tensor([2, 0])
    chosen = error_memory.select(rows)
    changed = ErrorMemory(*(each + 1 for each in chosen))
    back = error_memory.replaced(rows, changed)
    for old, part, new in zip(error_memory, chosen, back, strict=True):
        assert torch.equal(part, old[[2, 0]])
        assert torch.equal(new[1], old[1])
        assert torch.equal(new[[0, 2]], old[[0, 2]] + 1)


Remembering = Callable[[int], JEPAAgent]


@pytest.fixture
def remembering(tiny_agent: JEPAAgent) -> Remembering:
    """The tiny agent with a memory of some chunks."""

    def make(size: int) -> JEPAAgent:
        tiny_agent.cost = dataclasses.replace(tiny_agent.cost, error_memory=size)
        return tiny_agent

    return make


def test_the_agent_remembers_what_came_of_its_chunks(remembering: Remembering) -> None:
    """Alone and beside another episode that begins anew, it plans the same."""
    agent = remembering(SIZE)
    env, other = agent.env_ref.make(), agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    beside, _ = other.reset(seed=1)
    state = together = None
    chunk, known = agent.model.config.chunk, []
    for step in range(4 * chunk):
        start = np.array([step == 0, step in (0, 2 * chunk)])
        batch = {key: np.stack([observation[key], beside[key]]) for key in observation}
        both, together = agent.predict(batch, together, start)
        action, state = agent.predict(observation, state, start[:1])
        np.testing.assert_allclose(both[0], action, atol=1e-6)
        known.append(together.error_memory.known.sum(dim=1).tolist())
        observation, *_ = env.step(action)
        beside, *_ = other.step(both[1])
    assert known[::chunk] == [[0, 0], [1, 1], [2, 0], [2, 1]]


def test_memory_changes_plans_from_the_second_chunk_on(remembering: Remembering) -> None:
    def actions(size: int) -> list[list[float]]:
        agent = remembering(size)
        env, state, played = agent.env_ref.make(), None, []
        observation, _ = env.reset(seed=0)
        for _ in range(2 * agent.model.config.chunk):
            action, state = agent.predict(observation, state)
            played.append(action.tolist())
            observation, *_ = env.step(action)
        return played

    without, one = actions(0), actions(1)
    chunk = len(one) // 2
    assert without[:chunk] == one[:chunk]
    assert without[chunk:] != one[chunk:]


def test_episodes_played_together_are_those_played_alone(remembering: Remembering) -> None:
    agent = remembering(SIZE)

    def make() -> object:
        return agent.env_ref.make(terminate_on_success=False, obs_type="pixels")

    together = play(agent, make, range(3), parallel=3)  # type: ignore[arg-type]
    alone = play(agent, make, range(3), parallel=1)  # type: ignore[arg-type]
    assert together == alone


def test_a_memory_is_not_negative() -> None:
    with pytest.raises(ValueError, match=r"error_memory must be >= 0, got -1"):
        CostConfig(error_memory=-1)
