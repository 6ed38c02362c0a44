"""Rules of geometries: first their structure, one by one, then their shapes, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.geometry import Mask
from wsipsm.results.validate.report import Rule, Severity

GRID = 0.01
"""QuPath snaps outlines to this, px."""

ABORT, WRONG, MINOR = Severity
Ring = npt.NDArray[np.float64]

_DEPTH_OF_LINES = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2}
_MAKE_VALID = "write a valid outline, rounded first and checked after; --fix keeps the largest valid part"

_NUMBERS = "write numbers; --fix leaves the point out"

STRUCTURE = {
    rule.key: rule
    for rule in (
        Rule("geometry_missing", ABORT, "a feature without a geometry", "leave it out; --fix drops it"),
        Rule("geometry_collection", ABORT, "a GeometryCollection stops the import", "write a polygon; --fix does"),
        Rule("geometry_kind", ABORT, "a geometry of an unknown type", "write a Polygon; --fix drops it"),
        Rule("geometry_empty", WRONG, "an empty object at (0, 0)", "leave it out; --fix drops it"),
        Rule("coordinate_no_number", ABORT, "a coordinate that is null or no number stops the import", _NUMBERS),
        Rule("coordinate_not_finite", ABORT, "a coordinate that is NaN or infinite stops the import", _NUMBERS),
        Rule("ring_short", ABORT, "a ring of fewer than four points stops the import", "write four; --fix drops it"),
        Rule(
            "ring_open",
            ABORT,
            "a ring must end where it begins, to the last digit",
            "close it; --fix does",
        ),
    )
}

COLLAPSES = Rule(
    "polygon_collapses",
    WRONG,
    "a sliver or an outline without area becomes an empty object at (0, 0)",
    "leave it out; --fix drops it",
)
INVALID = Rule(
    "polygon_invalid",
    ABORT,
    "an outline that crosses or touches itself, overlapping parts, or a hole outside stop the import",
    _MAKE_VALID,
    "0.6",
)
MANY_PARTS = Rule(
    "polygon_of_parts",
    MINOR,
    "an outline with holes or several parts makes a slow object",
    "fill holes and keep the largest part; --fix does so for detections and cells",
)


class StructureError(ValueError):
    """A geometry that breaks a rule of `STRUCTURE`, its first argument; the second is what was found."""


@dataclass(slots=True)
class Shapes:
    """Polygons of many features, as rings.

    Attributes
    ----------
    rings : list of (V, 2) float64
        Closed rings.
    polygon_of : list of int
        Number of the polygon of each ring.
    owner_of : list of int
        Number of the geometry of each polygon.
    """

    rings: list[Ring] = field(default_factory=list)
    polygon_of: list[int] = field(default_factory=list)
    owner_of: list[int] = field(default_factory=list)

    def add(self, owner: int, geometry: Any) -> None:
        """Take a geometry; one without an area adds nothing.

        Raises
        ------
        StructureError
            It breaks a rule; then nothing is added.
        """
        for rings in list(polygons_of(geometry)):
            self.polygon_of += [len(self.owner_of)] * len(rings)
            self.owner_of.append(owner)
            self.rings += rings

    def problems(self) -> Iterator[tuple[int, Rule]]:
        """Owners of geometries that break a rule."""
        if not self.owner_of:
            return
        owners, shapes = self._geometries()
        waiting = np.ones(len(shapes), bool)
        for rule, breaks in SHAPE_RULES:
            broken = np.zeros(len(shapes), bool)
            broken[waiting] = breaks(shapes[waiting])
            if rule.severity is not MINOR:
                waiting &= ~broken
            yield from ((owner, rule) for owner in owners[broken].tolist())

    def _geometries(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.object_]]:
        """One shapely geometry for each owner."""
        sizes = np.array([len(ring) for ring in self.rings])
        points, number = np.concatenate(self.rings), np.repeat(np.arange(len(sizes)), sizes)
        rings = np.asarray(shapely.linearrings(points, indices=number), object)
        polygons = np.asarray(shapely.polygons(rings, indices=np.asarray(self.polygon_of)), object)
        owners, first, count = np.unique(np.asarray(self.owner_of), return_index=True, return_counts=True)
        shapes = polygons[first]
        for i in np.flatnonzero(count > 1).tolist():
            shapes[i] = shapely.multipolygons(polygons[first[i] : first[i] + count[i]])
        return owners, shapes


def polygons_of(geometry: Any) -> Iterator[list[Ring]]:
    """Polygons of a geometry as lists of closed rings; points and lines are looked at and give none.

    Raises
    ------
    StructureError
        It breaks a rule of `STRUCTURE`.
    """
    kind, coordinates = _checked(geometry)
    if kind in _DEPTH_OF_LINES:
        for points in _lines(coordinates, _DEPTH_OF_LINES[kind]):
            _points(points)
        return
    for rings in [coordinates] if kind == "Polygon" else coordinates:
        if not rings:
            raise StructureError("geometry_empty", kind)
        yield [closed_ring(ring) for ring in rings]


def _checked(geometry: Any) -> tuple[str, Any]:
    """Type and coordinates of a geometry of a known type; errors as `polygons_of`."""
    if not isinstance(geometry, dict) or not geometry:
        raise StructureError("geometry_missing", type(geometry).__name__)
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        raise StructureError("geometry_collection", "")
    if kind not in ("Polygon", "MultiPolygon") and kind not in _DEPTH_OF_LINES:
        raise StructureError("geometry_kind", repr(kind))
    if not isinstance(coordinates, list):
        raise StructureError("geometry_missing", f"{kind} without coordinates")
    if not coordinates:
        raise StructureError("geometry_empty", kind)
    return kind, coordinates


def _lines(coordinates: Any, depth: int) -> list[Any]:
    return [[coordinates]] if depth == 0 else [coordinates] if depth == 1 else coordinates


def closed_ring(points: Any) -> Ring:
    """Ring as an array, (V, 2) float64; errors as `polygons_of`."""
    ring = _points(points)
    if len(ring) < 4:
        raise StructureError("ring_short", f"{len(ring)} points")
    if ring[0, 0] != ring[-1, 0] or ring[0, 1] != ring[-1, 1]:
        raise StructureError("ring_open", f"{ring[0].tolist()} and {ring[-1].tolist()}")
    return ring


def _points(points: Any) -> Ring:
    try:
        xy = np.array(points)
    except ValueError:
        raise StructureError("coordinate_no_number", "points of several lengths") from None
    if xy.ndim != 2 or xy.shape[1] < 2 or xy.dtype.kind not in "iuf":
        raise StructureError("coordinate_no_number", str(points)[:60])
    ring = xy[:, :2].astype(np.float64)
    if not np.isfinite(ring).all():
        raise StructureError("coordinate_not_finite", "")
    return ring


def _collapses(shapes: npt.NDArray[np.object_]) -> Mask:
    """Whether nothing is left on QuPath's grid; a bow-tie, whose signed area is 0 too, is no case of it."""
    empty: Mask = np.zeros(len(shapes), bool)
    valid = np.asarray(shapely.is_valid(shapes))
    empty[~valid] = shapely.area(shapely.make_valid(shapes[~valid])) == 0
    near = np.flatnonzero(valid)[_is_thin(shapes[valid])]
    on_grid = _snapped(shapes[near])
    empty[near] = [one is not None and bool(one.is_empty or one.area == 0) for one in on_grid]
    return empty


def _invalid(shapes: npt.NDArray[np.object_]) -> Mask:
    return ~np.asarray(shapely.is_valid(shapes))


def _is_thin(shapes: npt.NDArray[np.object_]) -> Mask:
    """Which valid shapes snapping could leave empty; asking takes a thirtieth of the time of snapping.

    What lies deeper inside than outlines are moved stays inside, and a shape larger than the strip so deep along its
    outline has such points. (Snapping itself fails on invalid shapes alone.)
    """
    deep = 2 * GRID
    return np.asarray(shapely.area(shapes) <= deep * shapely.length(shapes) + np.pi * deep**2)


def _of_parts(shapes: npt.NDArray[np.object_]) -> Mask:
    parts = shapely.get_num_geometries(shapes) > 1
    return np.asarray(parts | (shapely.get_num_interior_rings(shapes) > 0))


def _snapped(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Shapes on QuPath's grid; None where that cannot be done."""
    try:
        return np.asarray(shapely.set_precision(shapes, GRID, mode="valid_output"), object)
    except shapely.errors.ShapelyError:
        return np.array([snapped(one) for one in shapes], object)


def snapped(shape: shapely.Geometry) -> shapely.Geometry | None:
    """Shape on QuPath's grid; None where it cannot be snapped."""
    try:
        return shapely.set_precision(shape, GRID, mode="valid_output")
    except shapely.errors.ShapelyError:
        return None


SHAPE_RULES: tuple[tuple[Rule, Callable[[npt.NDArray[np.object_]], Mask]], ...] = (
    (COLLAPSES, _collapses),
    (INVALID, _invalid),
    (MANY_PARTS, _of_parts),
)
"""In this order; a geometry that breaks one is not asked the next."""
