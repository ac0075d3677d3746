"""Readers of images: exact formats, and what they say of damaged files."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jepa_agent import Trajectories
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.pretraining.datasets import (
    CIFAR10_ARCHIVE,
    FASHION_MNIST,
    DataError,
    cifar10,
    fashion_mnist,
    image_folder,
    trajectory_frames,
)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def write_cifar(folder: Path, count: int = 4) -> tuple[np.ndarray, str]:
    """An archive in the official format; its records and its checksum."""
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (6 * count, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    with tarfile.open(folder / CIFAR10_ARCHIVE, "w:gz") as archive:
        for name, part in zip(names, np.split(records, 6), strict=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = part.nbytes
            archive.addfile(member, io.BytesIO(part.tobytes()))
    return records, hashlib.md5((folder / CIFAR10_ARCHIVE).read_bytes()).hexdigest()


def test_fashion_mnist_is_read_as_it_was_written(fashion: Path) -> None:
    data = fashion_mnist(fashion)
    assert data.train.images.shape == (30, 28, 28, 1)
    assert data.test is not None
    assert data.test.labels is not None
    assert data.test.labels.tolist() == list(range(10))
    payload = gzip.decompress((fashion / "train-images-idx3-ubyte.gz").read_bytes())
    assert data.train.images.tobytes() == payload[16:]


@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_debians_fashion_mnist_has_its_known_size() -> None:
    data = fashion_mnist()
    assert data.train.images.shape == (60_000, 28, 28, 1)
    assert data.train.labels is not None
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert data.train.images.mean() == pytest.approx(72.94, abs=0.01)


def test_missing_fashion_mnist_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "foreign", "short"])
def test_damaged_fashion_mnist_is_named(fashion: Path, damage: str) -> None:
    path = fashion / "train-images-idx3-ubyte.gz"
    payload = path.read_bytes()
    if damage == "cut":
        path.write_bytes(payload[: len(payload) // 2])
    elif damage == "foreign":
        path.write_bytes(gzip.compress(b"not an idx file"))
    else:
        path.write_bytes(gzip.compress(gzip.decompress(payload)[:-1]))
    with pytest.raises(DataError, match=r"train-images.*get it again"):
        fashion_mnist(fashion)


def test_labels_must_be_as_many_as_images(fashion: Path) -> None:
    write_idx(fashion / "train-labels-idx1-ubyte.gz", np.zeros(29, np.uint8))
    with pytest.raises(DataError, match="30 images and 29 labels"):
        fashion_mnist(fashion)


def test_cifar10_is_read_in_its_exact_format(tmp_path: Path) -> None:
    records, checksum = write_cifar(tmp_path)
    data = cifar10(tmp_path, checksum)
    assert data.train.images.shape == (20, 32, 32, 3)
    assert data.train.labels is not None
    assert data.train.labels.tolist() == records[:20, 0].tolist()
    third, row, column, colour = 2, 5, 7, 1  # planes of red, green, blue, each row by row
    value = records[third, 1 + colour * 1024 + row * 32 + column]
    assert data.train.images[third, row, column, colour] == value


def test_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    with pytest.raises(DataError, match="must have the checksum c32a1d4ab5d03f1284b67883e8d87530"):
        cifar10(tmp_path)


def test_missing_cifar10_names_the_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs .*cifar-10-binary\.tar\.gz.*--data-dir"):
        cifar10(tmp_path)


def test_a_folder_skips_and_names_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.full((10, 20, 3), 200, np.uint8)).save(tmp_path / "deep" / "a.png")
    Image.fromarray(np.full((9, 9), 3, np.uint8)).save(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_bytes(b"\x89PNG broken")
    whole = (tmp_path / "deep" / "a.png").read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    data = image_folder(tmp_path, size=16)
    assert data.train.images.shape == (2, 16, 16, 3)
    assert data.train.labels is None
    assert data.test is None
    assert len(data.skipped) == 2
    assert "c.png" in data.skipped[0]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold one that can be read"):
        image_folder(tmp_path)


def test_frames_of_trajectories_are_what_the_environment_shows() -> None:
    config = CollectConfig(layout="train", episodes=4, steps=6, episodes_per_layout=2)
    trajectories = Trajectories.from_rollouts(*collect(config))
    data = trajectory_frames(trajectories, count=10)
    assert data.train.images.shape == (10, *TwoRoomsEnv().observation_space["observation"].shape)
    row = np.random.default_rng(0).permutation(len(trajectories.states))[0]
    episode = np.searchsorted(trajectories.offsets, row, side="right") - 1
    state, layout = trajectories.states[row], trajectories.layout[episode]
    expected = np.asarray(TwoRoomsEnv.render_states(state[None], layout[None]))[0]
    np.testing.assert_array_equal(data.train.images[0], expected)


def test_photos_come_in_upright(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 250  # bright above as stored, on the right as shown
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    seen = image_folder(tmp_path, 32).train.images[0]
    assert seen[:, 20:].min() > 200
    assert seen[:, :12].max() < 50


def test_images_of_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None].repeat(256, axis=0) * 257
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    seen = image_folder(tmp_path, 256).train.images[0]
    np.testing.assert_array_equal(seen, np.arange(256)[None, :, None].repeat(256, 0).repeat(3, 2))


def test_an_image_that_is_too_large_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (64, 64)).save(tmp_path / "large.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    data = image_folder(tmp_path, 8)
    assert len(data.train.images) == 1
    assert "large.png" in data.skipped[0]
