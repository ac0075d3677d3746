"""Videos: frames into a GIF or MP4 file."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

STEPS_A_SECOND = 15
"""Speed at which a world is watched."""


class VideoWriter:
    """Writes frames to a GIF or MP4 file, which appears once it is complete.

    Args:
        path: ends in .gif or .mp4.
        fps: frames a second.

    Raises:
        ValueError: for another ending.
        ImportError: for MP4 without the `video` extra.
    """

    def __init__(self, path: Path, fps: int) -> None:
        path = path.expanduser()
        suffix = path.suffix.lower()
        if suffix not in (".gif", ".mp4"):
            raise ValueError(f"a video must end in .gif or .mp4, got {path}; rename it")
        import imageio.v2 as imageio

        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        if suffix == ".gif":
            options: dict[str, Any] = {"duration": 1000 / fps, "loop": 0, "subrectangles": True}
        else:
            try:
                import imageio_ffmpeg  # noqa: F401
            except ImportError:
                raise ImportError(
                    f"{path} needs ffmpeg; run `pip install jepa-agent[video]` or write a .gif"
                ) from None
            options = {"fps": fps, "macro_block_size": 2}  # H.264 needs even sides
        self._writer = imageio.get_writer(self._temporary, **options)

    def add(self, frame: np.ndarray) -> None:
        """Append a uint8 frame (height, width, 3); MP4 repeats the last line of an odd side."""
        if self._path.suffix.lower() == ".mp4":
            odd = [(0, side % 2) for side in frame.shape[:2]]
            frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
        self._writer.append_data(frame)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)
