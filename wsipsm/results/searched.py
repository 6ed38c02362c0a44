"""The region that a finished slide was searched in, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import shapely
import shapely.affinity

from wsipsm.slide.annotations import read_regions
from wsipsm.tissue.region import Region, polygon_parts


def searched_region(folder: Path, record: Mapping[str, Any]) -> Region:
    """Region of a slide's folder, level-0 px; empty where nothing was searched.

    Parameters
    ----------
    folder : Path
        Holds ``tissue.geojson``.
    record : mapping
        Content of ``run.json``.

    Raises
    ------
    RegionError
        The file cannot be read.
    LookupError, TypeError, ValueError
        The record is not that of a run.
    """
    if not float(record["counts"]["mm2"]):
        return Region(shapely.MultiPolygon())
    parts = placed(read_regions(folder / "tissue.geojson").areas, qupath_origin_of(record))
    return Region(shapely.MultiPolygon(polygon_parts([shapely.union_all(parts)])))


def qupath_origin_of(record: Mapping[str, Any]) -> tuple[int, int]:
    """Origin (x, y) of QuPath's frame, level-0 px."""
    x, y = record["origin_l0"]["qupath"]
    return int(x), int(y)


def placed(polygons: Sequence[shapely.Geometry], origin_l0: tuple[int, int]) -> list[shapely.Geometry]:
    """Polygons of QuPath's frame in level-0 px."""
    return [shapely.affinity.translate(polygon, *origin_l0) for polygon in polygons]
