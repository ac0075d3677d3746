"""Packages that only some worlds need, loaded when such a world is made."""

from __future__ import annotations

import importlib
from types import ModuleType


def needed(module: str, world: str) -> ModuleType:
    """Import a module of the extra `worlds`.

    Args:
        module: its full name.
        world: who needs it.

    Raises:
        ImportError: if it is not installed, or lacks a library of the system; the message says
            which command mends it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{world} needs the package of {module}, which is not installed ({error}); run "
            "`pip install 'jepa-agent[worlds]'`"
        ) from error
    except ImportError as error:
        raise ImportError(
            f"{world} needs {module}, which lacks a library of the system ({error}); if it is "
            "OpenGL's, install it (Debian's libgl1), or take OpenCV without it: `pip uninstall "
            "opencv-python`, then `pip install opencv-python-headless`"
        ) from error
