"""Videos of several worlds as one small picture that moves, a row each.

python scripts/experiments/montage.py runs/scoreboard/*/proposals/plan.gif --out worlds.gif
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tyro


@dataclass(frozen=True)
class Args:
    """What to put together."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    out: Path
    frames: int = 120
    """How many of each video, from its beginning; a shorter one stands still at its end."""
    shrink: int = 2
    """How many pixels become one, along both axes."""


def main(args: Args) -> None:
    rows = [shrunk(read(video, args.frames), args.shrink) for video in args.videos]
    longest, widest = (max(row.shape[axis] for row in rows) for axis in (0, 2))
    rows = [
        np.pad(
            np.concatenate([row, row[-1:].repeat(longest - len(row), axis=0)]),
            ((0, 0), (0, 4), (0, widest - row.shape[2]), (0, 0)),
            constant_values=255,
        )
        for row in rows
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(args.out, np.concatenate(rows, axis=1), duration=80, loop=0)
    print(f"wrote {args.out}, {args.out.stat().st_size / 1e3:.0f} kB")


def read(video: Path, count: int) -> np.ndarray:
    """The first frames (T, H, W, 3) of a video."""
    return np.stack([frame[..., :3] for frame in islice(iio.imiter(video), count)])


def shrunk(frames: np.ndarray, by: int) -> np.ndarray:
    """Frames (T, H, W, 3) by the mean of every `by` x `by` pixels."""
    count, height, width, colours = frames.shape
    frames = frames[:, : height // by * by, : width // by * by]
    blocks = frames.reshape(count, height // by, by, width // by, by, colours)
    return blocks.mean(axis=(2, 4)).astype(np.uint8)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
