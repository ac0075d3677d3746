"""Pickles: never read, since reading one runs code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..trajectory_file import TrajectoryFileError
from .npz import NpzArray, names

LOADS = {
    ".pth": 'torch.load("{name}", weights_only=False)',
    ".pt": 'torch.load("{name}", weights_only=False)',
    ".joblib": 'joblib.load("{name}")',
    ".npz": 'np.load("{name}", allow_pickle=True)',
    ".npy": 'np.load("{name}", allow_pickle=True).item()',
    ".pkl": 'np.load("{name}", allow_pickle=True)',
    ".pickle": 'np.load("{name}", allow_pickle=True)',
}
"""How files are read by their authors, by the ending of their name."""
CONVERT = """\
if you trust it, convert it once, with the names of its arrays:
    {imports}
    data = {load}
    arrays = {{name: data[name] for name in ("observations", "actions", "terminals")}}
    np.savez("{stem}.npz", **arrays)"""


def refuse(path: Path) -> None:
    """Raise TrajectoryFileError, with the lines that convert it, if a file is a pickle.

    Those are files of pickle, torch.save and joblib, and .npy and .npz files with object arrays.
    """
    if not path.is_file() or not _is_pickle(path):
        return
    load = LOADS.get(path.suffix, LOADS[".pkl"]).format(name=path.name)
    module = load.partition(".")[0]
    imports = "import numpy as np" + ("" if module == "np" else f", {module}")
    convert = CONVERT.format(imports=imports, load=load, stem=path.stem)
    raise TrajectoryFileError(
        f"data must not be pickled, since reading pickles runs code, got {path}; {convert}"
    )


def _is_pickle(path: Path) -> bool:
    if path.suffix in (".npy", ".npz"):
        return _has_objects(path)
    with path.open("rb") as file:
        first = file.read(2)
    return path.suffix in LOADS or (first[:1] == b"\x80" and first[1:] in (b"\3", b"\4", b"\5"))


def _has_objects(path: Path) -> bool:
    try:
        if path.suffix == ".npy":
            return np.lib.format.open_memmap(path, mode="r").dtype.hasobject
        return any(NpzArray(path, name).dtype.hasobject for name in names(path))
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        return "objects" in str(error)
