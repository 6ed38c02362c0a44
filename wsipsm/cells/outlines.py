"""Outlines of cells: one exterior ring each, along pixel corners, valid in level-0 pixels.

A ring is a closed run of (x, y) vertices, clockwise on the screen. Many rings are held as one ragged array:
``vertices`` (V, 2) and ``offsets`` (N + 1,), ring ``i`` being ``vertices[offsets[i]:offsets[i + 1]]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.geometry import Labels, Mask

QUPATH_PRECISION = 0.01
"""QuPath snaps polygons to this many pixels on import and refuses what is not valid then."""

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rings:
    """A ragged array of closed rings.

    Attributes
    ----------
    vertices : (V, 2) int64 or float64
        (x, y); the first vertex of a ring is repeated as its last.
    offsets : (N + 1,) int64
        Where the rings begin.
    """

    vertices: _Array
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Vertices of each ring, the repeated one included; (N,)."""
        return np.diff(self.offsets)

    def polygons(self) -> npt.NDArray[np.object_]:
        """Shapely polygons without holes; (N,)."""
        rings = np.arange(len(self) + 1)
        polygons: npt.NDArray[np.object_] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, self.vertices, (self.offsets, rings)
        )
        return polygons

    def shifted(self, dx: int, dy: int) -> Rings:
        """Rings moved by whole pixels."""
        return Rings(self.vertices + np.array([dx, dy]), self.offsets)

    def part(self, where: slice) -> Rings:
        """Rings of a slice without a step; the vertices are a view."""
        start, stop, _ = where.indices(len(self))
        offsets = self.offsets[start : max(start, stop) + 1]
        return Rings(self.vertices[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, index: _Array) -> Rings:
        """Rings of an integer or boolean index, in its order."""
        index = np.arange(len(self))[index]
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.repeat(self.offsets[index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Rings(self.vertices[rows], offsets)


def trace(labels: Labels, first: npt.NDArray[np.int64]) -> Rings:
    """Exterior ring of every cell along pixel corners, its holes left out.

    Parameters
    ----------
    labels : (y, x) int
        Label image; each cell is one 4-connected component.
    first : (N,) int64
        Flat index of the first pixel, in scan order, of each cell to trace.

    Returns
    -------
    Rings
        int64 (x, y) in pixels of ``labels``; a vertex at each turn only. A ring starts at the top left corner of its
        first pixel. It is simple: where a cell touches itself at a corner, the pocket behind counts as a hole.
    """
    from wsipsm.cells.compiled import outlines

    return Rings(*outlines.trace(np.ascontiguousarray(labels, np.int32), np.asarray(first, np.int64)))


def to_legal(
    rings: Rings, spare: Rings, *, downsample: float, size_l0: tuple[int, int] | None = None
) -> tuple[Rings, Mask, Mask]:
    """Rings in level-0 pixels as QuPath accepts them: on the slide, rounded to 1 decimal and valid after that.

    Parameters
    ----------
    rings : Rings
        Smoothed rings in grid pixels.
    spare : Rings
        The same cells along their pixel corners, used where the smoothed ring is not legal.
    downsample : float
        Level-0 pixels per grid pixel.
    size_l0 : (int, int) or None
        Width and height of the slide: the last grid pixels may reach beyond it, and smoothing does so everywhere.

    Returns
    -------
    legal : Rings
        float64 level-0 pixels; rings that cannot be made legal are still in it.
    replaced : (N,) bool
        Where the spare ring was taken.
    illegal : (N,) bool
        Where the spare ring is not legal either.
    """
    legal = _scale(rings, downsample, size_l0)
    replaced = ~are_legal(legal)
    if not replaced.any():
        return legal, replaced, np.zeros(len(rings), bool)
    illegal = replaced.copy()
    unsimplified = _scale(spare.take(replaced), downsample, size_l0)
    illegal[replaced] = ~are_legal(unsimplified)
    return replace(legal, unsimplified, replaced), replaced, illegal


def are_legal(rings: Rings) -> Mask:
    """Which rings QuPath imports as they are: 4 vertices or more, valid, still so once snapped to 0.01 px; (N,).

    Rings that keep clear of themselves by more than snapping can move a vertex are so; GEOS judges the others.
    """
    from wsipsm.cells.compiled.rings import are_clear

    legal: Mask = are_clear(rings.vertices, rings.offsets, 2 * QUPATH_PRECISION)
    doubtful = ~legal & (rings.lengths >= 4)
    if doubtful.any():
        polygons = rings.take(doubtful).polygons()
        legal[doubtful] = shapely.is_valid(polygons) & (shapely.area(polygons) > 0) & _survive_snapping(polygons)
    return legal


def concatenate(parts: list[Rings]) -> Rings:
    """All rings in order."""
    lengths = np.concatenate([np.zeros(1, np.int64), *(rings.lengths for rings in parts)])
    return Rings(np.concatenate([np.empty((0, 2)), *(rings.vertices for rings in parts)]), np.cumsum(lengths))


def replace(rings: Rings, spare: Rings, where: Mask) -> Rings:
    """Rings with the spare ones at the places (N,) where they are wanted.

    Parameters
    ----------
    rings : Rings
        N rings.
    spare : Rings
        N others, in the same order.
    where : (N,) bool
        Whose spare ring is taken.
    """
    if not where.any():
        return rings
    order = np.arange(len(rings))
    order[where] = len(rings) + np.arange(len(spare))
    return concatenate([rings, spare]).take(order)


def _survive_snapping(polygons: npt.NDArray[np.object_]) -> Mask:
    try:
        snapped = shapely.set_precision(polygons, QUPATH_PRECISION, mode="valid_output")
    except shapely.errors.GEOSException:
        # One bad polygon stops the whole array: find it.
        if len(polygons) == 1:
            return np.zeros(1, bool)
        return np.concatenate([_survive_snapping(polygons[i : i + 1]) for i in range(len(polygons))])
    kept: Mask = (shapely.get_type_id(snapped) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(snapped)
    return kept


def _scale(rings: Rings, downsample: float, size_l0: tuple[int, int] | None) -> Rings:
    """Level-0 rings of 1 decimal, none of whose vertices is off the slide."""
    vertices = np.round(rings.vertices * float(downsample), 1) + 0.0
    return _merge(Rings(vertices if size_l0 is None else vertices.clip(0.0, size_l0), rings.offsets))


def _merge(rings: Rings) -> Rings:
    """One vertex for several that fell together."""
    fresh = np.ones(len(rings.vertices), bool)
    fresh[1:] = (rings.vertices[1:] != rings.vertices[:-1]).any(axis=1)
    fresh[rings.offsets[:-1]] = True
    return Rings(rings.vertices[fresh], np.concatenate([[0], np.cumsum(fresh)])[rings.offsets])
