"""Shape of outlines: what QuPath and every other reader of an outline finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells.outlines import Rings

_Floats = npt.NDArray[np.float64]
_AT_A_TIME = 2_000_000
"""Distances between vertices that are held at a time."""


def shape_columns(rings: Rings, *, um_per_px: float) -> dict[str, _Floats]:
    """Measures of N outlines by column, (N,) each.

    Parameters
    ----------
    rings : Rings
        Valid exterior rings.
    um_per_px : float
        Micrometres per pixel of the rings.

    Returns
    -------
    dict of (N,) float64
        As QuPath defines them: the largest diameter is that of the smallest circle around an outline, the smallest one
        its least width.
    """
    polygons = rings.polygons()
    area, perimeter = shapely.area(polygons), shapely.length(polygons)
    hulls = shapely.convex_hull(polygons)
    return {
        "area_um2": area * um_per_px**2,
        "perimeter_um": perimeter * um_per_px,
        "circularity": 4 * np.pi * area / perimeter**2,
        "max_diameter_um": 2 * shapely.minimum_bounding_radius(hulls) * um_per_px,
        "min_diameter_um": widths(hulls) * um_per_px,
        "solidity": area / shapely.area(hulls),
    }


def widths(hulls: npt.NDArray[np.object_]) -> _Floats:
    """Smallest distance of two parallel lines that hold each convex polygon between them; (N,).

    Examples
    --------
    >>> widths(np.array([shapely.box(0, 0, 4, 3)])).tolist()
    [3.0]
    """
    counts = shapely.get_num_coordinates(hulls).astype(np.int64)
    corners, offsets = shapely.get_coordinates(hulls), np.concatenate([[0], np.cumsum(counts)])
    narrowest = np.zeros(len(hulls))
    order = np.argsort(counts, kind="stable")
    for start, stop in pairwise(_cuts(counts[order])):
        some = order[start:stop]
        # Each is filled up with its first corner, which is its last one too.
        index = offsets[some, None] + np.minimum(np.arange(counts[some[-1]]), counts[some, None] - 1)
        narrowest[some] = _widths(corners[index])
    return narrowest


def _cuts(counts: npt.NDArray[np.int64]) -> list[int]:
    """Where to cut N rising numbers of corners so that all distances within a part fit into memory."""
    cuts, start = [0], 0
    for place, count in enumerate(counts.tolist()):
        if (place + 1 - start) * count * count > _AT_A_TIME and place > start:
            cuts.append(start := place)
    return [*cuts, len(counts)] if len(counts) else [0]


def _widths(corners: _Floats) -> _Floats:
    """Widths of convex polygons by their corners (N, C, 2), of which some may come twice in turn."""
    apart = corners[:, :, None] - corners[:, None]
    side = np.roll(corners, -1, axis=1) - corners
    length = np.hypot(side[..., 0], side[..., 1])
    # The narrowest pair of lines runs along a side.
    height = np.abs(side[:, :, None, 0] * apart[..., 1] - side[:, :, None, 1] * apart[..., 0]).max(axis=2)
    width: _Floats = np.divide(height, length, out=np.full_like(length, np.inf), where=length > 0).min(axis=1)
    return width
