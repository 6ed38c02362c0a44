"""Region: the part of a slide in which cells are wanted, as polygons in level-0 pixels.

What is inside depends on the polygons and the point alone, never on a tile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.errors import RegionError
from wsipsm.core.geometry import Box, Grid, Mask

_BLOCK = 64
"""Side of the blocks that `Region.mask` decides as a whole where no outline crosses them, grid px."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where cells are wanted.

    Attributes
    ----------
    polygons : shapely.MultiPolygon
        Valid, level-0 px; empty on a slide without tissue.

    Examples
    --------
    >>> region = Region(shapely.MultiPolygon([shapely.box(0, 0, 6, 3)]))
    >>> region.area_l0
    18.0
    >>> region.contains_l0(np.array([[1.5, 2.5], [2.5, 3.5]]))
    array([ True, False])
    """

    polygons: shapely.MultiPolygon
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    # A prepared geometry of GEOS builds each of its indices at the first question that needs it, without a lock of its
    # own: two threads of a worker that ask at once crash the process. So one asks at a time.

    def __post_init__(self) -> None:
        shapely.prepare(self.polygons)

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_wkb, (shapely.to_wkb(self.polygons),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Region) and bool(shapely.equals_identical(self.polygons, other.polygons))

    def __hash__(self) -> int:
        return hash(shapely.to_wkb(self.polygons))

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return bool(self.polygons.is_empty)

    @property
    def area_l0(self) -> float:
        """Area in square level-0 pixels."""
        return float(self.polygons.area)

    @property
    def bounds_l0(self) -> Box:
        """Smallest box of whole level-0 pixels around it; an empty one at (0, 0) for an empty region."""
        if self.empty:
            return Box(0, 0, 0, 0)
        x0, y0, x1, y1 = self.polygons.bounds
        return Box(int(np.floor(x0)), int(np.floor(y0)), int(np.ceil(x1)), int(np.ceil(y1)))

    def contains_l0(self, xy: npt.NDArray[Any]) -> Mask:
        """Which points lie inside; a point on the outline does not.

        Parameters
        ----------
        xy : (N, 2) float
            Level-0 px.

        Returns
        -------
        (N,) bool
        """
        points = np.asarray(xy, np.float64).reshape(-1, 2)
        with self._asking:
            inside: Mask = shapely.contains_xy(self.polygons, points[:, 0], points[:, 1])
        return inside

    def touches(self, boxes_l0: npt.NDArray[Any]) -> Mask:
        """Which boxes have a point in common with the region, its outline included.

        Parameters
        ----------
        boxes_l0 : (N, 4) float
            x0, y0, x1, y1 in level-0 px.

        Returns
        -------
        (N,) bool
        """
        shapes = _shapes(boxes_l0)
        with self._asking:
            hit: Mask = shapely.intersects(self.polygons, shapes)
        return hit

    def mask(self, box: Box, grid: Grid) -> Mask:
        """Which pixels of a box have their centre inside.

        Parameters
        ----------
        box : Box
            Grid px; it may leave the plane.
        grid : Grid
            The working plane.

        Returns
        -------
        (y, x) bool
        """
        inside = np.zeros(box.shape, bool)
        blocks = _blocks(box)
        corners = np.array([(b.x0, b.y0, b.x1, b.y1) for b in blocks], np.float64).reshape(-1, 4) * grid.downsample
        shapes = _shapes(corners)
        with self._asking:
            whole = shapely.contains_properly(self.polygons, shapes)
            crossed = shapely.intersects(self.polygons, shapes) & ~whole
        for block, is_whole, is_crossed in zip(blocks, whole, crossed, strict=True):
            if is_whole:
                inside[block.relative_to(box).slices] = True
            elif is_crossed:
                y, x = np.mgrid[block.y0 : block.y1, block.x0 : block.x1]
                centres = np.stack([x.ravel(), y.ravel()], axis=1) + 0.5
                inside[block.relative_to(box).slices] = self.contains_l0(grid.to_l0(centres)).reshape(block.shape)
        return inside


DECIMALS = 1
"""Decimals of a level-0 pixel that GeoJSON keeps."""


def region_from_tissue(polygons: Iterable[shapely.Geometry], slide_box_l0: Box) -> Region:
    """Region of tissue outlines, cut at the edge of the slide; empty where there is no tissue.

    Written to GeoJSON and read back it is the same: its vertices have as many decimals as are written.

    Parameters
    ----------
    polygons : iterable of shapely.Polygon
        Level-0 px; they may overlap.
    slide_box_l0 : Box
        The slide.
    """
    cut = shapely.intersection(_union(polygons).polygons, _rectangle(slide_box_l0))
    return Region(shapely.MultiPolygon(polygon_parts([shapely.set_precision(cut, 10.0**-DECIMALS)])))


def region_from_roi(polygons: Iterable[shapely.Geometry], slide_box_l0: Box) -> Region:
    """Region of drawn outlines, cut at the edge of the slide.

    Parameters
    ----------
    polygons : iterable of shapely.Polygon or shapely.MultiPolygon
        Level-0 px; they may overlap, and a self-crossing one is repaired.
    slide_box_l0 : Box
        The slide.

    Raises
    ------
    RegionError
        Nothing was drawn, without an area, or outside the slide.
    """
    drawn, slide = _union(polygons), slide_box_l0
    if drawn.empty:
        raise RegionError("region of interest: no polygon with an area, expected at least one")
    region = _union([shapely.intersection(drawn.polygons, _rectangle(slide))])
    if region.empty:
        x0, y0, x1, y1 = drawn.polygons.bounds
        raise RegionError(
            f"region of interest: got x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}, which is outside the slide, "
            f"x {slide.x0} to {slide.x1}, y {slide.y0} to {slide.y1} (level-0 px); was it drawn on another slide?"
        )
    return region


def _union(polygons: Iterable[shapely.Geometry]) -> Region:
    return Region(shapely.MultiPolygon(polygon_parts([shapely.union_all(polygon_parts(polygons))])))


def _rectangle(box: Box) -> shapely.Polygon:
    return shapely.box(box.x0, box.y0, box.x1, box.y1)


def polygon_parts(shapes: Any) -> list[shapely.Polygon]:
    """Take the polygons with an area out of any geometries, in order; what is not valid is repaired first."""
    array = np.array(list(shapes), dtype=object)
    if not len(array):
        return []
    invalid = ~shapely.is_valid(array)
    array[invalid] = shapely.make_valid(array[invalid])
    parts = shapely.get_parts(shapely.get_parts(array))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _from_wkb(wkb: bytes) -> Region:
    polygons = shapely.from_wkb(wkb)
    if not isinstance(polygons, shapely.MultiPolygon):
        raise RegionError(f"region: expected a MultiPolygon, got {polygons.geom_type}")
    return Region(polygons)


def _shapes(boxes_l0: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    boxes = np.asarray(boxes_l0, np.float64).reshape(-1, 4)
    shapes: npt.NDArray[np.object_] = shapely.box(boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3])
    return shapes


def _blocks(box: Box) -> list[Box]:
    return [
        Box(x, y, x + _BLOCK, y + _BLOCK).intersect(box)
        for y in range(box.y0, box.y1, _BLOCK)
        for x in range(box.x0, box.x1, _BLOCK)
    ]
