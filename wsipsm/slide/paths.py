"""The slides that a file, a folder or a pattern names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wsipsm.errors import InputError

SUFFIXES = frozenset(
    {".bif", ".bmp", ".btf", ".czi", ".dcm", ".jp2", ".jpeg", ".jpg", ".mrxs", ".ndpi", ".png", ".qptiff", ".scn"}
    | {".svs", ".svslide", ".tif", ".tiff", ".vms", ".vmu"}
)
_FOLDER_SUFFIX = ".zarr"
_RESULTS = frozenset({"run.json", "cells.parquet", "labels.ome.zarr"})
"""What tells a folder of results of a slide."""


def slide_paths(inputs: Sequence[str | Path], *, skip: Path | None = None) -> list[Path]:
    """Slides named by files, folders (searched to any depth) and glob patterns, each once.

    A file is taken whatever its suffix; folders and patterns give only files with a slide's suffix and ``*.zarr``
    folders. Hidden files are left out, the tile images beside a Hamamatsu ``.vms`` too, and of the many ``.dcm`` files
    of one DICOM series only the largest is given: OpenSlide finds the others from it. What lies in the folder ``skip``,
    where results go, is no input unless it is named itself, and neither are the results of other runs.

    Raises
    ------
    InputError
        A path that does not exist, a folder without slides, a pattern that matches none.
    """
    found = [path for given in inputs for path in _slides_of(given, skip)]
    return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]


def _slides_of(given: str | Path, skip: Path | None) -> list[Path]:
    path = Path(given)

    def kept(slides: Iterable[Path]) -> list[Path]:
        results = os.path.realpath(skip) if skip else None
        return [one for one in slides if results is None or not Path(os.path.realpath(one)).is_relative_to(results)]

    if path.is_file() or (path.is_dir() and path.suffix.lower() == _FOLDER_SUFFIX):
        return [path]
    if path.is_dir():
        return _some(_one_per_series(kept(_walk(path))), f"{path}: no slide in this folder or below it")
    if glob.has_magic(str(given)):
        matches = map(Path, sorted(glob.glob(str(given), recursive=True)))
        return _some(_one_per_series(kept(filter(_is_slide, matches))), f"{given}: the pattern matches no slide")
    raise InputError(f"{given}: no such file or folder")


def _some(slides: list[Path], complaint: str) -> list[Path]:
    if not slides:
        raise InputError(f"{complaint}; looked for {' '.join(sorted(SUFFIXES))} {_FOLDER_SUFFIX}")
    return slides


def _walk(folder: Path) -> list[Path]:
    slides = []
    for root, folders, files in os.walk(folder):
        if _RESULTS.issubset((*files, *folders)):
            folders.clear()
            continue
        slides += [Path(root, name) for name in folders if _is_slide(Path(root, name))]
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_slide(Path(root, name))]
        parts = any(name.lower().endswith((".vms", ".vmu")) for name in files)
        skipped = {".jpg", ".jpeg"} if parts else set()
        slides += [p for p in (Path(root, name) for name in files) if _is_slide(p) and p.suffix.lower() not in skipped]
    return sorted(slides)


def _is_slide(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    suffix = path.suffix.lower()
    return suffix == _FOLDER_SUFFIX if path.is_dir() else suffix in SUFFIXES


def _one_per_series(slides: Iterable[Path]) -> list[Path]:
    largest: dict[tuple[Path, str], Path] = {}
    for path in slides:
        key = (path.parent, _series(path))
        held = largest.get(key)
        if held is None or path.stat().st_size > held.stat().st_size:
            largest[key] = path
    return sorted(largest.values())


def _series(path: Path) -> str:
    """DICOM series of a file; its own name for any other file, and for a .dcm that cannot be read."""
    if path.suffix.lower() != ".dcm":
        return path.name
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    except (InvalidDicomError, OSError):
        return path.name
    return str(header.get("SeriesInstanceUID", path.name))
