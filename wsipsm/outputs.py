"""Names of what a finished slide's folder holds."""

from __future__ import annotations

from pathlib import Path

OUTPUTS = (
    "cells.geojson.gz",
    "cells-[0-9]*.geojson.gz",
    "import.groovy",
    "cells.parquet",
    "labels.ome.zarr",
    "overview.png",
    "tissue.geojson",
    "fit.pt",
    "run.json",
)
"""What a finished slide's folder may hold, as glob patterns; ``run.json`` is the last to appear."""


def outputs_complete(out: Path) -> bool:
    """Whether everything that a finished slide always has is still there."""
    always = ("cells.parquet", "labels.ome.zarr", "overview.png", "tissue.geojson", "run.json")
    return all((out / name).exists() for name in always) and any(out.glob("cells*.geojson.gz"))
