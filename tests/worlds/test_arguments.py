from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent.worlds.arguments import from_plain, import_path, parse, parse_call, to_plain


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.5, "word", [1, [2]], {"a": (1, "b")}, (64, 64), np.uint8, json.dumps,
        np.float32(-1), np.float64(3),
        np.arange(4, dtype=np.float32).reshape(2, 2), gym.spaces.Box(-1, 1, (2,), np.float64),
        gym.spaces.Dict(a=gym.spaces.Box(0, 255, (3,), np.uint8)),
    ],
    ids=range(15),
)  # fmt: skip
def test_an_argument_survives_json(value: Any) -> None:
    found = from_plain(json.loads(json.dumps(to_plain(value))))
    np.testing.assert_equal(found, value)
    assert type(found) is type(value)
    assert getattr(found, "dtype", None) == getattr(value, "dtype", None)


@pytest.mark.parametrize("value", [lambda x: x, object(), {1: 2}, np.array(["a"])], ids=range(4))
def test_what_json_cannot_hold_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="an argument must be a number, string, array or"):
        to_plain({"func": value})


def test_a_thing_is_named_only_where_others_find_it() -> None:
    assert import_path(json.JSONDecoder) == "json.decoder:JSONDecoder"

    class Local:
        pass

    with pytest.raises(ValueError, match=r"must be importable as package\.module:Name"):
        import_path(Local)


def test_words_are_json_or_strings() -> None:
    assert parse(["size=5", "maze=[[1, 0]]", "type=pixels", "on=true", "name="]) == {
        "size": 5, "maze": [[1, 0]], "type": "pixels", "on": True, "name": "",
    }  # fmt: skip
    assert parse(['{"a": 1, "b": [2]}', "a=3"]) == {"a": 3, "b": [2]}
    for wrong in ("size", "[1]", "a b=1"):
        with pytest.raises(ValueError, match=r"key=value or a JSON object, got .*write size=5"):
            parse([wrong])


def test_a_call_is_a_name_and_words() -> None:
    assert parse_call("m:F") == ("m:F", {})
    assert parse_call("m:F low=-1 name='a b'") == ("m:F", {"low": -1, "name": "a b"})
    assert parse_call('m:F {"shape": [4, 4]}') == ("m:F", {"shape": [4, 4]})
