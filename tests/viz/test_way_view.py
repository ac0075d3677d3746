"""The way that a distance computes, in the picture of planning."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import torch

from jepa_agent import EnvRef, JEPAAgent, WorldModel
from jepa_agent.envs.drawing import to_array
from jepa_agent.presets import MAPS
from jepa_agent.viz.plan_view import WAY, draw
from jepa_agent.viz.session import Session


def test_the_picture_shows_the_computed_way(tiny_agent: JEPAAgent) -> None:
    torch.manual_seed(0)
    model = WorldModel(replace(MAPS.model, state_dim=2)).eval()
    agent = JEPAAgent(model, tiny_agent.bounds, EnvRef("Mazes-v0", {}), tiny_agent.planner)
    with contextlib.closing(Session(agent, terminate_on_success=False)) as session:
        assert session.view(wait=True).way is None
        session.step(wait=True)
        view = session.view(wait=True)
        assert view.way is not None
        assert view.way.min() > 0
        assert view.way.max() < 1
        shown, without = (
            to_array(draw(each)).reshape(-1, 3) for each in (view, replace(view, way=None))
        )
        assert np.any(shown != without)
        assert (shown == WAY).all(axis=1).sum() > (without == WAY).all(axis=1).sum()
        session.new_episode()
        assert session.view(wait=True).way is None


def test_an_embedding_computes_none(tiny_agent: JEPAAgent) -> None:
    with contextlib.closing(Session(tiny_agent, terminate_on_success=False)) as session:
        session.step(wait=True)
        assert session.view(wait=True).way is None
