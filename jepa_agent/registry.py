"""Families of configs that are stored with their kind, so that a new kind extends no list."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

Kind = TypeVar("Kind", bound="Registered")


class Registered(ABC):
    """A direct subclass is a family; every subclass of a family is registered as a kind of it.

    Args:
        kind: the name under which the library's own kinds are stored; by default, as for classes
            of users, `module:Name`, from which they can be imported.
    """

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, Any]]
    """The classes of the family by kind."""

    def __init_subclass__(cls, kind: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if Registered in cls.__bases__:
            cls.kinds = {}
            return
        path = f"{cls.__module__}:{cls.__qualname__}"
        cls.kind = kind or path
        other = cls.kinds.get(cls.kind, cls)
        if path != f"{other.__module__}:{other.__qualname__}":
            raise ValueError(f"kind must be a new name, got {kind!r} of {other.__module__}")
        cls.kinds[cls.kind] = cls

    @classmethod
    def of_kind(cls: type[Kind], kind: object) -> type[Kind]:
        """The class of a kind.

        Raises:
            ValueError: if there is none, or it is not imported yet.
        """
        found = cls.kinds.get(str(kind))
        if found is None or not issubclass(found, cls):
            known = sorted(name for name, each in cls.kinds.items() if issubclass(each, cls))
            fix = "import the module that registers it"
            if ":" in str(kind):
                fix = "let its module be imported by allow_code=True (--allow-code)"
            raise ValueError(f"kind must be one of {known}, got {kind!r}; {fix}")
        return found


def import_kinds(document: Any) -> None:
    """Import the modules of all kinds `module:Name` in a JSON document; this runs their code.

    Raises:
        ValueError: if one cannot be imported.
    """
    if isinstance(document, list):
        for item in document:
            import_kinds(item)
    elif isinstance(document, dict):
        if ":" in str(document.get("kind", "")):
            import_object(document["kind"])
        import_kinds(list(document.values()))


def import_object(path: str) -> Any:
    """Import `package.module:Name`.

    Raises:
        ValueError: if the path is not of this form or names nothing.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"a class must be named package.module:Name and be importable, got {path!r} ({error}); "
            "check the spelling and PYTHONPATH"
        ) from error


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that a new file in it is all that a new kind takes."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
