"""Proposals: what they learn, and in which units they say it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from jepa_agent import WorldModel, WorldModelConfig
from jepa_agent.models.proposals import Proposals, ProposalsConfig


def learned(heads: int) -> Proposals:
    """A network taught on goals that are reached by steps of 1 or of -1, one as often as other."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ProposalsConfig(heads, horizon=2, reach=3, width=32, depth=1).build(1, 1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    zeros = torch.zeros(64, 1)
    for _ in range(300):
        sign = torch.randint(2, (64, 1, 1), generator=generator) * 2.0 - 1
        ahead = torch.randint(1, 4, (64,), generator=generator)
        optimizer.zero_grad()
        terms = network.losses(zeros, ahead[:, None].float(), sign.expand(64, 2, 1), ahead)
        sum(terms.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    return network


def proposed(network: Proposals, ahead: int) -> torch.Tensor:
    ends = torch.zeros(1, 1), torch.full((1, 1), float(ahead))
    return network(*ends, torch.tensor([ahead]))[0][0, :, :, 0]


def test_two_heads_learn_two_ways_and_one_head_their_mean() -> None:
    both = proposed(learned(2), ahead=2).sort(dim=0).values
    torch.testing.assert_close(both, torch.tensor([[-1.0], [1.0]]).expand(2, 2), atol=0.3, rtol=0)
    assert proposed(learned(1), ahead=2).abs().max() < 0.3


def test_the_time_to_a_goal_is_learned() -> None:
    goals = torch.tensor([[1.0], [2.0], [3.0]])
    assert learned(1).chunks_ahead(torch.zeros(3, 1), goals, 0.5).tolist() == [1, 2, 3]


def test_a_smaller_share_of_the_data_is_there_sooner() -> None:
    network = ProposalsConfig(1, horizon=2, reach=20).build(1, 1)
    with torch.no_grad():  # all times are as likely
        network.when[-1].weight.zero_()
        network.when[-1].bias.zero_()
    for share, chunks in ((0.1, 2), (0.5, 10), (1.0, 20)):
        # a little less, since sums of twentieths are rounded
        ahead = network.chunks_ahead(torch.zeros(1, 1), torch.zeros(1, 1), share - 1e-3)
        assert ahead.tolist() == [chunks]


def test_what_comes_after_the_goal_is_not_taught() -> None:
    network = ProposalsConfig(1, horizon=2, reach=3).build(1, 1)
    ends, ahead = (torch.randn(4, 1), torch.randn(4, 1)), torch.ones(4, dtype=torch.long)
    actions = torch.randn(4, 2, 1)
    other = actions.clone()
    other[:, 1:] += 5
    for later in (0, 1):
        losses = [network.losses(*ends, each, ahead + later) for each in (actions, other)]
        assert (losses[0]["proposals"] == losses[1]["proposals"]) == (later == 0)


@pytest.fixture
def model(tiny_model_config: WorldModelConfig) -> WorldModel:
    proposals = ProposalsConfig(heads=3, horizon=2, reach=4)
    model = WorldModel(dataclasses.replace(tiny_model_config, proposals=proposals))
    model.action_std.copy_(torch.tensor([2.0, 3.0]))
    model.action_mean.copy_(torch.tensor([10.0, 0.0]))
    return model


def test_a_model_proposes_the_likeliest_first_in_the_environments_units(model: WorldModel) -> None:
    latents, goals, ahead = torch.randn(5, 8), torch.randn(5, 8), torch.full((5,), 4)
    raw, logits = model.proposals(latents, goals, ahead)
    chunks = model.propose(latents, goals, ahead, horizon=2)
    assert chunks.shape == (5, 3, 2, 6)
    for row in range(5):
        best = raw[row, logits[row].argmax()]
        torch.testing.assert_close(model.standardise(chunks[row, 0]), best)


def test_after_the_goal_and_the_horizon_the_last_chunk_is_repeated(model: WorldModel) -> None:
    latents, goals = torch.randn(2, 8), torch.randn(2, 8)
    chunks = model.propose(latents, goals, torch.tensor([1, 4]), horizon=4)
    assert (chunks[0, :, 1:] == chunks[0, :, :1]).all()
    assert (chunks[1, :, 0] != chunks[1, :, 1]).any()
    assert (chunks[1, :, 2:] == chunks[1, :, 1:2]).all()


def test_a_model_without_proposals_says_how_to_get_them(
    tiny_model_config: WorldModelConfig,
) -> None:
    latents = torch.zeros(1, 8)
    with pytest.raises(ValueError, match=r"needs a model with proposals.*proposals\.heads 8"):
        WorldModel(tiny_model_config).propose(latents, latents, torch.tensor([1]), 1)


def test_bad_settings_name_rule_value_and_fix() -> None:
    with pytest.raises(ValueError, match=r"reach must be at least the horizon 5, got 4; raise it"):
        ProposalsConfig(reach=4)
    with pytest.raises(ValueError, match=r"proposals\.width must be at least 1, got 0"):
        ProposalsConfig(width=0)
