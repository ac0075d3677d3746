"""Ensembles: heads are independent members, computed together; a batch is dealt out among them."""

from __future__ import annotations

import copy
import time
from dataclasses import replace

import pytest
import torch

from jepa_agent import WorldModelConfig
from jepa_agent.io.serialisation import from_dict, to_dict
from jepa_agent.models.encoders import ImpalaConfig
from jepa_agent.models.predictors import Ensemble, GRUConfig, ResidualMLPConfig, StepwiseMLPConfig
from jepa_agent.models.predictors.ensemble import dealt, gathered
from jepa_agent.models.world_model import WorldModel

MEMBERS = [ResidualMLPConfig(width=16, depth=2), StepwiseMLPConfig(width=16, state=8)]


def ensemble(member=MEMBERS[0], heads=3):
    torch.manual_seed(0)
    return Ensemble(replace(member, heads=heads), latent_dim=8, action_dim=2, chunk=3)


@pytest.mark.parametrize("member", MEMBERS)
def test_the_heads_are_members_with_parameters_of_their_own(member) -> None:
    many = ensemble(member)
    torch.manual_seed(0)
    alone = [member.build(8, 2, 3) for _ in range(3)]
    latents, actions = torch.randn(3, 5, 4, 8), torch.randn(5, 4, 6)
    wanted = torch.stack([head(z, actions) for head, z in zip(alone, latents, strict=True)])
    torch.testing.assert_close(many.each(latents, actions), wanted)
    mean = torch.stack([head(latents[0], actions) for head in alone]).mean(dim=0)
    torch.testing.assert_close(many(latents[0], actions), mean)


def test_dealing_out_and_gathering_are_inverse() -> None:
    rows = torch.arange(22).reshape(11, 2)
    hands = dealt(rows, 3)
    assert hands[:, 0, 0].tolist() == [0, 2, 4]
    torch.testing.assert_close(gathered(hands, 11), rows)


def model(tiny: WorldModelConfig, heads: int = 3) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(replace(tiny, predictor=replace(tiny.predictor, heads=heads)))


def test_every_window_teaches_one_head_alone(tiny_model_config) -> None:
    net, latents = model(tiny_model_config), torch.randn(7, 8)
    actions = torch.randn(7, 2, 6)
    imagined = net.rollout_dealt(latents, actions)
    each = net.rollout_heads(latents, actions)
    for row in range(7):
        torch.testing.assert_close(imagined[row], each[row % 3, row])
    imagined[4].sum().backward()
    touched = [p.grad.abs().flatten(1).sum(dim=1) > 0 for p in net.predictor.stacked.values()]
    assert all(t.tolist() == [False, True, False] for t in touched)


def test_a_rollout_is_the_mean_of_the_heads(tiny_model_config) -> None:
    net, latents, actions = model(tiny_model_config), torch.randn(4, 8), torch.randn(4, 2, 6)
    each = net.rollout_heads(latents, actions)
    assert each.shape == (3, 4, 2, 8)
    torch.testing.assert_close(net.rollout(latents, actions), each.mean(dim=0))
    assert each.std(dim=0).min() > 0


def test_without_an_ensemble_there_is_one_head_and_no_bit_changes(tiny_model_config) -> None:
    net, latents, actions = WorldModel(tiny_model_config), torch.randn(4, 8), torch.randn(4, 2, 6)
    plain = net.rollout(latents, actions)
    assert net.num_heads == 1
    assert torch.equal(net.rollout_heads(latents, actions)[0], plain)
    assert torch.equal(net.rollout_dealt(latents, actions), plain)


def test_an_ensemble_is_stored_copied_and_read_again(tiny_model_config) -> None:
    config = replace(tiny_model_config, predictor=replace(MEMBERS[1], heads=3))
    assert from_dict(WorldModelConfig, to_dict(config)) == config
    net = WorldModel(config)
    twin = copy.deepcopy(net)
    other = WorldModel(config)
    other.load_state_dict(net.state_dict())
    latents, actions = torch.randn(2, 8), torch.randn(2, 2, 6)
    for each in (twin, other):
        assert torch.equal(each.rollout(latents, actions), net.rollout(latents, actions))


@pytest.mark.parametrize(
    ("predictor", "rule"),
    [(ResidualMLPConfig(heads=0), "at least 1"), (GRUConfig(heads=2), "norms of their own")],
)
def test_wrong_ensembles_are_errors(tiny_model_config, predictor, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        WorldModel(replace(tiny_model_config, predictor=predictor, encoder=ImpalaConfig()))


def test_five_heads_cost_less_than_twice_one_head() -> None:
    def seconds(predictor) -> float:
        torch.manual_seed(0)
        net = WorldModel(WorldModelConfig(latent_dim=64, predictor=predictor))
        latents, actions = torch.randn(1024, 64), torch.randn(1024, 4, 10)
        best = 1e9
        for _ in range(6):
            began = time.process_time()
            net.rollout_dealt(latents, actions).square().mean().backward()
            best = min(best, time.process_time() - began)
        return best

    member = ResidualMLPConfig()
    assert seconds(replace(member, heads=5)) < 2 * seconds(member)
