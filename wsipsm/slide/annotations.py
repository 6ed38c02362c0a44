"""Annotations: regions as GeoJSON, written for QuPath and read from it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import shapely
import shapely.geometry

from wsipsm.core.errors import RegionError
from wsipsm.slide.geojson import Area, areas_of, counted, read_drawn

_NO_REGIONS = frozenset({"detection", "cell", "tile", "root"})
"""Types of QuPath's objects that its export holds beside annotations."""


def write_regions(
    polygons: Iterable[shapely.Geometry],
    path: Path,
    *,
    name: str,
    color: tuple[int, int, int],
    offset_l0: tuple[int, int],
) -> None:
    """Write polygons as QuPath annotations of one class.

    Parameters
    ----------
    polygons : iterable of Polygon or MultiPolygon
        Level-0 px; each part becomes an annotation, holes stay.
    path : Path
        ``.geojson`` or ``.geojson.gz``.
    name, color : str, (r, g, b)
        Class of the annotations.
    offset_l0 : (int, int)
        Origin (x, y) of the frame to write in, level-0 px.
    """
    moved = shapely.transform(list(polygons), lambda xy: xy - offset_l0)
    # Snapping to 0.1 keeps polygons valid, rounding alone would not; rounding then turns 12.300000000000001 into 12.3.
    parts = shapely.get_parts(shapely.set_precision(moved, 0.1, mode="valid_output"))
    parts = shapely.transform(parts[shapely.area(parts) > 0], lambda xy: np.round(xy, 1) + 0.0)
    properties = {"objectType": "annotation", "classification": {"name": name, "color": color}}
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(part), "properties": properties} for part in parts
    ]
    text = orjson.dumps({"type": "FeatureCollection", "features": features})
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class Regions:
    """Where cells are sought, as drawn.

    Attributes
    ----------
    areas : list of Polygon or MultiPolygon
        In the frame of the file, without what is of an ignored class.
    note : str
        What of the file was left out, on one line; empty if nothing was.
    """

    areas: list[Area]
    note: str = ""


def read_regions(path: Path) -> Regions:
    """Regions of a GeoJSON file, see `wsipsm.slide.geojson.read_drawn`.

    Annotations and GeoJSON of other programs are regions. What QuPath exports beside them (detections, cells, tiles)
    is not, nor are points and lines. Areas of a class that ends in ``*``, which QuPath ignores, are cut out of the
    others; its own ``Region*`` is an ordinary class. Rings that cross themselves are repaired.

    Raises
    ------
    RegionError
        The file cannot be read, is no GeoJSON, or holds no region.
    """
    areas, ignored, passed = list[Area](), list[Area](), list[str]()
    for one in read_drawn(path):
        found = [] if one.kind in _NO_REGIONS else areas_of(one.geometry)
        (ignored if one.ignored and one.class_name != "Region*" else areas).extend(found)
        if not found:
            passed.append(one.kind if one.kind in _NO_REGIONS and one.geometry is not None else one.shape_name)
    cut = _without(areas, ignored)
    if not cut:
        got = counted([*passed, *["area of an ignored class (*)"] * len(ignored)]) or "no object"
        raise RegionError(
            f"{path}: holds no area to search ({got}); expected at least one polygon, drawn as annotation"
        )
    notes = [f"{counted(passed)} passed over"] if passed else []
    notes += [f"{len(ignored)} of an ignored class (*) cut out"] if ignored else []
    return Regions(cut, f"{path.name}: {' and '.join(notes)}" if notes else "")


def _without(areas: list[Area], ignored: list[Area]) -> list[Area]:
    if not ignored:
        return areas
    hole = shapely.union_all(ignored)
    return [part for area in areas for part in areas_of(shapely.difference(area, hole))]
