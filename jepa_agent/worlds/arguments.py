"""Arguments of constructors as JSON, and as words of a command line."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from ..registry import import_object


def to_plain(value: Any) -> Any:
    """A constructor's argument as JSON data, from which `from_plain` makes an equal one.

    Numbers, strings, lists, dicts, tuples, arrays of numpy, Boxes and Dicts of them, and whatever
    can be imported by its name, such as a class or a function at the top of a module.

    Raises:
        ValueError: if it is anything else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"$tuple": [to_plain(item) for item in value]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
        return {"$array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, gym.spaces.Box):
        return {"$box": [to_plain(value.low), to_plain(value.high)]}
    if isinstance(value, gym.spaces.Dict):
        return {"$dict": to_plain(dict(value.spaces))}
    try:
        return {"$import": import_path(value)}
    except ValueError:
        raise ValueError(
            f"an argument must be a number, string, array or importable, got {value!r}"
        ) from None


def from_plain(value: Any) -> Any:
    """The argument that `to_plain` wrote; importing one runs its module's code."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tuple" in value:
        return tuple(from_plain(item) for item in value["$tuple"])
    if "$array" in value:
        return np.array(value["$array"], dtype=value["dtype"])[()]
    if "$box" in value:
        low, high = map(from_plain, value["$box"])
        return gym.spaces.Box(low, high, dtype=low.dtype.type)
    if "$dict" in value:
        return gym.spaces.Dict(from_plain(value["$dict"]))
    if "$import" in value:
        return import_object(value["$import"])
    return {key: from_plain(item) for key, item in value.items()}


def import_path(thing: Any) -> str:
    """The name `package.module:Name` by which another process imports a class or a function.

    Raises:
        ValueError: if there is none, as for lambdas and for what a script defines.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    found = getattr(importlib.import_module(module), name, None) if module and name else None
    if module == "__main__" or found is not thing:
        raise ValueError(f"it must be importable as package.module:Name, got {thing!r}")
    return f"{module}:{name}"


def parse(words: Iterable[str]) -> dict[str, Any]:
    """Keyword arguments from words `key=value`, or a JSON object; a value is JSON, else a string.

    Raises:
        ValueError: if a word is neither.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key.isidentifier() and equals:
            try:
                found[key] = json.loads(value)
            except json.JSONDecodeError:
                found[key] = value
            continue
        try:
            found.update(json.loads(word))
        except (json.JSONDecodeError, TypeError, ValueError):
            raise ValueError(
                f"arguments must be key=value or a JSON object, got {word!r}; write size=5 or "
                "'{\"size\": 5}'"
            ) from None
    return found


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """A name and keyword arguments from `package.module:Name key=value ...`."""
    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    return name, parse([rest] if rest.startswith("{") else shlex.split(rest))
