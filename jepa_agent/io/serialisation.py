"""Frozen dataclasses to JSON and back; unknown, missing and wrongly typed fields are errors."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from ..registry import Registered

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain data for JSON, with the kinds of those that have one."""
    data = {"kind": config.kind} if isinstance(config, Registered) else {}
    return data | {
        field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text; numbers and arrays of numpy become Python's."""
    return json.dumps(document, indent=indent, default=lambda value: value.tolist())


def write_json(path: Path, document: Any) -> None:
    """Write a document under a temporary name, then rename; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(to_json(document, indent=1) + "\n")
    temporary.replace(path)


def from_dict(cls: type[Config], data: Any, where: str = "") -> Config:
    """Build a config from plain data.

    Args:
        cls: a dataclass.
        data: what `to_dict` gave, through JSON.
        where: the path of `data` in the file, for messages.

    Raises:
        ValueError: naming the field that is unknown, missing or of the wrong type.
    """
    where = where or cls.__name__
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object, got {data!r}; restore the file")
    if issubclass(cls, Registered):
        try:
            cls = cls.of_kind(data.get("kind"))
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from None
        data = {name: value for name, value in data.items() if name != "kind"}
    hints = typing.get_type_hints(cls)
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if set(data) != set(names):
        unknown, missing = sorted(set(data) - set(names)), sorted(set(names) - set(data))
        raise ValueError(
            f"{where} must have the fields {names}, got unknown {unknown} and missing {missing}; "
            "correct the names"
        )
    return cls(**{name: _value(hints[name], data[name], f"{where}.{name}") for name in names})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        return _value(inner[0], value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object, got {value!r}")
        if arguments[1] is Any:
            return value
        return {k: _value(arguments[1], item, f"{where}.{k}") for k, item in value.items()}
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, got {value!r}")
        return [_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} must be a list, got {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ValueError(f"{where} must have {len(kinds)} items, got {value!r}")
        return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{where} must be one of {list(arguments)}, got {value!r}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} must be {hint.__name__}, got {value!r}")
    return value
