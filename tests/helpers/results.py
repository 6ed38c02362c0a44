"""Run slides and read the results back with the field's own libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import zarr

from wsipsm.config import load_config
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request

PSM = "recognizer.method=psm"
"""Setting that finds cells in the pseudo mask itself, its network learnt on the slide."""
SEGMENTER = "recognizer.method=segmenter"
"""Setting that finds cells by the segmenter that comes with the package."""
QUICK_FIT = "encoder.steps=20"
"""Setting that learns little, but enough to find nuclei."""
TINY_FIT = ("encoder.steps=5", "encoder.batch=4", "encoder.patches=24")
"""Settings that learn next to nothing: where it does not matter which cells are found."""


def run_slide(
    slide: Path, out: Path, *settings: str, encoder: Path | None = None, roi: Path | None = None, fresh: bool = False
) -> Path:
    """Results folder of a slide run with settings; the run must end well.

    Workers are threads unless the settings say otherwise: that spares each run the start of new processes. Reports are
    left out likewise.
    """
    usual = (PSM, "schedule.workers=2", "schedule.processes=false", "output.report=false")
    config = load_config("he", (*usual, *settings))
    (state,) = run(Request([str(slide)], out, config, checkpoint=encoder, roi=roi, fresh=fresh))
    assert state.status == "done", state.error
    return out / state.slide_id


def cells_of(results: Path) -> geopandas.GeoDataFrame:
    """Cells by label, as geopandas reads them."""
    return geopandas.read_parquet(results / "cells.parquet").sort_values("label", ignore_index=True)


def labels_of(results: Path) -> npt.NDArray[np.int32]:
    """Finest level of the instances, as zarr reads it."""
    return np.asarray(zarr.open_group(results / "labels.ome.zarr", mode="r")["instances/0"])


def nearest(labels: npt.NDArray[Any], ratio: float, x0: int, y0: int, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Labels under the centres of pixels ``ratio`` times as large, by brute force."""
    out = np.zeros(shape, np.uint32)
    for y in range(shape[0]):
        for x in range(shape[1]):
            row = min(int((y0 + y + 0.5) * ratio), labels.shape[0] - 1)
            out[y, x] = labels[row, min(int((x0 + x + 0.5) * ratio), labels.shape[1] - 1)]
    return out
