"""A QuPath project of the slides of an output folder, with the script that imports their cells.

The project file is what QuPath itself writes (seen in projects of 0.3.2, 0.6.0 and 0.7.0), without what QuPath finds
out when it opens an image: size, channels and pixel size. That QuPath takes files of other programs is what its
maintainers want (issues 510 and 568, pull request 569 of qupath/qupath). ``paquo``, which makes projects through
QuPath's own classes, needs an installed QuPath and Java, so it is not used.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsipsm.core.errors import ConfigError, OutputError
from wsipsm.core.files import appearing_folder
from wsipsm.results.qupath import project_script

PROJECT = "project.qpproj"
SCRIPT = "import_cells"
"""Name that QuPath shows among the scripts of the project."""

_WRITTEN_AS = "0.5.1"
"""Version of QuPath whose form the project has; later ones read it."""
_OPENSLIDE = {"providerClassName": "qupath.lib.images.servers.openslide.OpenslideServerBuilder", "args": []}
_BIOFORMATS = {
    "providerClassName": "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder",
    "args": ["--series", "0"],
}
_IDS = uuid.uuid5(uuid.NAMESPACE_DNS, "wsipsm.qupath")


@dataclass(frozen=True, slots=True)
class Project:
    """A project that was written.

    Attributes
    ----------
    path : Path
        Its file.
    slides : int
        Images in it.
    missing : int
        Those of them whose file is not where the run read it; QuPath asks for the new place.
    """

    path: Path
    slides: int
    missing: int


def write_project(out: Path, folder: Path) -> Project:
    """Write a project of all finished slides of a run.

    Images are opened as their coordinates demand it: by OpenSlide, which crops to the bounds of a scan, where the run
    read them so, else by Bio-Formats. No cell is in the project before its script is run.

    Parameters
    ----------
    out : Path
        Output folder of a run.
    folder : Path
        A new folder; it appears whole or not at all.

    Returns
    -------
    Project

    Raises
    ------
    ConfigError
        The new folder's parent is missing.
    OutputError
        The run has no finished slide, a record cannot be read, or the folder exists already.
    """
    if not folder.resolve().parent.is_dir():
        raise ConfigError(f"{folder.parent}: no such folder")
    slides = _slides(out)
    with appearing_folder(folder) as draft:
        scripts = draft / "scripts"
        scripts.mkdir()
        (scripts / f"{SCRIPT}.groovy").write_text(project_script(out), encoding="utf-8")
        content = _project(slides, folder.resolve() / PROJECT)
        (draft / PROJECT).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    missing = sum(not Path(slide["path"]).exists() for slide in slides)
    return Project(folder / PROJECT, len(slides), missing)


def _slides(out: Path) -> list[dict[str, Any]]:
    """Part ``slide`` of the records of all finished slides, by the names of their folders."""
    slides = []
    for path in sorted(out.glob("*/run.json")):
        try:
            slide = json.loads(path.read_bytes())["slide"]
            slides.append({"path": str(slide["path"]), "reader": slide.get("reader"), "folder": path.parent.name})
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise OutputError(f"{path}: not the record of a run: {error!r}") from None
    if not slides:
        raise OutputError(f"{out}: holds no finished slide; expected the output folder of wsipsm run")
    return slides


def _project(slides: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    """Content of the project file."""
    now = int(time.time() * 1000)
    return {
        "version": _WRITTEN_AS,
        "createTimestamp": now,
        "modifyTimestamp": now,
        "uri": _uri(file),
        "lastID": len(slides),
        "images": [_image(slide, number) for number, slide in enumerate(slides, start=1)],
    }


def _image(slide: dict[str, Any], number: int) -> dict[str, Any]:
    path = Path(slide["path"])
    provider = _OPENSLIDE if slide["reader"] == "openslide" else _BIOFORMATS
    return {
        "serverBuilder": {"builderType": "uri", "uri": _uri(path), **provider},
        "entryID": number,
        "randomizedName": str(uuid.uuid5(_IDS, slide["folder"])),
        "imageName": path.name,
        "metadata": {},
    }


def _uri(path: Path) -> str:
    """A file as Java writes it: one slash where RFC 8089 has three."""
    return path.absolute().as_uri().replace("file:///", "file:/", 1)
