"""The slides that a file, a folder or a pattern names."""

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
"""What a folder of results holds that could pass for a slide."""
_RESULTS_TABLE = "cells.parquet"
"""What tells a folder of results, of a run that was killed while it wrote them too: no picture is there without it."""


def slide_paths(inputs: Sequence[str | Path], *, skip: Path | None = None) -> list[Path]:
    """Slides named by files, folders (searched to any depth) and glob patterns, each once.

    A file is taken whatever its suffix; folders and patterns give only files with a slide's suffix and ``*.zarr``
    folders. Hidden files are left out, the tile images beside a Hamamatsu ``.vms`` too, and of the many ``.dcm`` files
    of one DICOM series only the largest is given: OpenSlide finds the others from it. The folder ``skip``, where
    results go, is not searched from above, but it is where it, or a folder in it, is the input. The results of runs
    are no slides wherever they lie.

    Raises
    ------
    InputError
        A path that does not exist, a folder without slides, a pattern that matches none.
    """
    found = [path for given in inputs for path in _slides_of(given, skip)]
    return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]


def _slides_of(given: str | Path, skip: Path | None) -> list[Path]:
    path = Path(given)
    if path.is_file() or (path.is_dir() and path.suffix.lower() == _FOLDER_SUFFIX):
        return [path]
    if path.is_dir():
        slides = _outside(skip, path, _walk(path))
        return _some(_one_per_series(slides), f"{path}: no slide in this folder or below it")
    if glob.has_magic(str(given)):
        matches = map(Path, sorted(glob.glob(str(given), recursive=True)))
        root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        slides = _outside(skip, root, filter(_is_slide, matches))
        return _some(_one_per_series(slides), f"{given}: the pattern matches no slide")
    raise InputError(f"{given}: no such file or folder")


def _outside(skip: Path | None, root: Path, slides: Iterable[Path]) -> Iterable[Path]:
    """Slides found below ``root`` that do not lie in ``skip``; all where the search began in there."""
    if skip is None or _is_below(root, skip):
        return slides
    return [slide for slide in slides if not _is_below(slide, skip)]


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _some(slides: list[Path], complaint: str) -> list[Path]:
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
        parts = any(name.lower().endswith((".vms", ".vmu")) for name in files)
        skipped = {".jpg", ".jpeg"} if parts else set()
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
