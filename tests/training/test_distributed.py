"""Several processes that share a batch compute what one computes on the whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from jepa_agent.training import distributed

SHARED = """
import json, sys
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from jepa_agent import Preset, Trajectories, TrainingConfig, WorldModelConfig
from jepa_agent.training import distributed
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.world_model import WorldModelTask
from jepa_agent.models.distances import BlockNormConfig

device = distributed.join(torch.device("cpu"))
data = Trajectories.from_rollouts(
    *collect(CollectConfig("mixed", episodes=64, steps=20, episodes_per_layout=4))
)
model = WorldModelConfig(latent_dim=8, encoder=PatchCNNConfig(patch=16, channels=(4, 4), hidden=16),
                         distance_head=BlockNormConfig(width=16, depth=1, dim=4, blocks=2))
weights = LossWeights(sigreg=0.1, contrast=1.0)
refinement = RefinementConfig(steps=8, layouts_per_batch=4, windows_per_layout=8)
config = TrainingConfig(steps=12, layouts_per_batch=8, windows_per_layout=4, horizon=2,
                        hard_negative_cluster=4, center_per_layout=True,
                        bfloat16="bfloat16" in sys.argv,
                        weights=weights, refinement=refinement)
task = WorldModelTask(data, Preset(model, config), device)
trainer = Trainer(task)
terms = distributed.averaged({name: term.item() for name, term in trainer.update().terms.items()})
gradients = {name: p.grad for name, p in task.model.named_parameters() if p.grad is not None}
gradients |= {f"head.{name}": p.grad for name, p in task.objective.named_parameters()}
gradients = {name: gradient.clone() for name, gradient in gradients.items()}
while trainer.step < task.stages[-1]:
    trainer.update()
rank = dist.get_rank() if dist.is_initialized() else 0
save_file(gradients, f"gradients-{rank}.safetensors")
# What the model says, not its parameters: those that no loss depends on (a bias that cancels in a
# difference) take whole steps of Adam by the sign of rounding errors.
batch = task.sampler.draw(8, 4, torch.Generator().manual_seed(1))
with torch.no_grad():
    latents = task.model.eval().encode(TwoRoomsEnv.render_states(batch.states, batch.layout))
    said = {"latents": latents, "imagined": task.model.rollout(latents[:, :, 0], batch.actions),
            "way": task.model.distance(latents, latents.flip(2)),
            "states": task.model.locate(latents),
            "layouts": task.objective.heads["contrast"].prototypes}
save_file({name: tensor.contiguous() for name, tensor in said.items()}, f"said-{rank}.safetensors")
if rank == 0:
    open("terms.json", "w").write(json.dumps(terms))
"""


PRETRAINED = """
import json, sys
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from jepa_agent.training import distributed
from jepa_agent.training.loop import Trainer
from jepa_agent.pretraining import image
from jepa_agent.pretraining import video
from jepa_agent.models.backbones import BackboneConfig, ResNetConfig
from jepa_agent.pretraining.datasets import ImageData, Split
from jepa_agent.pretraining.videos import MovingDigits

device = distributed.join(torch.device("cpu"))
low = "bfloat16" in sys.argv
rng = np.random.default_rng(0)
data = ImageData("noise", Split(rng.integers(0, 256, (64, 12, 12, 1), np.uint8), np.arange(64) % 4))
small = ResNetConfig(2, (8, 8), (1, 1))
if "float64" in sys.argv:
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
against = {"variance": 1.0, "covariance": 1.0, "sigreg": 1.0}
images = image.ImagePretrainer(data, image.ImageConfig(
    BackboneConfig((12, 12, 1), small), 32, projector=(8, 8), weights=image.ImageWeights(**against),
    bfloat16=low,
), device)
digits = MovingDigits(rng.integers(0, 256, (8, 28, 28), np.uint8), "noise", device)
videos = video.VideoPretrainer(digits, video.VideoConfig(
    BackboneConfig((64, 64, 1), small), 16, width=8, prediction_steps=2, steps=5,
    weights=video.VideoWeights(**against), bfloat16=low,
), device)
rank = dist.get_rank() if dist.is_initialized() else 0
terms, gradients, said = {}, {}, {}
for name, task in (("image", images), ("video", videos)):
    trainer = Trainer(task)
    terms_of = trainer.update().terms
    found = {each: term.item() for each, term in terms_of.items() if each != "accuracy"}
    terms |= {f"{name}.{each}": term for each, term in distributed.averaged(found).items()}
    gradients |= {f"{name}.{each}": p.grad.clone() for each, p in task.model.named_parameters()}
    while trainer.step < 5:
        trainer.update()
    seen = data.train.images if name == "image" else digits.clips(4, 1, 0).frames[:, 0]
    with torch.no_grad():
        said[name] = task.model.backbone.eval()(torch.as_tensor(seen)).contiguous()
save_file(gradients, f"gradients-{rank}.safetensors")
save_file(said, f"said-{rank}.safetensors")
if rank == 0:
    open("terms.json", "w").write(json.dumps(terms))
"""

NORMALISED = """
import sys
import torch
from safetensors.torch import save_file
from torch import nn
from jepa_agent.training import distributed

distributed.join(torch.device("cpu"))
for name in ("float32", "bfloat16"):
    dtype, generator = getattr(torch, name), torch.Generator().manual_seed(0)
    batch = 5.0 + torch.randn(16, 3, 4, 4, generator=generator)
    model = nn.Sequential(nn.BatchNorm2d(3))
    distributed.share_norms(model)
    share = distributed.shard(batch).to(dtype).requires_grad_(True)
    normal = model(share)
    assert normal.dtype == dtype, normal.dtype
    distributed.all_gather(normal).float().square().mul(torch.arange(4.0)).sum().backward()
    distributed.average_gradients(model.parameters())
    found = {"normal": distributed.all_gather(normal.detach()), "slope": model[0].weight.grad}
    found |= {key: value for key, value in model[0].state_dict().items()}
    if distributed.is_main_process():
        save_file({key: value.float() for key, value in found.items()}, f"{name}.safetensors")
"""


def launch(folder: Path, processes: int, *arguments: str) -> None:
    """Run a script under torchrun."""
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
         str(processes), *arguments],
        cwd=folder, check=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


class Trained(NamedTuple):
    """What a training left."""

    terms: dict[str, float]
    """The first step's losses."""
    gradients: dict[str, Tensor]
    """The first step's gradients."""
    said: dict[str, Tensor]
    """What the trained networks say."""


def by_one_and_two(folder: Path, script: str, *arguments: str) -> tuple[Trained, Trained]:
    """A training by one process and by two, which end with the same."""
    found = []
    for processes in (1, 2):
        here = folder / str(processes)
        here.mkdir()
        (here / "shared.py").write_text(script)
        launch(here, processes, "shared.py", *arguments)
        terms = json.loads((here / "terms.json").read_text())
        tensors = []
        for kind in ("gradients", "said"):
            first, *others = (load_file(here / f"{kind}-{i}.safetensors") for i in range(processes))
            for other in others:
                assert all(torch.equal(other[name], tensor) for name, tensor in first.items())
            tensors.append(first)
        found.append(Trained(terms, *tensors))
    return found[0], found[1]


def error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The norm of all differences together, as a share of all that is expected."""
    wrong = [(found[name] - tensor).norm() for name, tensor in expected.items()]
    sizes = [tensor.norm() for tensor in expected.values()]
    return float(torch.stack(wrong).norm() / torch.stack(sizes).norm())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "tolerance", "terms"),
    [
        (SHARED, (), 1e-5, {
            "prediction", "variance", "covariance", "sigreg", "temporal_similarity",
            "inverse_dynamics", "distance", "contrast", "probe",
        }),
        (PRETRAINED, ("float64",), 1e-9, {
            "image.invariance", "image.variance", "image.covariance", "image.sigreg",
            "video.prediction", "video.variance", "video.covariance", "video.sigreg",
        }),
    ],
    ids=["world model", "pretraining"],
)  # fmt: skip
def test_two_processes_with_half_a_batch_equal_one_with_the_whole(
    tmp_path: Path, script: str, arguments: tuple[str, ...], tolerance: float, terms: set[str]
) -> None:
    """A world model in float32 within 0.001 %, pretrainings in float64 within a ten-millionth of
    that: it is the same computation."""
    alone, shared = by_one_and_two(tmp_path, script, *arguments)
    assert set(alone.terms) == terms
    for name, term in alone.terms.items():
        assert shared.terms[name] == pytest.approx(term, rel=tolerance, abs=tolerance / 10), name
    for expected, found in zip(alone[1:], shared[1:], strict=True):
        for name, tensor in expected.items():
            largest = max(1.0, tensor.abs().max().item())
            assert (found[name] - tensor).abs().max() <= tolerance * largest, name


@pytest.mark.slow
def test_two_processes_pretrain_in_float32_as_one_does(tmp_path: Path) -> None:
    """Images within 0.001 %; of videos the losses within 0.02 %, the rest within 2 %.

    Sums in another order are rounded in another way, which the network of videos enlarges: by
    0.005 % of the losses, 0.6 % of gradients and 0.7 % of what is learned, as measured.
    """
    alone, shared = by_one_and_two(tmp_path, PRETRAINED, "float32")
    for kind, of_losses, of_tensors in (("image", 1e-5, 1e-5), ("video", 2e-4, 0.02)):
        for name, term in alone.terms.items():
            if name.startswith(kind):
                assert shared.terms[name] == pytest.approx(term, rel=of_losses), name
        for expected, found in zip(alone[1:], shared[1:], strict=True):
            of_kind = {name: each for name, each in expected.items() if name.startswith(kind)}
            assert error(found, of_kind) <= of_tensors, kind


@pytest.mark.slow
@pytest.mark.parametrize("script", [SHARED, PRETRAINED], ids=["world model", "pretraining"])
def test_two_processes_train_in_bfloat16_as_one_does(tmp_path: Path, script: str) -> None:
    """Losses within 0.1 %, all gradients together within 3 %, what is learned within 3 %.

    The sums of a gradient's halves are rounded to bfloat16 (0.4 %), and steps of Adam enlarge that:
    prototypes, which follow the embeddings, may differ by 15 %.
    """
    alone, shared = by_one_and_two(tmp_path, script, "bfloat16")
    for name, term in alone.terms.items():
        assert shared.terms[name] == pytest.approx(term, rel=1e-3, abs=1e-5), name
    assert error(shared.gradients, alone.gradients) <= 0.03
    for name, tensor in alone.said.items():
        share = 0.15 if name == "layouts" else 0.03
        assert error(shared.said, {name: tensor}) <= share, name


@pytest.mark.slow
def test_two_processes_normalise_bfloat16_as_one_does(tmp_path: Path) -> None:
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        (folder / "normalised.py").write_text(NORMALISED)
        launch(folder, processes, "normalised.py")
    for name, tolerance in (("float32", 1e-5), ("bfloat16", 1e-2)):
        one, two = (load_file(tmp_path / each / f"{name}.safetensors") for each in "12")
        for key, tensor in one.items():
            torch.testing.assert_close(two[key], tensor, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_torchrun_trains_and_one_process_writes(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "train.py"
    launch(
        tmp_path, 2, str(script), "quick", "--collect.episodes", "32", "--collect.steps", "30",
        "--training.steps", "2", "--training.windows_per_layout", "8", "--training.horizon", "2",
        "--training.diagnose-episodes", "0", "--device", "cpu", "--report", "0", "--out", "run",
    )  # fmt: skip
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 2
    assert (tmp_path / "run" / "config.json").exists()


def test_alone_nothing_is_shared() -> None:
    batch = torch.arange(6.0).reshape(3, 2)
    assert distributed.shard(batch) is batch
    assert distributed.all_gather(batch) is batch
    assert distributed.averaged({"a": 1.0}) == {"a": 1.0}
    assert distributed.broadcast_object("x") == "x"
    assert distributed.is_main_process()


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(
        ValueError, match=r"got 3 for 2 processes; change .*training.layouts_per_batch"
    ):
        distributed.shard(torch.arange(6.0).reshape(3, 2))


def test_batch_norms_of_several_processes_take_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes whose shares happen to be the same."""
    batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = torch.nn.BatchNorm1d(3)(torch.cat([batch, batch]))[:8]
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather", lambda share: torch.cat([share, share]))
    norm = distributed.WholeBatchNorm(3)
    normal = norm(batch)
    assert normal.dtype == torch.bfloat16
    assert norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(normal, expected)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="got process 3 of 2 GPUs; lower --nproc-per-node"):
        distributed.join(torch.device("cuda"))
