"""Failures foreseen: a known chance is found again, and the figures are those of plain counts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, WorldModel
from jepa_agent.agent.calibration import FEATURES, Calibration, fit
from jepa_agent.evaluation.failures import (
    Watchings,
    auroc,
    auroc_interval,
    calibrate,
    forecast,
    watch,
)


def test_a_logistic_chance_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    count = len(FEATURES)
    units = torch.tensor([1.0, 5.0, 2.0, *[0.0] * (count - 3)])
    seen = torch.randn(20_000, count, generator=generator) * units + 3
    logits = 1.5 * (seen[:, 0] - 3) - 0.2 * (seen[:, 1] - 3) - 1
    failed = torch.rand(20_000, generator=generator) < logits.sigmoid()
    found = fit(seen, failed)
    torch.testing.assert_close(found.chance(seen), logits.sigmoid(), atol=0.03, rtol=0)
    measured = forecast(found.chance(seen).numpy(), failed.numpy())
    assert measured.calibration_error < 0.02
    assert sum(count for count, _, _ in measured.reliability) == 20_000


def test_episodes_of_one_kind_teach_nothing() -> None:
    with pytest.raises(ValueError, match="failed and others"):
        fit(torch.zeros(5, len(FEATURES)), torch.zeros(5, dtype=torch.bool))


def test_a_calibration_has_all_its_numbers() -> None:
    with pytest.raises(ValueError, match="calibrate again"):
        Calibration((0.0,), (1.0,), (1.0,), 0.0)


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    chances, failed = rng.integers(0, 6, 40) / 6, rng.random(40) < 0.3
    pairs = [
        1.0 if bad > good else 0.5 if bad == good else 0.0
        for bad in chances[failed]
        for good in chances[~failed]
    ]
    assert auroc(chances, failed) == pytest.approx(np.mean(pairs))
    assert auroc(chances, np.zeros(40, dtype=bool)) is None


def test_an_area_lies_in_its_interval_which_fewer_failures_widen() -> None:
    rng = np.random.default_rng(0)
    failed = np.arange(400) < 40
    chances = rng.normal(size=400) + failed
    low, high = auroc_interval(chances, failed)
    assert low < auroc(chances, failed) < high
    rare = failed & (np.arange(400) % 5 == 0)
    kept = rare | ~failed
    wide = auroc_interval(chances[kept], rare[kept])
    assert wide[1] - wide[0] > 1.3 * (high - low)
    error = np.sqrt(1 / 40 + 1 / 360) * 0.25  # roughly that of an area of 0.76
    assert 0.5 * error < (high - low) / 3.92 < 1.5 * error
    assert auroc_interval(chances, ~np.zeros(400, dtype=bool)) == (None, None)


def watchings(layouts: list[int], plans: list[int]) -> Watchings:
    """Episodes in layouts, with numbers of plans whose features are the decision's number."""
    decisions = torch.cat([torch.arange(count) for count in plans])
    return Watchings(
        decisions[:, None].expand(-1, len(FEATURES)).float(),
        torch.repeat_interleave(torch.arange(len(plans)), torch.tensor(plans)),
        torch.arange(len(plans)) % 2 == 0,
        torch.tensor(layouts),
    )


def test_halves_share_no_layout() -> None:
    layouts = np.random.default_rng(0).integers(0, 30, 200).tolist()
    played = watchings(layouts, [1 + number % 4 for number in range(200)])
    first, second = played.halves()
    assert not set(first.layout.tolist()) & set(second.layout.tolist())
    assert len(first.failed) + len(second.failed) == 200
    assert 80 < len(first.failed) <= 100
    assert len(first.features) + len(second.features) == len(played.features)
    assert first.episode[first.first].tolist() == [*range(len(first.failed))]
    one, other = watchings([0] * 20, [1] * 20).halves()
    assert len(one.failed) == len(other.failed) == 10


def test_later_decisions_are_those_of_episodes_under_way() -> None:
    played = watchings([0, 1, 2, 3], [1, 3, 2, 3])
    seen, failed = played.at(2)
    assert seen[:, 0].tolist() == [2, 2]
    assert failed.tolist() == [False, False]
    assert len(played.at(3)[1]) == 0


def test_abstaining_leaves_out_the_fewest_that_suffice() -> None:
    chances = np.array([0.05, 0.1, 0.2, 0.6, 0.9])
    failed = np.array([False, False, False, True, False])
    assert forecast(chances, failed).abstain == pytest.approx(2 / 5)
    assert forecast(chances, failed, wanted=0.7).abstain == pytest.approx(0.0)
    assert forecast(chances, ~failed).abstain == 1.0


@pytest.fixture
def agent(tiny_agent: JEPAAgent) -> JEPAAgent:
    """An untrained agent with two heads."""
    tiny = tiny_agent.model.config
    torch.manual_seed(0)
    model = WorldModel(replace(tiny, predictor=replace(tiny.predictor, heads=2)))
    return JEPAAgent(model, tiny_agent.bounds, tiny_agent.env_ref, tiny_agent.planner)


def test_plans_are_watched_and_the_chance_is_told(agent: JEPAAgent, tmp_path) -> None:
    make_env = partial(agent.env_ref.make, max_episode_steps=12, success_radius=25.0)
    seen = watch(agent, make_env, range(6), parallel=4)
    assert seen.features.shape[1] == len(FEATURES)
    assert seen.episode[seen.first].tolist() == [*range(6)]
    again = watch(agent, make_env, range(2, 3))
    assert again.layout.tolist() == seen.layout[2:3].tolist()
    agent.calibration = calibrate(seen._replace(failed=torch.arange(6) % 2 == 0))
    agent.save(tmp_path)
    loaded = JEPAAgent.load(tmp_path, "cpu")
    assert loaded.calibration == agent.calibration

    env = make_env()
    observation, _ = env.reset(seed=0)
    _, state = loaded.act(observation)
    expected = agent.calibration.chance(seen.features[0])
    np.testing.assert_allclose(state.failure, [expected.item()], rtol=1e-4)
    _, later = loaded.act(observation, state)
    np.testing.assert_array_equal(later.failure, state.failure)
    assert later.select(np.array([0])).failure.shape == (1,)


def test_an_agent_of_one_head_foresees_nothing(tiny_agent: JEPAAgent) -> None:
    with pytest.raises(ValueError, match=r"predictor\.heads 5"):
        watch(tiny_agent, tiny_agent.env_ref.make, range(2))
