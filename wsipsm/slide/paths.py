"""Slides named by files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from wsipsm.core.errors import InputError

SUFFIXES = frozenset(
    {".bif", ".bmp", ".btf", ".czi", ".dcm", ".jp2", ".jpeg", ".jpg", ".mrxs", ".ndpi", ".png", ".qptiff", ".scn"}
    | {".svs", ".svslide", ".tif", ".tiff", ".vms", ".vmu"}
)
_FOLDER_SUFFIX = ".zarr"
RESULTS = frozenset({"overview.png", "labels.ome.zarr"})
"""Files in a folder of results that could pass for slides."""
_RESULTS_TABLE = "cells.parquet"
"""File by which a folder of results is recognised: it is written before the pictures, so a killed run has it too."""


def slide_paths(inputs: Sequence[str | Path], *, skip: Path | None = None) -> list[Path]:
    """Slides named by files, folders (searched to any depth) and glob patterns, each once.

    A file is taken whatever its suffix; folders and patterns give only files with a slide's suffix and ``*.zarr``
    folders. Hidden files are left out, the tile images beside a Hamamatsu ``.vms`` too, and of the many ``.dcm`` files
    of one DICOM series only the largest is returned: OpenSlide finds the others from it. The folder ``skip``, where
    results go, is left out of a search that starts above it, and searched if it, or a folder in it, is an input. The
    results of runs are not slides, wherever they lie.

    Raises
    ------
    InputError
        A path that does not exist, a folder without slides, a pattern that matches none.
    """
    found = [path for name in inputs for path in _slides_of(name, skip)]
    return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]


def _slides_of(name: str | Path, skip: Path | None) -> list[Path]:
    path = Path(name)
    if path.is_file() or (path.is_dir() and path.suffix.lower() == _FOLDER_SUFFIX):
        return [path]
    if path.is_dir():
        slides = _outside(skip, path, _walk(path))
        return _not_empty(_one_per_series(slides), f"{path}: no slide in this folder or below it")
    if glob.has_magic(str(name)):
        matches = map(Path, sorted(glob.glob(str(name), recursive=True)))
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        slides = _outside(skip, root, filter(_is_slide, matches))
        return _not_empty(_one_per_series(slides), f"{name}: the pattern matches no slide")
    raise InputError(f"{name}: no such file or folder")


def _outside(skip: Path | None, root: Path, slides: Iterable[Path]) -> Iterable[Path]:
    """Slides found below ``root`` that are not in ``skip``; all of them if ``root`` is in it."""
    if skip is None or _is_below(root, skip):
        return slides
    return [slide for slide in slides if not _is_below(slide, skip)]


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _not_empty(slides: list[Path], complaint: str) -> list[Path]:
    if not slides:
        raise InputError(f"{complaint}; looked for {' '.join(sorted(SUFFIXES))} {_FOLDER_SUFFIX}")
    return slides


def _walk(folder: Path) -> list[Path]:
    slides = []
    for root, folders, files in os.walk(folder):
        slides += [Path(root, name) for name in folders if _is_slide(Path(root, name))]
        folders[:] = [
            name for name in folders if not name.startswith(".") and not name.lower().endswith(_FOLDER_SUFFIX)
        ]
        hamamatsu = any(name.lower().endswith((".vms", ".vmu")) for name in files)
        skipped = {".jpg", ".jpeg"} if hamamatsu else set()
        slides += [p for p in (Path(root, name) for name in files) if _is_slide(p) and p.suffix.lower() not in skipped]
    return sorted(slides)


def _is_slide(path: Path) -> bool:
    if path.name.startswith(".") or (path.name in RESULTS and path.with_name(_RESULTS_TABLE).exists()):
        return False
    suffix = path.suffix.lower()
    return suffix == _FOLDER_SUFFIX if path.is_dir() else suffix in SUFFIXES


def _one_per_series(slides: Iterable[Path]) -> list[Path]:
    largest: dict[tuple[Path, str], Path] = {}
    for path in slides:
        key = (path.parent, _series(path))
        known = largest.get(key)
        if known is None or path.stat().st_size > known.stat().st_size:
            largest[key] = path
    return sorted(largest.values())


def _series(path: Path) -> str:
    """DICOM series of a file; the file's name if it is not DICOM, or cannot be read."""
    if path.suffix.lower() != ".dcm":
        return path.name
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    except (InvalidDicomError, OSError):
        return path.name
    return str(header.get("SeriesInstanceUID", path.name))
