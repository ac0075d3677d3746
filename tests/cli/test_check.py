from __future__ import annotations

from collections.abc import Callable


def test_it_says_what_works_and_what_is_missing(exit_of: Callable) -> None:
    code, said = exit_of("check", "Pendulum-v1", "--env-kwargs", "max_episode_steps=7")
    assert code == 0
    assert "what will work" in said
    assert "--success" in said


def test_its_status_tells_whether_the_world_can_be_used(exit_of: Callable) -> None:
    code, said = exit_of("check", "CartPole-v1")
    assert code == 0
    assert "Discrete(2)" in said
    code, said = exit_of("check", "Missing-v0")
    assert code == 1
    assert "NameNotFound" in said
    assert "what will work" not in said
    assert exit_of("check", "CartPole-v1", "--wrapper", "builtins:str")[0] == 1
