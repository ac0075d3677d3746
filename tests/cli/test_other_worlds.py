"""The commands with an agent of Pendulum, which has no goals, no success and no map."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from jepa_agent import EnvRef, JEPAAgent, WorldModel, WorldModelConfig, cli
from jepa_agent.envs import OraclePolicy
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEM, ActionBounds, CEMConfig


@pytest.fixture
def pendulum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of an untrained agent."""
    monkeypatch.chdir(tmp_path)
    planner = CEM(CEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2))
    config = WorldModelConfig((3,), 1, 3, chunk=5, latent_dim=4, encoder=VectorMLPConfig())
    env_ref = EnvRef("Pendulum-v1", {"max_episode_steps": 12})
    bounds = ActionBounds((-2.0,), (2.0,))
    JEPAAgent(WorldModel(config), bounds, env_ref, planner).save(tmp_path / "run")
    return "run"


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says."""
    with pytest.raises(SystemExit) as caught:
        cli.main(argv=arguments)
    printed = capsys.readouterr()
    return f"{caught.value.code} {printed.out} {printed.err}"


def upright(observation: object, info: dict) -> bool:
    """Always."""
    return True


GOAL = ("--goal", "1", "0", "0")


def test_evaluate_says_what_it_needs(pendulum: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("evaluate", "--checkpoint", pendulum, "--episodes", "3")
    assert "--goal must be an observation of Pendulum-v1" in command(capsys, *asked)
    assert "info must have is_success or success, got []" in command(capsys, *asked, *GOAL)


def test_evaluate_scores_the_agent_beside_random_actions(
    pendulum: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepa_agent.cli.evaluate.import_object", lambda _: upright)
    asked = ("evaluate", "--checkpoint", pendulum, "--episodes", "3", "--success", "me:upright")
    said = command(capsys, *asked, *GOAL, "--video", "s.gif")
    assert said.startswith("0 ")
    assert said.count("100.0 (") == 2
    assert said.count("1 steps, goal reached") == len(imageio.imread("s.gif")) == 3


def test_a_policy_that_fits_nowhere_ends_the_evaluation(
    pendulum: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = {"me:upright": upright, "me:Oracle": OraclePolicy}
    monkeypatch.setattr("jepa_agent.cli.evaluate.import_object", objects.__getitem__)
    asked = ("evaluate", "--checkpoint", pendulum, "--episodes", "3", "--success", "me:upright")
    with pytest.raises(IndexError):  # of Two Rooms' policy: a bug, not a score of 0
        cli.main(argv=[*asked, *GOAL, "--rival", "me:Oracle"])


def test_plan_shows_what_the_environment_renders(
    pendulum: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("plan", "--checkpoint", pendulum, "--episodes", "2", "--video", "p.gif")
    assert "agent.set_goal" in command(capsys, *asked)
    assert not Path("p.gif").exists()
    said = command(capsys, *asked, *GOAL)
    assert "Pendulum-v1 has no `scene` to draw plans on" in said
    assert "seed 1: 12 steps" in said
    assert len(imageio.imread("p.gif")) == 24
    monkeypatch.setitem(PendulumEnv.metadata, "render_modes", [])
    assert "Pendulum-v1 must render rgb_array" in command(capsys, *asked, *GOAL)


def test_an_agent_of_data_alone_asks_for_an_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its observations were two frames each, as the notes say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jepa_agent.cli.evaluate.import_object", lambda _: upright)
    planner = CEM(CEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2))
    config = WorldModelConfig((6,), 1, 6, chunk=5, latent_dim=4, encoder=VectorMLPConfig())
    bounds, notes = ActionBounds((-2.0,), (2.0,)), {"data": {"history": 2}}
    JEPAAgent(WorldModel(config), bounds, None, planner, notes=notes).save("run")
    goal = ("--goal", "1", "0", "0", "1", "0", "0")
    asked = ("evaluate", "--checkpoint", "run", "--episodes", "2", "--success", "me:upright", *goal)
    assert "use --env module:Name-v0" in command(capsys, *asked)
    said = command(capsys, *asked, "--env", "gymnasium:Pendulum-v1")
    assert said.startswith("0 ")
    asked = ("plan", "--checkpoint", "run", "--episodes", "1", "--video", "p.gif", *goal)
    assert "use --env module:Name-v0" in command(capsys, *asked)
    other = ("--env", "MountainCarContinuous-v0")
    assert "must show observations of shape (6,)" in command(capsys, *asked, *other)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--suite ood", "--suite has no use with --success, --goals data, and outside of TwoRooms"),
        ("--report page", "--report has no use with"),
        ("--budget 50", "--budget has no use without --goals data, got '50'; leave it out"),
        ("--goals data", "--goals data needs trajectory files, got none; name them with --data"),
        ("--goals data --data a.h5 --goal 1 0 0", "--goal has no use with goals from data"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    pendulum: str, capsys: pytest.CaptureFixture[str], asked: str, said: str
) -> None:
    assert said in command(capsys, "evaluate", "--checkpoint", pendulum, *asked.split())
