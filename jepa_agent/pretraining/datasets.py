"""Images to pretrain on: CIFAR-10, Fashion-MNIST, folders, trajectory files; no downloads."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts it."""
CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
"""Checksum of the official archive, as its authors publish it."""
CIFAR10_RECORD = 1 + 3 * 32 * 32
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


class DataError(ValueError):
    """Data are missing, damaged or of another format."""


class Split(NamedTuple):
    """Images uint8 (N, H, W, C) and labels int64 (N,), or None where there are none."""

    images: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class ImageData:
    """A data set of images.

    Args:
        name: what it is called.
        train, test: its parts; `test` is empty where there are no labels to test with.
        skipped: files that could not be read, with the reason.
    """

    name: str
    train: Split
    test: Split | None = None
    skipped: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        _, height, width, colours = self.train.images.shape
        return height, width, colours


def folder_of(paths: Sequence[Path]) -> Path | None:
    """The one folder or file that data lie in, or None of no path.

    Raises:
        DataError: if there are several, which only trajectories may have.
    """
    if len(paths) > 1:
        raise DataError(
            f"only trajectories may lie in several files, got {len(paths)} paths; give one "
            "--data-dir"
        )
    return paths[0] if paths else None


def fashion_mnist(folder: Path | None = None) -> ImageData:
    """60,000 + 10,000 grey images of 28 x 28 in ten classes, from its four idx files.

    Raises:
        DataError: if a file is missing or damaged.
    """
    folder = (folder or FASHION_MNIST).expanduser()
    hint = (
        "run 'apt-get install dataset-fashion-mnist', or give the folder of its four .gz files "
        "with --data-dir"
    )

    def read(part: str) -> Split:
        images = idx(folder / f"{part}-images-idx3-ubyte.gz", hint)
        labels = idx(folder / f"{part}-labels-idx1-ubyte.gz", hint)
        if len(images) != len(labels):
            raise DataError(
                f"{folder} must have a label for every image of {part!r}, got {len(images)} images "
                f"and {len(labels)} labels; get the files again"
            )
        return Split(images[..., None], labels.astype(np.int64))

    return ImageData("fashion-mnist", read("train"), read("t10k"))


def idx(path: Path, hint: str) -> np.ndarray:
    """The bytes in a gzipped idx file: a magic number, the sizes, the values.

    Args:
        path: the file.
        hint: how to get it.

    Raises:
        DataError: if it is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; {hint}")
    try:
        payload = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path} must be a whole gzip file, got {error}; get it again") from None
    begin = 4 + 4 * (payload[3] if payload[:3] == b"\0\0\x08" else 0)
    sizes = np.frombuffer(payload[4:begin], ">u4") if begin <= len(payload) else np.empty(0)
    values = np.frombuffer(payload[begin:], np.uint8).copy()  # writable for torch
    if begin == 4 or len(values) != np.prod(sizes):
        raise DataError(
            f"{path} must be an idx file of bytes with as many values as it says, got "
            f"{len(values)} for sizes {sizes.tolist()}; get it again"
        )
    return values.reshape(sizes.astype(int))


def cifar10(folder: Path | None = None, md5: str = CIFAR10_MD5) -> ImageData:
    """50,000 + 10,000 colour images of 32 x 32 in ten classes, from the official binary archive.

    Args:
        folder: where cifar-10-binary.tar.gz lies.
        md5: the archive's checksum.

    Raises:
        DataError: if the archive is missing, has another checksum, or is damaged.
    """
    path = (folder or Path("data")).expanduser() / CIFAR10_ARCHIVE
    if not path.is_file():
        raise DataError(
            f"CIFAR-10 needs {path}, which is missing; get {CIFAR10_ARCHIVE} (the binary version) "
            "from its authors and give its folder with --data-dir"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise DataError(f"{path} must have the checksum {md5}, got {found}; get it again")

    def batch(archive: tarfile.TarFile, name: str) -> np.ndarray:
        try:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
        except KeyError:
            member = None
        payload = member.read() if member else b""
        if not payload or len(payload) % CIFAR10_RECORD:
            raise DataError(
                f"{path} must hold {name}.bin in records of {CIFAR10_RECORD} bytes, got "
                f"{len(payload)} bytes; get it again"
            )
        return np.frombuffer(payload, np.uint8).reshape(-1, CIFAR10_RECORD)

    def split(records: np.ndarray) -> Split:
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        return Split(
            np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)
        )

    with tarfile.open(path) as archive:
        train = [batch(archive, f"data_batch_{number}") for number in range(1, 6)]
        return ImageData(
            "cifar10", split(np.concatenate(train)), split(batch(archive, "test_batch"))
        )


def image_folder(folder: Path | None = None, size: int = 64) -> ImageData:
    """All images below a folder, upright, in 8-bit colour, scaled to size x size; without labels.

    Files that cannot be read are named in `skipped`.

    Raises:
        DataError: if there is no image.
    """
    from PIL import Image

    unreadable = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    folder = (folder or Path("data")).expanduser()
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    images, skipped = [], []
    for path in paths:
        try:
            with Image.open(path) as image:
                images.append(np.asarray(_colour(image).resize((size, size))))
        except unreadable as error:
            skipped.append(f"{path}: {error}")
    if not images:
        raise DataError(
            f"a folder of images must hold one that can be read, of {', '.join(IMAGE_SUFFIXES)}, "
            f"got {len(paths)} in {folder}; give another --data-dir"
        )
    return ImageData(folder.name, Split(np.stack(images), None), skipped=tuple(skipped))


def _colour(image: Any) -> Any:
    """A Pillow image as its camera meant it, in three channels of 8 bits."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def trajectory_frames(trajectories: Trajectories, count: int = 50_000, seed: int = 0) -> ImageData:
    """Single frames of trajectories, rendered by their environment or as they were stored.

    Args:
        trajectories: the data.
        count: frames, or as many as there are.
        seed: of their choice.
    """
    import torch

    spec = env_of(trajectories)
    (shape, _, _), render, _ = world_shape(spec, trajectories)
    name = f"frames of {spec.id if spec else 'recorded data'}"
    if len(shape) != 3:
        raise DataError(f"{name} must be images (H, W, C), got {shape}; use other data")
    rows = np.random.default_rng(seed).permutation(len(trajectories.states))[:count]
    source = ObservationSource(trajectories, render, torch.device("cpu"))
    images = source.at(torch.as_tensor(rows))
    return ImageData(name, Split(images.numpy(), None))


READERS: dict[str, Callable[[Path | None], ImageData]] = {
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "folder": image_folder,
}
