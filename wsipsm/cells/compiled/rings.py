"""Closed rings of vertices, many in one ragged array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]


@compiled
def are_clear(vertices: _Floats, offsets: _Longs, gap: float) -> npt.NDArray[np.bool_]:
    """Which rings surely neither touch nor come near themselves.

    Parameters
    ----------
    vertices : (V, 2) float64
        (x, y); the first vertex of a ring is repeated as its last.
    offsets : (N + 1,) int64
        Where the rings begin.
    gap : float
        Distance that edges without a common vertex keep from each other; of edges with one, the far ends keep it.

    Returns
    -------
    (N,) bool
        True only where it is so; a ring of fewer than 4 vertices is none.
    """
    clear = np.zeros(len(offsets) - 1, np.bool_)
    for number in range(len(clear)):
        clear[number] = _is_clear(vertices[offsets[number] : offsets[number + 1]], gap)
    return clear


@compiled
def _is_clear(ring: _Floats, gap: float) -> bool:
    edges = len(ring) - 1
    if edges < 3:
        return False
    for one in range(edges):
        ax, ay, bx, by = ring[one, 0], ring[one, 1], ring[one + 1, 0], ring[one + 1, 1]
        left, right, low, high = min(ax, bx) - gap, max(ax, bx) + gap, min(ay, by) - gap, max(ay, by) + gap
        after = ring[(one + 2) % edges]
        if _distance(ax, ay, bx, by, after) <= gap or _distance(bx, by, after[0], after[1], ring[one]) <= gap:
            return False
        last = edges - 1 if one == 0 else edges  # the last edge ends where the first begins
        for other in range(one + 2, last):
            cx, cy, dx, dy = ring[other, 0], ring[other, 1], ring[other + 1, 0], ring[other + 1, 1]
            apart = max(cx, dx) < left or min(cx, dx) > right or max(cy, dy) < low or min(cy, dy) > high
            if not apart and not _are_apart(ring, one, other, gap):
                return False
    return True


@compiled
def _are_apart(ring: _Floats, one: int, other: int, gap: float) -> bool:
    """Whether two edges without a common vertex keep their distance."""
    a, b, c, d = ring[one], ring[one + 1], ring[other], ring[other + 1]
    if min(_distance(a[0], a[1], b[0], b[1], c), _distance(a[0], a[1], b[0], b[1], d)) <= gap:
        return False
    if min(_distance(c[0], c[1], d[0], d[1], a), _distance(c[0], c[1], d[0], d[1], b)) <= gap:
        return False
    # No end is near the other edge, so they are near only where they cross.
    return _side(a, b, c) == _side(a, b, d) or _side(c, d, a) == _side(c, d, b)


@compiled
def _side(a: _Floats, b: _Floats, point: _Floats) -> bool:
    """Whether a point lies on the right of the line from a to b."""
    return bool((b[0] - a[0]) * (point[1] - a[1]) > (b[1] - a[1]) * (point[0] - a[0]))


@compiled
def _distance(ax: float, ay: float, bx: float, by: float, point: _Floats) -> float:
    """Distance of a point from the edge between two vertices."""
    run, rise, x, y = bx - ax, by - ay, point[0] - ax, point[1] - ay
    square = run * run + rise * rise
    along = 0.0 if square == 0 else min(max((x * run + y * rise) / square, 0.0), 1.0)
    x, y = x - along * run, y - along * rise
    return float(np.sqrt(x * x + y * y))


@compiled
def areas_and_lengths(vertices: _Floats, offsets: _Longs) -> _Floats:
    """Area within each ring, and its length, to the bit as GEOS finds them.

    Parameters
    ----------
    vertices, offsets
        As of `are_clear`.

    Returns
    -------
    (2, N) float64
    """
    found = np.zeros((2, len(offsets) - 1))
    for number in range(len(offsets) - 1):
        ring, area, length = vertices[offsets[number] : offsets[number + 1]], 0.0, 0.0
        for at in range(1, len(ring)):
            run, rise = ring[at, 0] - ring[at - 1, 0], ring[at, 1] - ring[at - 1, 1]
            length += np.sqrt(run * run + rise * rise)
            if at + 1 < len(ring):
                area += (ring[at, 0] - ring[0, 0]) * (ring[at - 1, 1] - ring[at + 1, 1])
        found[0, number], found[1, number] = abs(area / 2), length
    return found


@compiled
def moments(vertices: _Floats, offsets: _Longs) -> _Floats:
    """Area within each ring, negative where it runs counter-clockwise on the screen, and centre of gravity.

    Parameters
    ----------
    vertices, offsets
        As of `are_clear`.

    Returns
    -------
    (N, 3) float64
        Area, x, y; 0, 0 of a ring without an area.
    """
    found = np.zeros((len(offsets) - 1, 3))
    for number in range(len(offsets) - 1):
        area, x, y = 0.0, 0.0, 0.0
        for at in range(offsets[number], offsets[number + 1] - 1):
            one, other = vertices[at], vertices[at + 1]
            cross = one[0] * other[1] - other[0] * one[1]
            area += cross
            x += cross * (one[0] + other[0])
            y += cross * (one[1] + other[1])
        area = area / 2
        found[number, 0] = area
        if area != 0:
            found[number, 1], found[number, 2] = x / (6 * area), y / (6 * area)
    return found
