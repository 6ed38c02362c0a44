"""Names of what a finished slide's folder holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

GEOJSON = ("cells.geojson.gz", "cells-[0-9]*.geojson.gz", "import.groovy")
"""What of a finished slide is GeoJSON."""

OUTPUTS = (
    *GEOJSON,
    "cells.parquet",
    "labels.ome.zarr",
    "overview.png",
    "tissue.geojson",
    "fit.pt",
    "run.json",
)
"""What a finished slide's folder may hold, as glob patterns; ``run.json`` is the last to appear."""


def missing_outputs(out: Path) -> list[str]:
    """Names of what a finished slide always has and this one lacks."""
    always = ("cells.parquet", "labels.ome.zarr", "overview.png", "tissue.geojson", "run.json")
    missing = [name for name in always if not (out / name).exists()]
    return missing if any(out.glob("cells*.geojson.gz")) else ["cells.geojson.gz", *missing]


def replace_outputs(draft: Path, out: Path, patterns: Sequence[str] = OUTPUTS) -> None:
    """Move a draft's files to their final names; earlier ones go first, the last pattern's before all."""
    for pattern in reversed(patterns):
        for old in out.glob(pattern):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for pattern in patterns:
        for new in sorted(draft.glob(pattern)):
            os.replace(new, out / new.name)
