"""Convex polygons, many in one ragged array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]

_SLACK = 1e-12
"""Share of its squared radius by which a point may lie outside of a circle that goes through it."""


@compiled
def least_widths(corners: _Floats, offsets: _Longs) -> _Floats:
    """Smallest distance of two parallel lines that hold each polygon between them.

    Parameters
    ----------
    corners : (V, 2) float64
        (x, y); the first corner of a polygon is repeated as its last.
    offsets : (N + 1,) int64
        Where the polygons begin.

    Returns
    -------
    (N,) float64
        The narrowest pair of lines runs along a side.
    """
    found = np.full(len(offsets) - 1, np.inf)
    for number in range(len(found)):
        ring = corners[offsets[number] : offsets[number + 1]]
        for side in range(len(ring) - 1):
            run, rise = ring[side + 1, 0] - ring[side, 0], ring[side + 1, 1] - ring[side, 1]
            length, height = np.hypot(run, rise), 0.0
            for point in ring:
                height = max(height, abs(run * (point[1] - ring[side, 1]) - rise * (point[0] - ring[side, 0])))
            if length > 0:
                found[number] = min(found[number], height / length)
    return found


@compiled
def circles_around(corners: _Floats, offsets: _Longs) -> _Floats:
    """Radius of the smallest circle around each polygon.

    Point by point: the circle grows to one that goes through each point that lies outside (Welzl 1991, without the
    shuffle: polygons are small, and the bits must not depend on chance).

    Parameters
    ----------
    corners, offsets
        As of `least_widths`.

    Returns
    -------
    (N,) float64
    """
    found = np.zeros(len(offsets) - 1)
    for number in range(len(found)):
        ring = corners[offsets[number] : offsets[number + 1]]
        x, y, square = ring[0, 0], ring[0, 1], 0.0
        for i in range(1, len(ring)):
            if _outside(ring[i], x, y, square):
                x, y, square = ring[i, 0], ring[i, 1], 0.0
                for j in range(i):
                    if _outside(ring[j], x, y, square):
                        x, y, square = _through_two(ring[i], ring[j])
                        for k in range(j):
                            if _outside(ring[k], x, y, square):
                                x, y, square = _through_three(ring[i], ring[j], ring[k])
        found[number] = np.sqrt(square)
    return found


@compiled
def _outside(point: _Floats, x: float, y: float, square: float) -> bool:
    apart = (point[0] - x) ** 2 + (point[1] - y) ** 2
    return bool(apart > square * (1 + _SLACK))


@compiled
def _through_two(a: _Floats, b: _Floats) -> tuple[float, float, float]:
    """Centre and squared radius of the circle that has two points at opposite ends."""
    x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    return x, y, max((a[0] - x) ** 2 + (a[1] - y) ** 2, (b[0] - x) ** 2 + (b[1] - y) ** 2)


@compiled
def _through_three(a: _Floats, b: _Floats, c: _Floats) -> tuple[float, float, float]:
    """Centre and squared radius of the circle through three points; of points in a line that around the two ends."""
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    twice = 2 * (bx * cy - by * cx)
    if twice == 0:
        best = _through_two(a, b)
        for other in (_through_two(a, c), _through_two(b, c)):
            best = other if other[2] > best[2] else best
        return best
    b_square, c_square = bx * bx + by * by, cx * cx + cy * cy
    x, y = (cy * b_square - by * c_square) / twice, (bx * c_square - cx * b_square) / twice
    return a[0] + x, a[1] + y, x * x + y * y
