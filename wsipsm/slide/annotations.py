"""Annotations: regions as GeoJSON, written for QuPath and read from it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
import shapely.geometry

from wsipsm.core.errors import RegionError
from wsipsm.slide.geojson import Area, areas_of, counted, read_drawn

_NO_REGIONS = frozenset({"detection", "cell", "tile", "root"})
"""Types of QuPath's objects that its export holds beside annotations."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """An annotation of QuPath.

    Attributes
    ----------
    shape : Polygon or MultiPolygon
        Level-0 px; holes stay.
    class_name, color : str, (r, g, b)
        Its class.
    name : str
        Empty for none.
    measurements : dict of str to float
        All finite: QuPath rejects a whole file for a single null.
    """

    shape: shapely.Geometry
    class_name: str
    color: tuple[int, int, int]
    name: str = ""
    measurements: Mapping[str, float] = field(default_factory=dict)

    def properties(self) -> dict[str, Any]:
        """Properties of its GeoJSON feature."""
        known = {"objectType": "annotation", "classification": {"name": self.class_name, "color": self.color}}
        named = {"name": self.name} if self.name else {}
        return known | named | ({"measurements": dict(self.measurements)} if self.measurements else {})


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
    parts = shapely.get_parts(shapely.set_precision(list(polygons), 0.1, mode="valid_output"))
    write_annotations([Annotation(part, name, color) for part in parts], path, offset_l0=offset_l0)


def write_annotations(annotations: Iterable[Annotation], path: Path, *, offset_l0: tuple[int, int]) -> None:
    """Write QuPath annotations.

    Parameters
    ----------
    annotations : iterable of Annotation
        One that has no area left at a tenth of a pixel is left out.
    path : Path
        ``.geojson`` or ``.geojson.gz``.
    offset_l0 : (int, int)
        Origin (x, y) of the frame to write in, level-0 px.
    """
    written = [(_written(one.shape, offset_l0), one) for one in annotations]
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": one.properties()}
        for shape, one in written
        if shape.area > 0
    ]
    text = orjson.dumps({"type": "FeatureCollection", "features": features})
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    temporary.replace(path)


def _written(shape: shapely.Geometry, offset_l0: tuple[int, int]) -> Any:
    """Geometry in the frame to write in, with one decimal."""
    moved = shapely.transform(shape, lambda xy: xy - offset_l0)
    # Snapping to 0.1 keeps polygons valid, rounding alone would not; rounding then turns 12.300000000000001 into 12.3.
    snapped = shapely.set_precision(moved, 0.1, mode="valid_output")
    if isinstance(snapped, shapely.MultiPolygon) and len(snapped.geoms) == 1:
        snapped = snapped.geoms[0]
    return shapely.transform(snapped, lambda xy: np.round(xy, 1) + 0.0)


@dataclass(frozen=True, slots=True)
class Regions:
    """Where cells are sought, as drawn.

    Attributes
    ----------
    named : list of (str, list of Polygon or MultiPolygon)
        Each object that was drawn: its name, or else its class, or else nothing; and its areas in the frame of the
        file, without what is of an ignored class.
    note : str
        What of the file was left out, on one line; empty if nothing was.
    """

    named: list[tuple[str, list[Area]]]
    note: str = ""

    @property
    def areas(self) -> list[Area]:
        """All areas."""
        return [area for _, areas in self.named for area in areas]


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
    drawn, ignored, passed = list[tuple[str, list[Area]]](), list[Area](), list[str]()
    for one in read_drawn(path):
        found = [] if one.kind in _NO_REGIONS else areas_of(one.geometry)
        if not found:
            passed.append(one.kind if one.kind in _NO_REGIONS and one.geometry is not None else one.shape_name)
        elif one.ignored and one.class_name != "Region*":
            ignored.extend(found)
        else:
            drawn.append((one.name, found))
    named = [(name, cut) for name, areas in drawn if (cut := _without(areas, ignored))]
    if not named:
        got = counted([*passed, *["area of an ignored class (*)"] * len(ignored)]) or "no object"
        raise RegionError(
            f"{path}: holds no area to search ({got}); expected at least one polygon, drawn as annotation"
        )
    notes = [f"{counted(passed)} passed over"] if passed else []
    notes += [f"{len(ignored)} of an ignored class (*) cut out"] if ignored else []
    return Regions(named, f"{path.name}: {' and '.join(notes)}" if notes else "")


def _without(areas: list[Area], ignored: list[Area]) -> list[Area]:
    if not ignored:
        return areas
    hole = shapely.union_all(ignored)
    return [part for area in areas for part in areas_of(shapely.difference(area, hole))]
