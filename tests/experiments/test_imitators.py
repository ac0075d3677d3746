from __future__ import annotations

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.experiments.imitators import imitate


@pytest.fixture
def walks() -> Trajectories:
    """Episodes that follow shortest paths."""
    return Trajectories.from_rollouts(
        *collect(CollectConfig("oracle", "fixed", episodes=64, steps=40))
    )


@pytest.mark.slow
def test_inverse_dynamics_learns_where_to_go_and_leaves_the_encoder_alone(
    walks: Trajectories, default_agent: JEPAAgent
) -> None:
    before = {name: p.clone() for name, p in default_agent.model.state_dict().items()}
    policy, seconds = imitate(
        walks, TwoRoomsEnv.render_states, steps=100, reach=8, model=default_agent.model
    )
    assert seconds > 0
    states, layout = torch.as_tensor(walks.states[:41]), torch.as_tensor(walks.layout[:1])
    frames = TwoRoomsEnv.render_states(states, layout.expand(41, -1)).numpy()
    seen = {"observation": frames[:-8], "desired_goal": frames[8:]}
    actions, _ = policy.predict(seen)
    moved = (states[8:] - states[:-8]).numpy()
    moving = np.linalg.norm(moved, axis=-1) > 3.0
    cosine = (actions * moved).sum(-1) / np.linalg.norm(actions, axis=-1)
    assert (cosine[moving] / np.linalg.norm(moved[moving], axis=-1)).mean() > 0.5
    one, _ = policy.predict({key: value[0] for key, value in seen.items()})
    np.testing.assert_allclose(one, actions[0], atol=1e-5)
    for name, value in default_agent.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_cloning_trains_its_own_encoder(walks: Trajectories) -> None:
    def encoder(steps: int) -> torch.Tensor:
        policy, _ = imitate(walks, TwoRoomsEnv.render_states, steps=steps, reach=30)
        return torch.cat([p.flatten() for p in policy.model.encoder.parameters()])

    assert (encoder(2) != encoder(1)).float().mean() > 0.5
