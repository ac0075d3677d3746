"""Frames of a video file, read in order."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SUFFIXES = (".mp4", ".gif", ".avi", ".mov", ".mkv", ".webm")


class VideoFrames:
    """The frames of a video; going back begins it anew.

    Args:
        path: the file.

    Raises:
        ImportError: if it needs ffmpeg, which is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"there is no video {path}")
        if path.suffix != ".gif" and find_spec("imageio_ffmpeg") is None:
            raise ImportError(f'{path} needs ffmpeg; run `pip install "jepa-agent[video]"`')
        self.path = path
        self._frames: Generator[np.ndarray, None, None] | None = None
        self._next = 0

    def at(self, numbers: np.ndarray) -> np.ndarray:
        """Frames uint8 (n, H, W, 3) by their numbers (n,), which rise."""
        if self._frames is None or numbers[0] < self._next:
            self.close()
            self._frames, self._next = _frames(self.path), 0
        found = []
        for number in numbers.tolist():
            for frame in self._frames:
                self._next += 1
                if self._next > number:
                    found.append(frame)
                    break
            else:
                raise EOFError(f"{self.path.name} must have frame {number}, it has {self._next}")
        return np.stack(found)

    def close(self) -> None:
        """End its reader, which may be another process."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None


def _frames(path: Path) -> Generator[np.ndarray, None, None]:
    if path.suffix == ".gif":
        import imageio.v3 as iio

        for frame in iio.imiter(path, plugin="pillow"):
            yield np.repeat(frame[..., None], 3, axis=-1) if frame.ndim == 2 else frame[..., :3]
        return
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [
        get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-fps_mode", "passthrough",
        "-f", "image2pipe", "-vcodec", "ppm", "-pix_fmt", "rgb24", "-",
    ]  # fmt: skip
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as process,
    ):
        pipe = process.stdout
        assert pipe is not None
        try:
            while pipe.readline():  # "P6", the size, the largest value, the pixels
                width, height = map(int, pipe.readline().split())
                pipe.readline()
                pixels = pipe.read(3 * width * height)
                yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
            if process.wait():
                said.seek(0)
                reason = said.read().decode(errors="replace").strip().splitlines()[-1:]
                raise OSError(f"{path.name} must be a video that ffmpeg reads, got {reason}")
        finally:
            process.kill()
