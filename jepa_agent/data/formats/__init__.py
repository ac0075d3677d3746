"""Data of other programs: a reader each, chosen by looking at the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from ...registry import import_modules
from ...worlds.reference import EnvRef
from ...worlds.showing import showing
from ..source import observed_shape
from ..trajectories import Trajectories
from ..trajectory_file import TrajectoryFileError, TrajectoryWriter, partial_path
from .base import Recording, Selection
from .pickles import refuse

import_modules(__name__, __path__)

FORMATS: dict[str, type[Recording]] = Recording.kinds
"""The formats by name."""


def recording_of(source: str | Path) -> Recording:
    """Open data of any known format, which is found by looking at them.

    Raises:
        TrajectoryFileError: if they are missing, damaged, pickles, or of no known format.
    """
    path = Path(source).expanduser()
    refuse(path)
    for each in FORMATS.values():
        if each.recognises(path):
            return each(path)
    if not path.exists():
        raise TrajectoryFileError(
            f"data must exist, got {path}; record some with `jepa-agent collect`, or correct the "
            "path"
        )
    known = "; ".join(sorted(each.title for each in FORMATS.values()))
    raise TrajectoryFileError(
        f"{path} must be of a known format, damaged it may not look like one: {known}; or give its "
        "arrays to Trajectories.from_arrays"
    )


def read(
    sources: str | Path | Sequence[str | Path],
    in_memory: bool = True,
    selection: Selection | None = None,
) -> Trajectories:
    """Read data of any known formats, and join them.

    Args:
        sources: a file, folder or name of a dataset, or several, all of one environment.
        in_memory: read stored observations too; else they are read from their files when needed,
            which takes trajectory files.
        selection: what to take of the data; everything of trajectory files by default.

    Raises:
        TrajectoryFileError: if one is missing, damaged or foreign, or they do not fit together.
    """
    recordings = []
    for source in [sources] if isinstance(sources, str | Path) else sources:
        with recording_of(source) as recording:
            recordings.append(_read(recording, in_memory, selection))
    return recordings[0] if len(recordings) == 1 else Trajectories.concatenate(recordings)


def _read(recording: Recording, in_memory: bool, selection: Selection | None) -> Trajectories:
    if recording.kind == "jepa-agent" and selection is None:
        return Trajectories.load(recording.path, in_memory=in_memory)
    if not in_memory:
        raise TrajectoryFileError(
            f"data that stay on the disk must be trajectory files, {recording.path} is a "
            f"{recording.title}; make one of it with `jepa-agent import`"
        )
    return recording.read(selection)


def import_data(
    source: str | Path,
    out: str | Path,
    selection: Selection | None = None,
    env: str | EnvRef | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write data of any known format as a trajectory file, episode by episode.

    Args:
        source: a file, a folder or the name of a dataset.
        out: the file to write; it takes its name once it is complete.
        selection: what to take of the data.
        env: the environment that they come from, or its name `module:Name-v0`, if it is to be
            remembered. Where the data are images and it shows something else, it is seen by its
            frames.
        progress: called with the number of written episodes, and that of all.

    Returns:
        The number of episodes.

    Raises:
        ValueError: if the data or the environment cannot be read or do not fit together.
    """
    with recording_of(source) as recording:
        episodes = recording.episodes(selection)
        first = next(episodes)
        metadata = first.metadata
        history = metadata.get("history", 1)
        if env:
            ref = EnvRef(env, {}) if isinstance(env, str) else env
            metadata = metadata | showing(ref, observed_shape(first), history).metadata()
        total, writer = int((recording.lengths >= 2).sum()), TrajectoryWriter(out, metadata)
        try:
            with writer:
                for done, episode in enumerate(itertools.chain([first], episodes), start=1):
                    writer.append(episode)
                    if progress is not None:
                        progress(done, total)
        except BaseException:  # nothing to rescue: the source is there
            partial_path(out).unlink(missing_ok=True)
            raise
    return total
