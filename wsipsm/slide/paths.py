"""Slides named by files, folders and patterns, and what is found there and cannot be used."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from wsipsm.core.errors import InputError

SUFFIXES = frozenset(
    {".avs", ".bif", ".bmp", ".btf", ".czi", ".dcm", ".jp2", ".jpeg", ".jpg", ".mrxs", ".ndpi", ".png", ".qptiff"}
    | {".scn", ".svs", ".svslide", ".tif", ".tiff", ".vms", ".vmu"}
)
_FOLDER_SUFFIX = ".zarr"
RESULTS = frozenset({"overview.png", "labels.ome.zarr"})
"""Files in a folder of results that could pass for slides."""
_RESULTS_TABLE = "cells.parquet"
"""File by which a folder of results is recognised: it is written before the pictures, so a killed run has it too."""
_SYSTEM_FOLDERS = frozenset(
    {"#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "__macosx", "lost+found"}
    | {"recycler", "system volume information"}
)
"""Folders that storage devices and operating systems make for themselves, in lower case."""
_WSI_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class of whole-slide images in DICOM."""


@dataclass(slots=True)
class Found:
    """What inputs name.

    Attributes
    ----------
    slides : list of Path
        Each once.
    refused : dict of Path to str
        What cannot be used although it was meant, and why: folders that may not be entered, names that are not UTF-8
        (written with escapes), pipes and devices.
    passed : Counter of str
        What searched folders hold besides, by kind.
    """

    slides: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)

    @property
    def note(self) -> str:
        """What was passed over, on one line; empty if nothing was."""
        listed = ", ".join(f"{count} {kind}" for kind, count in self.passed.most_common(8))
        more = f", {sum(n for _, n in self.passed.most_common()[8:])} others" if len(self.passed) > 8 else ""
        return f"passed over in the folders that were searched: {listed}{more}" if listed else ""


def slide_paths(inputs: Sequence[str | Path], *, skip: Path | None = None) -> list[Path]:
    """Slides that can be used of those that `find_slides` finds; errors as there."""
    return find_slides(inputs, skip=skip).slides


def find_slides(inputs: Sequence[str | Path], *, skip: Path | None = None) -> Found:
    """Slides named by files, folders (searched to any depth) and glob patterns, each once.

    A file is taken whatever its suffix; folders and patterns give only files with a slide's suffix, whole-slide DICOM
    without one, and ``*.zarr`` folders. Hidden files are left out, the tile images beside a Hamamatsu ``.vms`` too, and
    of the many files of one DICOM series only the largest is returned: OpenSlide finds the others from it. The folder
    ``skip``, where results go, is left out of a search that starts above it, and searched if it, or a folder in it, is
    an input. The results of runs are not slides, wherever they lie.

    Raises
    ------
    InputError
        A path that does not exist, a folder without slides, a pattern that matches none.
    """
    found = Found()
    for name in inputs:
        found.slides += _usable(_slides_of(name, skip, found), found)
    found.slides = list({os.path.realpath(path): path for path in reversed(found.slides)}.values())[::-1]
    return found


def _usable(paths: Iterable[Path], found: Found) -> list[Path]:
    """Paths without those that cannot be used, which are noted."""
    good = []
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = Path(os.fsencode(path).decode(errors="backslashreplace"))
            found.refused[shown] = "its name is not UTF-8: rename the file"
            continue
        if path.exists() and not (path.is_file() or path.is_dir()):
            found.refused[path] = "not a regular file (a pipe, a socket or a device)"
            continue
        good.append(path)
    return good


def _slides_of(name: str | Path, skip: Path | None, found: Found) -> list[Path]:
    path = Path(name)
    if path.is_dir() and path.suffix.lower() != _FOLDER_SUFFIX:
        refused = len(found.refused)
        slides = _one_per_series(_outside(skip, path, _walk(path, found, skip)))
        if len(found.refused) > refused:
            return slides
        return _not_empty(slides, f"{path}: no slide in this folder or below it")
    if path.exists():
        return [path]
    if glob.has_magic(str(name)):
        root, pattern = _split(path)
        matches = map(Path, sorted(glob.glob(pattern, recursive=True)))
        matched = _outside(skip, root, filter(_is_slide, matches))
        return _not_empty(_one_per_series(matched), f"{name}: the pattern matches no slide")
    raise InputError(f"{name}: no such file or folder")


def _split(path: Path) -> tuple[Path, str]:
    """Folder below which a pattern begins, and the pattern; brackets in the names of folders that exist are no pattern.

    Examples
    --------
    >>> _split(Path("nowhere/*/a.svs"))
    (PosixPath('nowhere'), 'nowhere/*/a.svs')
    """
    existing = [parent for parent in path.parents if parent.is_dir() and parent != Path()]
    if existing:
        rest = path.relative_to(existing[0])
        root = existing[0].joinpath(*takewhile(lambda part: not glob.has_magic(part), rest.parts))
        return root, str(Path(glob.escape(str(existing[0])), rest))
    return Path(*takewhile(lambda part: not glob.has_magic(part), path.parts)), str(path)


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


def _walk(folder: Path, found: Found, skip: Path | None) -> list[Path]:
    def refuse(error: OSError) -> None:
        found.refused[Path(error.filename)] = f"cannot be searched ({error.strerror}): give access, or leave it out"

    slides = []
    for root, folders, files in os.walk(folder, onerror=refuse):
        slides += [Path(root, name) for name in folders if _is_slide(Path(root, name))]
        left_out = {name for name in folders if name.startswith(".") or name.lower() in _SYSTEM_FOLDERS}
        folders[:] = [name for name in folders if name not in left_out and not name.lower().endswith(_FOLDER_SUFFIX)]
        hamamatsu = any(name.lower().endswith((".vms", ".vmu")) for name in files)
        skipped = {".jpg", ".jpeg"} if hamamatsu else set()
        paths = [Path(root, name) for name in files]
        taken = [path for path in paths if path.suffix.lower() not in skipped and _is_slide(path)]
        slides += taken
        if not (_is_of_a_slide(Path(root), files) or (skip is not None and _is_below(Path(root), skip))):
            found.passed.update(_kinds(set(paths) - set(taken), len(left_out)))
    return sorted(slides)


def _is_of_a_slide(folder: Path, files: Sequence[str]) -> bool:
    """Whether the files of a folder belong to one slide, or are the results of one."""
    return (
        _RESULTS_TABLE in files or bool(folder.name and folder.with_suffix(".mrxs").exists()) or "Slidedat.ini" in files
    )


def _kinds(paths: Iterable[Path], folders: int) -> Counter[str]:
    shown = [path for path in paths if not path.name.startswith(".")]
    kinds = Counter(f"{path.suffix.lower() or 'without suffix'}" for path in shown)
    return kinds + Counter({"hidden or system folders": folders})


def _is_slide(path: Path) -> bool:
    if path.name.startswith(".") or (path.name in RESULTS and path.with_name(_RESULTS_TABLE).exists()):
        return False
    suffix = path.suffix.lower()
    if path.is_dir():
        return suffix == _FOLDER_SUFFIX
    return suffix in SUFFIXES or _is_bare_dicom(path)


def _is_bare_dicom(path: Path) -> bool:
    """Whether a file without a suffix, as archives export them, is a whole-slide image in DICOM."""
    if not (path.suffix == "" or path.suffix[1:].isdigit()) or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return False
    except OSError:
        return False
    return _dicom(path, "SOPClassUID") == _WSI_CLASS


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
    if path.suffix.lower() != ".dcm" and not _is_bare_dicom(path):
        return path.name
    return _dicom(path, "SeriesInstanceUID") or path.name


def _dicom(path: Path, keyword: str) -> str:
    """One entry of a DICOM file's header; empty if it has none, or cannot be read."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=[keyword]).get(keyword, ""))
    except (InvalidDicomError, OSError):
        return ""
