"""Predicted risk and the paths of the heads, in the window and in videos."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import torch

from jepa_agent import EnvRef, JEPAAgent, WorldModel
from jepa_agent.envs.drawing import to_array
from jepa_agent.models.ending import EndingConfig
from jepa_agent.viz.plan_view import HEAD, draw
from jepa_agent.viz.session import Session


def dangerous(agent: JEPAAgent) -> JEPAAgent:
    """An untrained agent with four heads, which foresees ends, among hazards."""
    tiny = agent.model.config
    torch.manual_seed(0)
    model = WorldModel(
        replace(tiny, predictor=replace(tiny.predictor, heads=4), ending=EndingConfig(width=8))
    )
    model.state_mean.fill_(20.0)
    model.state_std.fill_(15.0)
    world = EnvRef("TwoRooms-v0", {"layout": "fixed", "hazard": "strip"})
    return JEPAAgent(model, agent.bounds, world, agent.planner)


def test_the_picture_shows_what_the_heads_imagine_and_the_risk(tiny_agent: JEPAAgent) -> None:
    session = Session(dangerous(tiny_agent), terminate_on_success=False)
    with contextlib.closing(session):
        before = session.view(wait=True)
        assert before.heads is None
        session.step(wait=True)
        view = session.view(wait=True)
        assert view.heads.shape == (4, 3, 2)
        assert np.ptp(view.heads[:, 0], axis=0).max() < 1e-4
        assert np.ptp(view.heads[:, -1], axis=0).min() > 0
        assert "risk " in view.caption
        shown, without = (
            to_array(draw(each)).reshape(-1, 3) for each in (view, replace(view, heads=None))
        )
        coloured = [(picture == HEAD).all(axis=1).sum() for picture in (shown, without)]
        assert coloured[0] > coloured[1]


def test_an_episode_is_over_where_it_failed(tiny_agent: JEPAAgent) -> None:
    session = Session(dangerous(tiny_agent), terminate_on_success=False)
    with contextlib.closing(session):
        session.info = {"is_failure": True}
        session.steps, session.failed = 7, True
        session.milliseconds = [1.0]
        assert session.is_over
        assert "failed after 7 steps" in session.summary
        session.new_episode()
        assert not session.is_over


def test_an_agent_of_one_head_shows_neither(tiny_agent: JEPAAgent) -> None:
    session = Session(tiny_agent, terminate_on_success=False)
    with contextlib.closing(session):
        session.step(wait=True)
        assert session.view(wait=True).heads is None
        assert "risk" not in session.view(wait=True).caption
