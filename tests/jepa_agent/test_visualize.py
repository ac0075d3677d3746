from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.envs.drawing import to_array
from jepa_agent.planners import CEM, MPPI, Planner
from jepa_agent.visualize import (
    PANEL_HEIGHT,
    PLAN,
    TRAIL,
    VideoWriter,
    draw,
    energy_field,
    imagined_paths,
)

WHITE = np.full((96, 128, 3), 255, dtype=np.uint8)
PATH = np.array([[10.0, 10.0], [60.0, 20.0], [100.0, 80.0]])


def frames(count: int) -> list[np.ndarray]:
    """Frames that get brighter."""
    return [np.full((64, 48, 3), 20 * index, dtype=np.uint8) for index in range(count)]


def test_draw_gives_the_frame_with_a_line_of_text_below() -> None:
    picture = draw(WHITE, "CEM   step 1")
    assert picture.get_size() == (128, 96 + PANEL_HEIGHT)
    pixels = to_array(picture)
    assert (pixels[:96] == 255).all()
    assert len(np.unique(pixels[96:].reshape(-1, 3), axis=0)) > 1


def test_draw_shows_plan_candidates_and_trail() -> None:
    pixels = to_array(draw(WHITE, "", PATH, np.stack([PATH + 3.0, PATH - 3.0]), PATH[::-1] + 15.0))
    assert tuple(pixels[20, 60]) == PLAN
    assert tuple(pixels[35, 75]) == TRAIL
    plain = to_array(draw(WHITE, "", PATH, None, PATH[::-1] + 15.0))
    assert (pixels != plain).any()


def test_draw_copes_with_a_trail_of_one_point() -> None:
    assert (to_array(draw(WHITE, "", trail=PATH[:1]))[:96] == 255).all()


@pytest.mark.parametrize("planner", [CEM(), MPPI()])
def test_imagined_paths_start_at_the_agent(planner: Planner) -> None:
    agent = JEPAAgent.load("default")
    agent.planner = planner
    observation, info = agent.env.make().reset(seed=0)
    agent.predict(observation)
    assert agent.last_plan is not None
    image = observation["observation"]
    plan, candidates = imagined_paths(agent, image, agent.last_plan)
    steps = planner.horizon + 1
    assert plan.shape == (steps, 2)
    assert candidates.shape == (24, steps, 2)
    for path in (plan, *candidates):
        assert np.linalg.norm(path[0] - info["position"]) < 3.0
    if isinstance(planner, CEM):  # MPPI plans a mean of its candidates
        np.testing.assert_allclose(plan, candidates[0], atol=1e-3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader
@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_video_can_be_read_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"video{ending}"
    with VideoWriter(path, fps=10) as writer:
        for frame in frames(5):
            writer.add(frame)
        assert not path.exists()
    assert os.listdir(path.parent) == [path.name]
    reader: Any = imageio.get_reader(path)
    read = [np.asarray(frame)[..., :3] for frame in reader]
    reader.close()
    assert len(read) == 5
    for frame, original in zip(read, frames(5), strict=True):
        assert frame.shape == original.shape
        assert np.abs(frame.astype(int) - original).max() < 12


def write_and_fail(path: Path, count: int) -> None:
    with VideoWriter(path, 10) as writer:
        for frame in frames(count):
            writer.add(frame)
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
@pytest.mark.parametrize("count", [0, 2])
def test_an_error_leaves_no_file(tmp_path: Path, ending: str, count: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(tmp_path / f"video{ending}", count)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_an_error_leaves_an_old_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"video{ending}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, 1)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["video.avi", "video", "video.gif.zip"])
def test_another_ending_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4, got .*; rename it"):
        VideoWriter(tmp_path / "new" / name, 10)
    assert os.listdir(tmp_path) == []


def test_the_energy_field_is_the_distance_from_every_state(default_agent: JEPAAgent) -> None:
    line = np.arange(8, 60, 8, dtype=np.float32)
    states, goal = np.stack(np.meshgrid(line, line), axis=-1), np.float32([48, 40])
    context = np.float32([32, 18, 4])
    field = energy_field(default_agent, states, goal, context)
    assert field.shape == (7, 7)
    assert np.unravel_index(field.argmin(), field.shape) == (4, 5)
    assert field.min() < 0.3
    assert field[4, 0] > field[4, 4] + 2  # in the other room
    plain = energy_field(default_agent, states, goal, context, "latent")
    assert plain.shape == (7, 7)
    assert plain[4, 5] == pytest.approx(0.0, abs=1e-5)
