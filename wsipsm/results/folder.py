"""Files of a finished slide's folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from wsipsm.results.formats import FORMATS

_ALWAYS = ("overview.png", "tissue.geojson", "run.json")

OUTPUTS = (
    *(name for one in FORMATS.values() for name in one.files),
    "overview.png",
    "tissue.geojson",
    "hotspots.geojson",  # where cells have classes, and a field has enough of them
    *("fit.pt", "calibration.pt"),  # as calibration.safetensors was called at first
    "calibration.safetensors",
    "report.html",  # where it is asked for
    "run.json",
)
"""All files of a finished slide's folder, as glob patterns in the order in which they appear, ``run.json`` last."""


def missing_outputs(out: Path) -> list[str]:
    """Names of files that every finished slide has and this folder lacks."""
    lacking = [one.data[0] for one in FORMATS.values() if not one.is_in(out)]
    return [*lacking, *(name for name in _ALWAYS if not (out / name).exists())]


def replace_outputs(draft: Path, out: Path, patterns: Sequence[str] = OUTPUTS) -> None:
    """Move files of a draft folder to the output folder, in the place of earlier ones.

    Parameters
    ----------
    draft : Path
        Folder with the new files.
    out : Path
        A slide's output folder, on the same file system.
    patterns : sequence of str
        Which files, those that mark the folder as finished last.
    """
    remove_outputs(out, patterns)
    move_outputs(draft, out, patterns)


def remove_outputs(out: Path, patterns: Sequence[str] = OUTPUTS) -> None:
    """Remove files of an earlier run, those of the last pattern first: without ``run.json`` a folder is unfinished."""
    for pattern in reversed(patterns):
        for old in out.glob(pattern):
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def move_outputs(draft: Path, out: Path, patterns: Sequence[str] = OUTPUTS) -> None:
    """Move what a draft folder still has to an output folder that has none of it.

    Parameters
    ----------
    draft, out
        As of `replace_outputs`.
    patterns : sequence of str
        Which files, in this order.
    """
    for pattern in patterns:
        for new in sorted(draft.glob(pattern)):
            os.replace(new, out / new.name)
