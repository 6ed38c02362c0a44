"""Convex polygons, many in one ragged array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]

_SLACK = 1e-12
"""Share of its squared radius by which a point may lie outside of a circle that goes through it."""
_DOUBT = 4e-16
"""Share of the products in a turn by which rounding may change their difference (Shewchuk 1997: 3.33e-16)."""


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
def convex_hulls(vertices: _Floats, offsets: _Longs) -> tuple[_Floats, _Longs]:
    """Convex hulls of polygons, corner by corner those of GEOS.

    Parameters
    ----------
    vertices, offsets
        As of `least_widths`; the polygons need not be convex.

    Returns
    -------
    corners : (V, 2) float64
        (x, y), from the topmost corner on, of several the leftmost, counter-clockwise on the screen; none lies on a
        line between others. The first corner of a hull is repeated as its last.
    offsets : (N + 1,) int64
        Where the hulls begin.
    """
    corners, begins = np.empty_like(vertices), np.zeros(len(offsets), np.int64)
    for number in range(len(offsets) - 1):
        begin, end = offsets[number], offsets[number + 1]
        points = _sorted(vertices[begin : end - 1])
        hull = corners[begins[number] :]
        count = 0
        for way in range(2):  # down on the left, up on the right
            least = max(count, 1)
            for at in range(way, len(points)):
                point = points[at] if way == 0 else points[len(points) - 1 - at]
                while count > least and _turn(hull[count - 2], hull[count - 1], point) >= 0:
                    count -= 1
                hull[count] = point
                count += 1
        begins[number + 1] = begins[number] + count
    return corners[: begins[-1]].copy(), begins


@compiled
def _sorted(points: _Floats) -> _Floats:
    """Points by y, then by x, each once."""
    found, count = np.empty_like(points), 0
    for point in points:
        place = count
        while place > 0 and (
            found[place - 1, 1] > point[1] or (found[place - 1, 1] == point[1] and found[place - 1, 0] > point[0])
        ):
            place -= 1
        if place > 0 and found[place - 1, 0] == point[0] and found[place - 1, 1] == point[1]:
            continue
        for after in range(count, place, -1):
            found[after, 0], found[after, 1] = found[after - 1, 0], found[after - 1, 1]
        found[place, 0], found[place, 1] = point[0], point[1]
        count += 1
    return found[:count]


@compiled
def _turn(a: _Floats, b: _Floats, c: _Floats) -> float:
    """Sign of the turn at b on the way from a to c; what rounding hides is found with twice the digits."""
    one, other = (b[0] - a[0]) * (c[1] - a[1]), (b[1] - a[1]) * (c[0] - a[0])
    if abs(one - other) > _DOUBT * (abs(one) + abs(other)):
        return float(one - other)
    left = _product(_difference(b[0], a[0]), _difference(c[1], a[1]))
    right = _product(_difference(b[1], a[1]), _difference(c[0], a[0]))
    return float((left[0] - right[0]) + (left[1] - right[1]))


@compiled
def _difference(a: float, b: float) -> tuple[float, float]:
    """Difference of two numbers as a rounded one and the rest."""
    rounded = a - b
    back = rounded - a
    return rounded, (a - (rounded - back)) - (b + back)


@compiled
def _product(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Product of two numbers with their rests, likewise (Dekker 1971)."""
    rounded = a[0] * b[0]
    a_high, b_high = _high(a[0]), _high(b[0])
    a_low, b_low = a[0] - a_high, b[0] - b_high
    rest = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low
    return rounded, rest + (a[0] * b[1] + a[1] * b[0])


@compiled
def _high(a: float) -> float:
    """Upper half of the digits of a number."""
    shifted = a * 134217729.0
    return float(shifted - (shifted - a))


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
