"""Backbones: images to maps of features, with a stated contract, saved and loaded like agents."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..io import checkpoint
from ..io.serialisation import from_dict, to_dict
from ..memory import lack_of_memory
from ..registry import Registered, import_kinds


@dataclass(frozen=True)
class NetworkConfig(Registered):
    """The settings of a backbone's network, a kind of which is a subclass."""

    @abstractmethod
    def build(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The network: a module from standardised images (B, C, H, W) to maps (B, F, h, w)."""


@dataclass(frozen=True)
class ResNetConfig(NetworkConfig, kind="resnet"):
    """A residual network for small images: a 3x3 stem, no pooling after it.

    Four stages of two blocks of 64 to 512 channels and a stem of stride 1 are ResNet-18 (He et al.,
    1512.03385) as is usual for CIFAR-10. The default is for two CPU cores.

    Args:
        stride: of the stem.
        channels: of each stage; all but the first halve the map.
        blocks: residual blocks of each stage.
        outputs: channels of a last linear layer; 0 for none, where a projector follows.
    """

    stride: int = 2
    channels: tuple[int, ...] = (32, 64, 256)
    blocks: tuple[int, ...] = (1, 1, 1)
    outputs: int = 0

    def __post_init__(self) -> None:
        if not self.channels or len(self.channels) != len(self.blocks):
            raise ValueError(
                "channels and blocks must have one number per stage, got "
                f"{self.channels} and {self.blocks}"
            )
        if min(self.stride, *self.channels, *self.blocks) < 1 or self.outputs < 0:
            raise ValueError(
                f"stride, channels and blocks must be positive and outputs at least 0, got "
                f"{self.stride}, {self.channels}, {self.blocks} and {self.outputs}"
            )

    def build(self, image_shape: tuple[int, int, int]) -> ResNet:
        return ResNet(self, image_shape[2])


RESNET18 = ResNetConfig(1, (64, 128, 256, 512), (2, 2, 2, 2))


@dataclass(frozen=True)
class ViTConfig(NetworkConfig, kind="vit"):
    """A vision transformer (Dosovitskiy et al., 2010.11929), kornia's; by default ViT-S.

    Args:
        patch: side of the patches in pixels; it must divide the image's size.
        dim: width of the tokens.
        depth: layers.
        heads: of attention; they must divide `dim`.
    """

    patch: int = 4
    dim: int = 384
    depth: int = 12
    heads: int = 6

    def __post_init__(self) -> None:
        if min(self.patch, self.dim, self.depth, self.heads) < 1 or self.dim % self.heads:
            raise ValueError(
                "patch, dim, depth and heads must be positive and heads divide dim, got "
                f"{self.patch}, {self.dim}, {self.depth} and {self.heads}"
            )

    def build(self, image_shape: tuple[int, int, int]) -> ViT:
        return ViT(self, image_shape)


class Block(nn.Module):
    """relu(x + conv(relu(conv(x)))), batch-normalised; a 1x1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps (B, C', H / stride, W / stride)."""
        # subsampled before the 1x1 convolution: a strided convolution of fewer than 8 channels
        # writes out of bounds in oneDNN on AVX2 (uxlfoundation/oneDNN issue 6035)
        chosen = maps[:, :, :: self.stride, :: self.stride]
        return (self.shortcut(chosen) + self.change(maps)).relu()


class ResNet(nn.Module):
    """See `ResNetConfig`."""

    def __init__(self, config: ResNetConfig, colours: int) -> None:
        super().__init__()
        first = config.channels[0]
        layers: list[nn.Module] = [
            nn.Conv2d(colours, first, 3, config.stride, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        ]
        inputs = first
        for stage, (outputs, blocks) in enumerate(zip(config.channels, config.blocks, strict=True)):
            for block in range(blocks):
                layers.append(Block(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        if config.outputs:
            layers.append(nn.Conv2d(inputs, config.outputs, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) to maps (B, F, h, w)."""
        return self.layers(images.contiguous(memory_format=torch.channels_last))


class ViT(nn.Module):
    """See `ViTConfig`."""

    def __init__(self, config: ViTConfig, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        try:
            from kornia.models.vit import VisionTransformer
        except ImportError:
            raise ImportError(
                "a ViT needs kornia; run pip install 'jepa-agent[pretrain]'"
            ) from None
        height, width, colours = image_shape
        if height != width or height % config.patch:
            raise ValueError(
                f"a ViT needs square images of a multiple of its patch {config.patch}, got "
                f"{height} x {width}; change patch or the images' size"
            )
        self.side = height // config.patch
        self.tokens = VisionTransformer(
            image_size=height, patch_size=config.patch, in_channels=colours,
            embed_dim=config.dim, depth=config.depth, num_heads=config.heads,
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) to maps (B, F, h, w); the class token is left out."""
        tokens = self.tokens(images)[:, 1:]
        return tokens.transpose(1, 2).unflatten(2, (self.side, self.side))


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone's contract and its network.

    Args:
        image_shape: (H, W, C) of the uint8 images that it takes.
        network: the settings of its network.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    network: NetworkConfig = field(default_factory=ResNetConfig)


class Backbone(nn.Module):
    """Images to maps of features; standardises images by the statistics of its training data."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        colours = config.image_shape[2]
        self.network = config.network.build(config.image_shape)
        self.register_buffer("mean", torch.zeros(colours))
        self.register_buffer("std", torch.ones(colours))
        with torch.no_grad():
            shape = self.eval()(torch.zeros(1, *config.image_shape, dtype=torch.uint8)).shape[1:]
        self.feature_shape: tuple[int, int, int] = tuple(shape)
        """The shape (F, h, w) of a map."""
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, F, h, w) of uint8 images (B, H, W, C).

        Raises:
            ValueError: if the images break the contract.
        """
        if images.dtype != torch.uint8 or images.shape[1:] != self.config.image_shape:
            raise ValueError(
                f"this backbone takes uint8 images {self.config.image_shape}, got "
                f"{images.dtype} {tuple(images.shape[1:])}; convert them"
            )
        return self.maps(images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255.0)

    def maps(self, images: Tensor) -> Tensor:
        """Maps (B, F, h, w) of images (B, C, H, W) in [0, 1], as augmentation makes them."""
        return self.network((images - self.mean[:, None, None]) / self.std[:, None, None])

    def pooled(self, images: Tensor, side: int = 1) -> Tensor:
        """Mean features (B, F * side**2) of parts of uint8 images (B, H, W, C).

        Args:
            images: as `forward` takes them.
            side: the image is cut into side x side parts; 1 for the mean of all of it.
        """
        return F.adaptive_avg_pool2d(self(images), side).flatten(1)

    @torch.no_grad()
    def standardise(self, images: Tensor) -> None:
        """Set the input's mean and deviation from uint8 images (N, H, W, C)."""
        seen = images.flatten(0, -2).float() / 255.0
        self.mean.copy_(seen.mean(dim=0))
        self.std.copy_(seen.std(dim=0).clamp_min(1e-3))

    def save(self, directory: str | Path, notes: dict[str, Any] | None = None) -> None:
        """Write a checkpoint directory; see `checkpoint.save`."""
        document = {"backbone": to_dict(self.config), "notes": notes or {}}
        checkpoint.save(directory, self.state_dict(), document)


def load_backbone(path_or_name: str | Path, allow_code: bool = False) -> Backbone:
    """Load a pretrained encoder, ready for use.

    Args:
        path_or_name: the checkpoint.
        allow_code: import the module of a network that is not the library's.

    Raises:
        CheckpointError: if it is missing, damaged, of another kind or of another version.
    """
    tensors, document = checkpoint.load(path_or_name)
    if "backbone" not in document:
        raise checkpoint.CheckpointError(
            f"{path_or_name} must hold a backbone, it holds {sorted(set(document) - {'notes'})}; "
            "give a folder that `jepa-agent pretrain image` or `jepa-agent pretrain video` wrote"
        )
    try:
        if allow_code:
            import_kinds(document["backbone"])
        backbone = Backbone(from_dict(BackboneConfig, document["backbone"], "backbone"))
        backbone.load_state_dict(tensors)
    except (ValueError, RuntimeError) as error:
        if lack_of_memory(error) is not None:  # no fault of the checkpoint
            raise
        raise checkpoint.CheckpointError(
            f"the config and weights of {path_or_name} must fit this version, got {error}; "
            "restore or retrain it"
        ) from error
    return backbone.eval()
