"""The environment that an agent of data without one is played in."""

from __future__ import annotations

from ..agent.agent import JEPAAgent
from ..worlds.reference import EnvRef


def play_in(agent: JEPAAgent, env: str) -> None:
    """Give an agent the environment that `--env` names, if it does."""
    if env:
        history = agent.notes.get("data", {}).get("history", 1)
        agent.set_environment(EnvRef(env, {}, history))
