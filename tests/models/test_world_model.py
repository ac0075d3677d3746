from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_agent import WorldModel, WorldModelConfig
from jepa_agent.models.distances import BlockNormConfig
from jepa_agent.models.encoders import (
    ImpalaConfig,
    PatchCNNConfig,
    PatchPoolConfig,
    VectorMLPConfig,
)
from jepa_agent.models.predictors import GRUConfig, ResidualMLPConfig, StepwiseMLPConfig

SHAPES = [(), (4,), (2, 3), (2, 1, 3)]
LATENT, CHUNK, HORIZON = 8, 3 * 2, 4
"""D, K * A and H."""


@pytest.fixture
def model(tiny_model_config: WorldModelConfig) -> WorldModel:
    """Tiny and untrained, in float64."""
    return make(tiny_model_config)


def make(config: WorldModelConfig) -> WorldModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WorldModel(config).double()
    model.observation_mean.fill_(100.0)
    model.observation_std.fill_(70.0)
    return model


def images(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (*shape, 65, 65, 3), generator=generator, dtype=torch.uint8)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_the_verbs(model: WorldModel, shape: tuple[int, ...]) -> None:
    assert model.encode(images(*shape)).shape == (*shape, LATENT)
    latents = random(*shape, LATENT)
    assert model.predict(latents, random(*shape, CHUNK)).shape == (*shape, LATENT)
    imagined = model.rollout(latents, random(*shape, HORIZON, CHUNK))
    assert imagined.shape == (*shape, HORIZON, LATENT)
    assert model.distance(latents, random(*shape, LATENT, seed=1)).shape == shape
    assert model.locate(latents).shape == (*shape, 2)


def test_encode_folds_time_into_the_batch(model: WorldModel) -> None:
    frames = images(2, 3)
    together = model.float().encode(frames)
    for b in range(2):
        for t in range(3):
            alone = model.encode(frames[b, t])
            torch.testing.assert_close(together[b, t], alone, rtol=0, atol=1e-5)
    assert (together[0, 0] - together[0, 1]).abs().max() > 1e-3


def test_encode_sees_every_patch_and_crops_the_rest(model: WorldModel) -> None:
    blank = torch.zeros(65, 65, 3, dtype=torch.uint8)
    latent = model.encode(blank)
    for row in range(0, 65, 16):
        for column in range(0, 65, 16):
            marked = blank.clone()
            marked[row : row + 16, column : column + 16] = 255
            is_cropped = 64 in (row, column)
            assert torch.equal(model.encode(marked), latent) == is_cropped


def test_encode_equals_a_convolution_over_patches(model: WorldModel) -> None:
    encoder, size = model.encoder, 16
    pixels = (images(2).double() - model.observation_mean) / model.observation_std
    kernel = encoder.embedding.weight.reshape(-1, size, size, 3).permute(0, 3, 1, 2)
    channels_first = pixels.permute(0, 3, 1, 2)
    tokens = F.conv2d(channels_first, kernel, encoder.embedding.bias, stride=size).relu()
    expected = encoder.head(encoder.convolutions(tokens).flatten(1))
    torch.testing.assert_close(model.encode(images(2)), expected)


def test_rollout_repeats_predict(model: WorldModel) -> None:
    latents, actions = random(5, LATENT), random(5, HORIZON, CHUNK)
    imagined = model.rollout(latents, actions)
    for h in range(HORIZON):
        latents = model.predict(latents, actions[:, h])
        assert torch.equal(imagined[:, h], latents)


def test_a_row_of_a_rollout_depends_on_its_own_row_alone(model: WorldModel) -> None:
    latents, actions = random(5, LATENT), random(5, HORIZON, CHUNK)
    order = torch.tensor([3, 1, 4, 0, 2])
    imagined = model.rollout(latents, actions)
    torch.testing.assert_close(model.rollout(latents[order], actions[order]), imagined[order])


def test_distance_is_a_pseudometric(model: WorldModel) -> None:
    a, b, c = (random(50, LATENT, seed=seed) for seed in range(3))
    assert (model.distance(a, a) == 0.0).all()
    torch.testing.assert_close(model.distance(a, b), model.distance(b, a))
    assert (model.distance(a, b) > 0.0).all()
    assert (model.distance(a, c) <= model.distance(a, b) + model.distance(b, c) + 1e-12).all()


def test_distance_is_the_sum_of_the_distances_of_the_embeddings_blocks(model: WorldModel) -> None:
    a, b = random(4, LATENT), random(4, LATENT, seed=1)
    first, second = (
        (model.distance_embedding(a) - model.distance_embedding(b)).square().chunk(2, dim=-1)
    )
    expected = first.sum(dim=-1).sqrt() + second.sum(dim=-1).sqrt()
    torch.testing.assert_close(model.distance(a, b), expected)


def test_the_imagined_distance_is_differentiable_in_the_actions(model: WorldModel) -> None:
    start, goal = random(2, LATENT), random(2, LATENT, seed=1)

    def cost(actions: Tensor) -> Tensor:
        return model.distance(model.rollout(start, actions), goal[:, None]).sum()

    actions = random(2, 2, CHUNK).requires_grad_(True)
    assert torch.autograd.gradcheck(cost, actions)
    (gradient,) = torch.autograd.grad(cost(actions), actions)
    assert (gradient != 0.0).all()


def test_locate_speaks_the_units_of_the_environment(model: WorldModel) -> None:
    latents = random(4, LATENT)
    standard = model.locate(latents)
    model.state_mean.copy_(torch.tensor([10.0, -20.0]))
    model.state_std.copy_(torch.tensor([2.0, 3.0]))
    expected = standard * model.state_std + model.state_mean
    torch.testing.assert_close(model.locate(latents), expected)


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_of_any_length(tiny_model_config: WorldModelConfig, chunk: int) -> None:
    model = make(dataclasses.replace(tiny_model_config, chunk=chunk))
    assert model.predict(random(LATENT), random(chunk * 2)).shape == (LATENT,)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (
            "",
            {
                "observation_shape": (33, 65, 3),
                "max_image_size": 32,
                "action_dim": 3,
                "state_dim": 4,
            },
        ),
        ("", {"chunk": 5, "latent_dim": 9}),
        ("encoder", {"patch": 8, "channels": (4, 5), "hidden": 17}),
        ("predictor", {"width": 17, "depth": 2}),
        ("distance_head", {"width": 17, "depth": 2, "dim": 6}),
    ],
)
def test_every_setting_changes_the_model(
    tiny_model_config: WorldModelConfig, part: str, changes: dict[str, Any]
) -> None:
    def shapes(config: WorldModelConfig) -> dict[str, torch.Size]:
        return {name: tensor.shape for name, tensor in WorldModel(config).state_dict().items()}

    for name, value in changes.items():
        change: dict[str, Any] = {name: value}
        if part:
            change = {part: dataclasses.replace(getattr(tiny_model_config, part), **change)}
        changed = dataclasses.replace(tiny_model_config, **change)
        assert shapes(changed) != shapes(tiny_model_config), name


@pytest.mark.parametrize(
    ("name", "size"), [("action_dim", 0), ("state_dim", -1), ("chunk", 0), ("latent_dim", 1)]
)
def test_sizes_have_a_least(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at least \d, got {size}"):
        WorldModelConfig(**{name: size})


def test_a_model_without_a_probe_does_all_but_locate(tiny_model_config: WorldModelConfig) -> None:
    model = make(dataclasses.replace(tiny_model_config, state_dim=0))
    assert not [name for name, _ in model.named_parameters() if name.startswith("probe")]
    latents = model.encode(images(2))
    assert model.distance(latents, latents.flip(0)).shape == (2,)
    with pytest.raises(ValueError, match=r"needs a model with a probe, got one of state_dim 0"):
        model.locate(latents)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (PatchCNNConfig, {"patch": 0}),
        (PatchCNNConfig, {"channels": ()}),
        (PatchCNNConfig, {"channels": (64, 0)}),
        (PatchCNNConfig, {"hidden": 0}),
        (ResidualMLPConfig, {"width": 0}),
        (ResidualMLPConfig, {"depth": 0}),
        (StepwiseMLPConfig, {"width": 0}),
        (StepwiseMLPConfig, {"state": 0}),
        (BlockNormConfig, {"width": 0}),
        (BlockNormConfig, {"dim": 0}),
        (BlockNormConfig, {"depth": -1}),
        (BlockNormConfig, {"blocks": 0}),
    ],
)
def test_sizes_of_parts_must_be_positive(config: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        config(**settings)


def test_blocks_must_divide_the_embedding() -> None:
    with pytest.raises(ValueError, match="dim must be a multiple of blocks, got 10 and 4"):
        BlockNormConfig(dim=10, blocks=4)


def test_a_patch_larger_than_the_image_is_rejected(tiny_model_config: WorldModelConfig) -> None:
    encoder = dataclasses.replace(tiny_model_config.encoder, patch=66)
    with pytest.raises(ValueError, match="patch"):
        WorldModel(dataclasses.replace(tiny_model_config, encoder=encoder))


# Other encoders and predictors


@pytest.mark.parametrize("encoder", [PatchPoolConfig(features=8, queries=3), ImpalaConfig((2, 3))])
@pytest.mark.parametrize(
    "predictor", [ResidualMLPConfig(width=8), StepwiseMLPConfig(8, 6), GRUConfig()]
)
def test_every_encoder_goes_with_every_predictor(
    tiny_model_config: WorldModelConfig, encoder: Any, predictor: Any
) -> None:
    model = make(dataclasses.replace(tiny_model_config, encoder=encoder, predictor=predictor))
    latents = model.encode(images(2, 3))
    assert latents.shape == (2, 3, LATENT)
    torch.testing.assert_close(latents.std(dim=-1, correction=0), torch.ones(2, 3).double(),
                               atol=1e-2, rtol=0)  # fmt: skip
    assert (latents[0, 0] - latents[0, 1]).abs().max() > 1e-4
    actions = random(2, 3, HORIZON, CHUNK)
    imagined = model.rollout(latents, actions)
    assert imagined.shape == (2, 3, HORIZON, LATENT)
    alone = model.rollout(latents[0, 1], actions[0, 1])  # without a batch
    torch.testing.assert_close(alone, imagined[0, 1])


def test_a_stepwise_chunk_is_the_same_step_again_and_again(
    tiny_model_config: WorldModelConfig,
) -> None:
    config = dataclasses.replace(tiny_model_config, predictor=StepwiseMLPConfig(8, 6))
    predictor = make(config).predictor
    latent, actions = random(5, LATENT), random(5, CHUNK, seed=1)
    state = predictor.read(latent)
    for action in actions.unflatten(-1, (config.chunk, config.action_dim)).unbind(dim=1):
        state = state + predictor.step(predictor.look(state) + predictor.act(action))
    expected = predictor.norm(latent + predictor.write(state))
    torch.testing.assert_close(predictor(latent, actions), expected)
    first, *rest = actions.unflatten(-1, (config.chunk, config.action_dim)).unbind(dim=1)
    later = torch.cat([*rest, first], dim=-1)
    assert not torch.allclose(predictor(latent, later), expected)


def test_a_gru_passes_its_state_through_the_encoders_norm(
    tiny_model_config: WorldModelConfig,
) -> None:
    config = dataclasses.replace(
        tiny_model_config, encoder=ImpalaConfig((2,)), predictor=GRUConfig()
    )
    model = make(config)
    with torch.no_grad():
        model.encoder.norm.weight.fill_(3.0)
    latent, actions = random(5, LATENT), random(5, CHUNK, seed=1)
    expected = model.encoder.norm(model.predictor.cell(actions, latent))
    torch.testing.assert_close(model.predict(latent, actions), expected)
    assert sum("norm" in name for name in model.state_dict()) == 2  # one weight and one bias


def test_a_gru_is_torchs_cell() -> None:
    """The same values and gradients, from parameters of the same names."""
    predictor = GRUConfig().build(LATENT, 2, CHUNK).double()
    cell = torch.nn.GRUCell(2 * CHUNK, LATENT).double()
    named = {f"cell.{name}": tensor for name, tensor in cell.state_dict().items()}
    predictor.load_state_dict(named)
    latent = random(2, 3, LATENT).requires_grad_()
    actions = random(2, 3, 2 * CHUNK, seed=1).requires_grad_()
    weights = random(2, 3, LATENT, seed=2)
    found = predictor(latent, actions)
    expected = cell(actions.flatten(0, 1), latent.flatten(0, 1)).reshape(found.shape)
    torch.testing.assert_close(found, expected)
    slopes = [
        torch.autograd.grad((values * weights).sum(), [latent, actions, *module.parameters()])
        for values, module in ((found, predictor), (expected, cell))
    ]
    torch.testing.assert_close(*slopes)


def test_impala_scales_every_image_to_its_full_range(tiny_model_config: WorldModelConfig) -> None:
    model = make(dataclasses.replace(tiny_model_config, encoder=ImpalaConfig((2,))))
    image = images(1) // 8
    torch.testing.assert_close(model.encode(image), model.encode(image * 4 + 3))


def test_pooling_reads_the_place_of_what_a_query_attends_to() -> None:
    """One query that scores the brightness of a patch reads off where the bright patch is."""
    config = PatchPoolConfig(patch=13, features=1, queries=1, values=1, hidden=3)
    encoder = config.build((65, 65, 3), 2)
    with torch.no_grad():
        for layer in (encoder.patch_mlp[0], encoder.patch_mlp[2], encoder.patch_mlp[4]):
            layer.weight.zero_()
            layer.bias.zero_()
        encoder.patch_mlp[0].weight.fill_(1.0)
        encoder.patch_mlp[2].weight.fill_(1.0)
        encoder.patch_mlp[4].weight[0] = 1.0  # the score; the value stays 0
    seen: list[Tensor] = []
    encoder.head[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for row, column in ((0, 0), (3, 1), (4, 4)):
        image = torch.zeros(1, 65, 65, 3, dtype=torch.uint8)
        image[:, 13 * row : 13 * row + 13, 13 * column : 13 * column + 13] = 255
        encoder(image, torch.zeros(3), torch.ones(3))
        expected = torch.tensor([[0.0, column / 2 - 1, row / 2 - 1]])  # the value, right, down
        torch.testing.assert_close(seen[-1], expected)


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (PatchCNNConfig(), (4,), r"patch_cnn takes images \(H, W, C\), got .*\(4,\)"),
        (VectorMLPConfig(), (65, 65, 3), "vector_mlp takes vectors"),
        (PatchPoolConfig(patch=66), (65, 65, 3), "patch must be at most the image's size 65 x 65"),
    ],
)
def test_an_encoder_for_other_observations_is_an_error(
    config: Any, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(WorldModelConfig(shape, encoder=config))
