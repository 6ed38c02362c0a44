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
        first, stop = offsets[number], offsets[number + 1]
        for side in range(first, stop - 1):
            x, y = corners[side, 0], corners[side, 1]
            run, rise = corners[side + 1, 0] - x, corners[side + 1, 1] - y
            length, height = np.hypot(run, rise), 0.0
            for point in range(first, stop):
                height = max(height, abs(run * (corners[point, 1] - y) - rise * (corners[point, 0] - x)))
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
        first, stop = offsets[number], offsets[number + 1]
        x, y, square = corners[first, 0], corners[first, 1], 0.0
        for i in range(first + 1, stop):
            if _outside(corners, i, x, y, square):
                x, y, square = corners[i, 0], corners[i, 1], 0.0
                for j in range(first, i):
                    if _outside(corners, j, x, y, square):
                        x, y, square = _through_two(corners[i], corners[j])
                        for k in range(first, j):
                            if _outside(corners, k, x, y, square):
                                x, y, square = _through_three(corners[i], corners[j], corners[k])
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
    corners, points, begins = np.empty_like(vertices), np.empty_like(vertices), np.zeros_like(offsets)
    for number in range(len(offsets) - 1):
        count = _sort(vertices, offsets[number], offsets[number + 1] - 1, points)
        first, size, least = begins[number], 0, 1
        for step in range(2 * count - 1):  # down on the left, up on the right
            x, y = points[min(step, 2 * count - 2 - step), 0], points[min(step, 2 * count - 2 - step), 1]
            least = size if step == count else least
            while size > least and _turn(corners, first + size - 2, x, y) >= 0:
                size -= 1
            corners[first + size, 0], corners[first + size, 1] = x, y
            size += 1
        begins[number + 1] = first + size
    return corners[: begins[len(offsets) - 1]].copy(), begins


@compiled
def _sort(vertices: _Floats, begin: int, end: int, points: _Floats) -> int:
    """Put vertices ``begin`` up to ``end`` into ``points`` by y, then by x, each once; returns how many there are."""
    count = 0
    for vertex in range(begin, end):
        x, y = vertices[vertex, 0], vertices[vertex, 1]
        place = count
        while place > 0 and (points[place - 1, 1] > y or (points[place - 1, 1] == y and points[place - 1, 0] > x)):
            place -= 1
        if place > 0 and points[place - 1, 0] == x and points[place - 1, 1] == y:
            continue
        for after in range(count, place, -1):
            points[after, 0], points[after, 1] = points[after - 1, 0], points[after - 1, 1]
        points[place, 0], points[place, 1] = x, y
        count += 1
    return count


@compiled
def _turn(corners: _Floats, at: int, x: float, y: float) -> float:
    """Sign of the turn at the corner behind one, to a point; what rounding hides is found with twice the digits."""
    ax, ay, bx, by = corners[at, 0], corners[at, 1], corners[at + 1, 0], corners[at + 1, 1]
    one, other = (bx - ax) * (y - ay), (by - ay) * (x - ax)
    if abs(one - other) > _DOUBT * (abs(one) + abs(other)):
        return float(one - other)
    left = _product(_difference(bx, ax), _difference(y, ay))
    right = _product(_difference(by, ay), _difference(x, ax))
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
def _outside(corners: _Floats, at: int, x: float, y: float, square: float) -> bool:
    apart = (corners[at, 0] - x) ** 2 + (corners[at, 1] - y) ** 2
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
