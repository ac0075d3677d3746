"""Minari datasets: trajectories in and out. Needs the extra `minari`."""

from __future__ import annotations

import json
import warnings
from typing import Any

import gymnasium as gym
import numpy as np

from ...io.serialisation import to_json
from ...worlds.observations import check_observations
from ..trajectories import Trajectories
from ..trajectory_file import TrajectoryFileError


def to_minari(trajectories: Trajectories, dataset_id: str) -> Any:
    """Store trajectories as a Minari dataset, images losslessly; needs the extra `minari`.

    Observations are the stored images where there are any, else the states; `infos` keep the
    states and the layouts, the description keeps the metadata.
    """
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
            description=to_json(trajectories.metadata),
            jpeg_encoding=False,
        )


def from_minari(dataset_id: str) -> Trajectories:
    """Read a Minari dataset from the local disk.

    Vector observations become states, images become observations; of a dict observation, its
    entry "observation" is taken. `infos["state"]` and `infos["layout"]` are used where present.

    Raises:
        TrajectoryFileError: if the dataset is missing or damaged, or its actions are not vectors.
        ValueError: if its observations are neither vectors nor uint8 images.
    """
    minari = _import_minari()
    try:
        dataset = minari.load_dataset(dataset_id)
        recorded = list(dataset.iterate_episodes())
    except (OSError, KeyError, ValueError, json.JSONDecodeError) as error:
        raise TrajectoryFileError(
            f"{dataset_id} must be a complete Minari dataset on this disk, got {error}; "
            "download or create it first"
        ) from error
    check_observations(dataset.observation_space)
    space = dataset.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise TrajectoryFileError(f"actions must be vectors, got {space}; convert the dataset")
    episodes = [_read_episode(episode) for episode in recorded]
    metadata = _metadata(dataset)
    lengths = [len(states) for states, *_ in episodes]
    columns = list(zip(*episodes, strict=True))
    images = None if columns[3][0] is None else np.concatenate(columns[3])
    return Trajectories(
        np.concatenate(columns[0]),
        np.concatenate(columns[1]),
        np.stack(columns[2]),
        np.cumsum([0, *lengths]),
        metadata,
        images,
    )


def _read_episode(episode: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    seen = episode.observations
    seen = np.asarray(seen["observation"] if isinstance(seen, dict) else seen)
    infos = episode.infos or {}
    is_image = seen.dtype == np.uint8 and seen.ndim == 4
    ours = {name: info for name, info in infos.items() if isinstance(info, np.ndarray)}
    nothing = np.zeros((len(seen), 0))
    states = ours.get("state", nothing if is_image else seen)
    layout = ours.get("layout", ours.get("context", nothing))[0]
    states = np.asarray(states, dtype=np.float32).reshape(len(seen), -1)
    actions = np.asarray(episode.actions, dtype=np.float32)
    return states, actions, np.asarray(layout, dtype=np.float32), seen if is_image else None


def _metadata(dataset: Any) -> dict[str, Any]:
    """Ours if we wrote the dataset, else what Minari knows of the environment."""
    try:
        ours = json.loads(dataset.storage.metadata.get("description") or "")
        if isinstance(ours, dict) and {"env_id", "env_kwargs"} <= set(ours):
            return ours
    except json.JSONDecodeError:
        pass
    spec, source = dataset.env_spec, {"minari": dataset.spec.dataset_id}
    return source | ({"env_id": spec.id, "env_kwargs": dict(spec.kwargs)} if spec else {})


def _import_minari() -> Any:
    try:
        import minari
    except ImportError:
        raise ImportError(
            'Minari datasets need the extra: run `pip install -e ".[minari]"`'
        ) from None
    return minari
