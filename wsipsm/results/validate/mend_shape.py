"""Mends geometries: open rings, points that are no points, outlines that are not valid."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import shapely
import shapely.geometry

from wsipsm.results.validate.shapes import StructureError, polygons_of, snapped

Area = shapely.Polygon | shapely.MultiPolygon

_CELLS = frozenset({"detection", "cell", "tile"})
"""Object types whose outline is one ring without holes."""
DECIMALS = 2
"""Decimals of a mended outline, px."""


def mend_geometry(raw: dict[str, Any], mended: Counter[str]) -> bool:
    """Mend the geometries of a feature in place, and count what was done.

    Returns
    -------
    bool
        False: its geometry cannot be mended.
    """
    simple = raw["properties"]["objectType"] in _CELLS
    if "nucleusGeometry" in raw:
        nucleus = _mended(raw["nucleusGeometry"], simple, mended)
        raw.pop("nucleusGeometry") if nucleus is None else raw.update(nucleusGeometry=nucleus)
    geometry = raw.get("geometry")
    if raw["properties"]["objectType"] == "root" and not geometry:
        return True
    found = _mended(geometry, simple, mended)
    raw["geometry"] = found
    return found is not None


def _mended(geometry: Any, simple: bool, mended: Counter[str]) -> dict[str, Any] | None:
    if not isinstance(geometry, dict):
        return None
    kind = geometry.get("type")
    if kind in ("Polygon", "MultiPolygon") and _is_good(geometry, simple):
        return geometry
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return geometry if _holds(geometry) else None
    before = mended.copy()
    polygon = _polygon(geometry, simple, mended)
    if polygon is None:
        mended.clear()
        mended.update(before)
        return None
    return dict(shapely.geometry.mapping(polygon))


def _holds(geometry: Any) -> bool:
    try:
        list(polygons_of(geometry))
    except StructureError:
        return False
    return True


def _is_good(geometry: dict[str, Any], simple: bool) -> bool:
    try:
        polygons = list(polygons_of(geometry))
    except StructureError:
        return False
    parts = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    if simple and (len(parts) > 1 or len(polygons[0]) > 1):
        return False
    return _is_valid(shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0])


def _is_valid(shape: Area) -> bool:
    on_grid: Any = snapped(shape) if shape.is_valid else None
    return on_grid is not None and on_grid.area > 0


def _polygon(geometry: dict[str, Any], simple: bool, mended: Counter[str]) -> Any:
    """Valid shape of a geometry; None if nothing with an area is left of it."""
    parts: list[Any] = [part for rings in _rings(geometry) if (part := _part(rings, mended)) is not None]
    shapes: list[Any] = [part for part in _parts(shapely.union_all(parts)) if part.area > 0]
    if not shapes:
        return None
    if simple:
        largest = max(shapes, key=lambda shape: float(shape.area))
        if len(shapes) > 1:
            mended["largest part kept"] += 1
        if largest.interiors:
            mended["holes filled"] += 1
        return _rounded(shapely.Polygon(largest.exterior))
    return _rounded(shapes[0] if len(shapes) == 1 else shapely.MultiPolygon(shapes))


def _part(rings: list[Any], mended: Counter[str]) -> Any:
    closed = [ring for ring in (_closed(ring, mended) for ring in rings) if ring is not None]
    if not closed:
        return None
    polygon: Area = shapely.Polygon(closed[0], closed[1:])
    if polygon.is_valid:
        return polygon
    mended["outlines made valid"] += 1
    repaired = shapely.get_parts(shapely.make_valid(polygon))
    return shapely.union_all([one for one in repaired if "Polygon" in one.geom_type])


def _parts(shape: Any) -> list[Any]:
    return list(shapely.get_parts(shape))


def _rings(geometry: dict[str, Any]) -> list[list[Any]]:
    """Rings of each polygon, whatever they hold."""
    if geometry.get("type") == "GeometryCollection":
        inner = geometry.get("geometries")
        return [rings for one in inner if isinstance(one, dict) for rings in _rings(one)] if inner else []
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return []
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    return [rings for rings in polygons if isinstance(rings, list)]


def _closed(ring: Any, mended: Counter[str]) -> np.ndarray | None:
    points = [point[:2] for point in ring if _is_point(point)] if isinstance(ring, list) else []
    if isinstance(ring, list) and len(points) < len(ring):
        mended["points left out"] += 1
    if len(points) < 3:
        return None
    if points[0] != points[-1]:
        mended["rings closed"] += 1
        near = len(points) > 3 and math.dist(points[0], points[-1]) < 10.0**-DECIMALS
        points = [*points[:-1], points[0]] if near else [*points, points[0]]
    return np.array(points, np.float64) if len(points) >= 4 else None


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) >= 2
        and all(type(value) in (int, float) and math.isfinite(value) for value in point[:2])
    )


def _rounded(shape: Any) -> Any:
    """Shape with few decimals that is valid as it is written; the largest part of one that falls apart."""
    on_grid: Any = snapped(shape)
    if on_grid is None or on_grid.area == 0:
        return None
    if isinstance(shape, shapely.Polygon):
        largest: Any = max(shapely.get_parts(on_grid), key=lambda part: float(part.area))
        on_grid = shapely.Polygon(largest.exterior) if not shape.interiors else largest
    written = shapely.transform(on_grid, lambda xy: np.round(xy, DECIMALS) + 0.0)
    return written if _is_valid(written) else None
