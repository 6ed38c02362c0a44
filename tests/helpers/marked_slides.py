"""Output folders of slides whose cells have classes, made up without a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.measurements import measurements
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.core.geometry import Grid
from wsipsm.results.formats.geoparquet import GeoParquetWriter
from wsipsm.slide.annotations import write_regions

GRID = Grid(2000, 1500, 2.0, 0.5)
"""1 x 0.75 mm; 4000 x 3000 level-0 px."""
ORIGIN = (100, 40)
"""Of QuPath's frame."""
OD_OF_GRADE = np.array([0.1, 0.3, 0.5, 0.7], np.float32)


def marked_cells(xy: npt.NDArray[np.int64], grades: npt.NDArray[np.int64], compartment: str = "core") -> Cells:
    """Squares of 4 x 4 grid px; an anchor at each (x, y), its centroid 20 grid px further to the right."""
    corners = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], float)
    columns = {name: np.full(len(xy), 0.05, np.float32) for name in measurements("ihc")}
    columns[f"counterstain_od_{compartment}"] = OD_OF_GRADE[grades]
    names = np.array([CLASSES.names.index(name) for name in ("Negative", "Positive", "Positive", "Positive")], np.uint8)
    return Cells(
        anchor=xy[:, 1] * GRID.width + xy[:, 0],
        vertices_l0=GRID.to_l0((xy[:, None] + corners).reshape(-1, 2)),
        ring_offsets=5 * np.arange(len(xy) + 1),
        centroid_l0=GRID.to_l0(xy + np.array([20.0, 2.0])),
        columns=columns,
        class_=names[grades],
    )


def write_marked_slide(folder: Path, *batches: Cells, compartment: str = "nucleus", classes: bool = True) -> Path:
    """Output folder of a slide, searched from (200, 200) to (3800, 2800) level-0 px."""
    folder.mkdir(parents=True)
    searched = shapely.box(200, 200, 3800, 2800)
    write_regions([searched], folder / "tissue.geojson", name="Tissue", color=(0, 0, 0), offset_l0=ORIGIN)
    with GeoParquetWriter(folder / "cells.parquet", stain="ihc") as writer:
        for cells in batches:
            writer.write(cells, np.arange(1, len(cells) + 1), cell_uuids("s", GRID, cells.anchor))
    rule = {"threshold_od": 0.2, "grades_od": [0.4, 0.6], "compartment": compartment, "found_on": "configuration"}
    record = {
        "status": "done",
        "slide": {"path": f"{folder.name}.svs", "width_l0": 4000, "height_l0": 3000},
        "grid": {"width": GRID.width, "height": GRID.height, "downsample": GRID.downsample, "mpp": GRID.mpp},
        "origin_l0": {"qupath": ORIGIN, "level0": [0, 0], "written": ORIGIN},
        "counts": {"cells": sum(map(len, batches)), "mm2": GRID.area_mm2(searched.area)},
        "classes": rule | {"blue": 0, "brown": 0} if classes else None,
        "config": {"recognizer": {"stain": "ihc"}},
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def random_cells(count: int = 3000, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Anchors, grid px, in the region searched, and grades; from x 600 to 1000 and y 400 to 800 most are positive."""
    rng = np.random.default_rng(seed)
    xy = np.stack([rng.integers(100, 1850, count), rng.integers(100, 1390, count)], axis=1)
    xy = np.unique(xy, axis=0)
    hot = ((xy >= (600, 400)) & (xy < (1000, 800))).all(axis=1)
    return xy, np.where(rng.random(len(xy)) < np.where(hot, 0.8, 0.1), rng.integers(1, 4, len(xy)), 0)


def roi_file(path: Path, *regions: tuple[str, shapely.Geometry]) -> Path:
    """GeoJSON of named level-0 regions as QuPath exports them, in its frame."""
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(shapely.transform(region, lambda xy: xy - ORIGIN)),
            "properties": {"objectType": "annotation", **({"name": name} if name else {})},
        }
        for name, region in regions
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path
