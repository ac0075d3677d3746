"""Minari datasets: trajectories in and out. Needs the extra `minari`."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ...io.serialisation import to_json
from ...worlds.reference import importable_name
from ..trajectories import Trajectories
from ..trajectory_file import TrajectoryFileError
from .base import ACTION, Recording

LAYOUT = "layout"
OURS = "jepa_agent"
"""Where in a dataset's description our metadata are."""


def to_minari(trajectories: Trajectories, dataset_id: str) -> Any:
    """Store trajectories as a Minari dataset, images losslessly; needs the extra `minari`.

    Observations are the stored images where there are any, else the states; `infos` keep the
    states and the layouts, the description keeps the metadata.

    Raises:
        TrajectoryFileError: if observations have several parts.
    """
    if "parts" in trajectories.metadata:
        raise TrajectoryFileError(
            "observations must be whole to be stored as a Minari dataset, got the parts "
            f"{sorted(trajectories.metadata['parts'])}; use one of them"
        )
    minari = _import_minari()
    from minari.data_collector import EpisodeBuffer

    buffers = []
    for index, episode in enumerate(trajectories.episodes()):
        steps = len(episode.actions)
        seen = episode.states if episode.observations is None else episode.observations
        last = np.arange(steps) == steps - 1
        buffers.append(
            EpisodeBuffer(
                id=index,
                observations=seen,
                actions=episode.actions,
                rewards=[0.0] * steps,
                terminations=[False] * steps,
                truncations=last.tolist(),
                infos={
                    "state": episode.states,
                    "layout": np.repeat(episode.layout, steps + 1, axis=0),
                },
            )
        )
    sample = trajectories.observations
    if sample is None:
        sample = trajectories.states
    low, high = (0, 255) if sample.dtype == np.uint8 else (-np.inf, np.inf)
    with warnings.catch_warnings():
        # Minari asks for an author and a link; what made the data stands in the description.
        warnings.simplefilter("ignore", UserWarning)
        return minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=gym.spaces.Box(low, high, sample.shape[1:], sample.dtype.type),
            action_space=gym.spaces.Box(
                -np.inf, np.inf, trajectories.actions.shape[1:], np.float32
            ),
            description=to_json({OURS: trajectories.metadata}),
            jpeg_encoding=False,
        )


def from_minari(dataset_id: str) -> Trajectories:
    """Read a Minari dataset from the local disk.

    Vector observations become states, images become observations; of a dict observation, its
    entry "observation" is taken. `infos["state"]` and `infos["layout"]` are used where present.

    Raises:
        TrajectoryFileError: if the dataset is missing or damaged, or its actions are neither a Box
            nor discrete.
    """
    return MinariDataset(Path(dataset_id)).read()


class MinariDataset(Recording, kind="minari"):
    """A dataset by its id, or the folder of one; needs the extra `minari`."""

    title = "Minari dataset"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By what is in a folder, or else by a name that ends in a version, such as `-v0`."""
        if path.exists():
            return (path / "data" / "main_data.hdf5").is_file()
        return re.fullmatch(r"[\w./-]+-v\d+", path.as_posix()) is not None

    def open(self) -> None:
        minari = _import_minari()
        try:
            if self.path.exists():
                dataset = minari.MinariDataset(self.path / "data")
            else:
                dataset = minari.load_dataset(self.path.as_posix())
        except (OSError, KeyError, ValueError, json.JSONDecodeError) as error:
            raise TrajectoryFileError(
                f"{self.path} must be a complete Minari dataset on this disk, got {error}; "
                "download or create it first"
            ) from error
        self.categories, self._first = _discrete(dataset.action_space)
        self._dataset = dataset
        self._kept: tuple[int, dict[str, np.ndarray]] = (-1, {})
        indices = dataset.episode_indices
        self._indices = [int(index) for index in indices]
        steps = dataset.storage.get_episode_metadata(self._indices)
        self.lengths = np.array([int(each["total_steps"]) + 1 for each in steps])
        first = self._columns(0)
        self.columns = {
            name: values.shape[1:] for name, values in first.items() if name not in (ACTION, LAYOUT)
        }
        if {"observation", "state"} <= set(first) and np.array_equal(
            first["observation"], first["state"]
        ):
            del self.columns["observation"]  # the state is what was seen
        self.seen = "observation" if "observation" in self.columns else ""
        if isinstance(dataset.observation_space, gym.spaces.Dict) and not self.seen:
            self.seen = ",".join(sorted(set(self.columns) - {"state"}))
        self.states = ("state",) if "state" in self.columns else ()
        self.metadata = _metadata(dataset)

    def rows(self, column: str, episode: int) -> np.ndarray:
        return self._columns(episode)[column]

    def layout(self, episode: int) -> np.ndarray:
        return self._columns(episode).get(LAYOUT, np.zeros((1, 0)))[0]

    def _columns(self, episode: int) -> dict[str, np.ndarray]:
        """All columns of an episode; the last one is kept."""
        if self._kept[0] != episode:
            (found,) = self._dataset.iterate_episodes([self._indices[episode]])
            columns = _columns_of(found)
            columns[ACTION] = columns[ACTION].reshape(len(columns[ACTION]), -1) - self._first
            self._kept = episode, columns
        return self._kept[1]


def _discrete(space: gym.Space) -> tuple[tuple[int, ...], Any]:
    """How many categories each integer of an action has, and what the first one's number is."""
    if isinstance(space, gym.spaces.Discrete):
        return (int(space.n),), int(space.start)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return tuple(space.nvec.ravel().tolist()), space.start.ravel()
    if not isinstance(space, gym.spaces.Box):
        raise TrajectoryFileError(
            f"actions must be a Box or discrete, got {space}; convert the dataset"
        )
    return (), 0


def _columns_of(episode: Any) -> dict[str, np.ndarray]:
    seen, infos = episode.observations, episode.infos or {}
    parts = seen if isinstance(seen, dict) else {"observation": seen}
    found = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
    for name, others in (("state", ("state",)), (LAYOUT, (LAYOUT, "context"))):
        for other in others:
            if name not in found and isinstance(infos.get(other), np.ndarray):
                found[name] = infos[other]
    return found | {ACTION: np.asarray(episode.actions)}


def _metadata(dataset: Any) -> dict[str, Any]:
    """Ours if we wrote the dataset, else what Minari knows of the environment."""
    try:
        ours = json.loads(dataset.storage.metadata.get("description") or "")
        if isinstance(ours, dict) and OURS in ours:
            return ours[OURS]
        if isinstance(ours, dict) and {"env_id", "env_kwargs"} <= set(ours):  # before 0.2
            return ours
    except json.JSONDecodeError:
        pass
    spec, source = dataset.env_spec, {"minari": dataset.spec.dataset_id}
    named = {"env_id": importable_name(spec), "env_kwargs": dict(spec.kwargs)} if spec else {}
    return source | named


def _import_minari() -> Any:
    try:
        import minari
    except ImportError:
        raise ImportError(
            'Minari datasets need the extra: run `pip install -e ".[minari]"`'
        ) from None
    return minari
