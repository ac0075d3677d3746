"""Folders that one process at a time writes into."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import IO

IN_USE = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
"""What a lock that another process holds fails with."""


class RunError(ValueError):
    """A run cannot begin or go on in its folder."""


class FolderInUse(RunError):
    """Another process writes into the folder."""


def hold(folder: Path) -> IO[str]:
    """Keep other runs out of a folder, until the file is closed or the process ends.

    Where the file system has no locks, nothing keeps them out, and a warning says so.

    Raises:
        FolderInUse: if another one has it.
        RunError: if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
    except OSError as error:
        raise RunError(
            f"a run needs a folder that it can write to, got {error}; choose another --out"
        ) from None
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno not in IN_USE:
            warnings.warn(
                f"{folder} cannot be locked ({error}); start no second run in it", stacklevel=3
            )
            return file
        file.close()
        raise FolderInUse(
            f"only one run may write into a folder, {folder} is in use by another; wait for it or "
            "choose another --out"
        ) from None
    return file
