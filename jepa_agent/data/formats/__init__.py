"""Readers and writers of other libraries' data, one file each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..trajectories import Trajectories


def read(sources: Sequence[str | Path], in_memory: bool = True) -> Trajectories:
    """Read trajectory files, and join several.

    Args:
        sources: the files, all of one environment.
        in_memory: read stored observations too; else they are read from their files when needed.

    Raises:
        TrajectoryFileError: if a file is missing, damaged or foreign, or they do not fit together.
    """
    recordings = [Trajectories.load(source, in_memory=in_memory) for source in sources]
    return recordings[0] if len(recordings) == 1 else Trajectories.concatenate(recordings)
