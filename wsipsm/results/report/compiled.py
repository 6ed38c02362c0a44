"""Compiled loops over the outlines of a slide's cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.cells.compiled.rings import areas_and_lengths
from wsipsm.core.compiled import compiled
from wsipsm.results.formats.compiled import extents

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]

_TURNS = 8
"""Directions in which two outlines are compared, over a quarter turn."""


@compiled
def pairs_that_may_share(vertices: _Floats, offsets: _Longs, own: int, share: float) -> _Longs:
    """Pairs of rings of which the smaller one may share more than a part of its area with the other.

    Two rings share at most the rectangle that their bounds share, upright or turned.

    Parameters
    ----------
    vertices : (V, 2) float64
        (x, y); the first vertex of a ring is repeated as its last.
    offsets : (N + 1,) int64
        Where the rings begin.
    own : int
        Pairs are of two of the first so many rings, or of one of them and one of the others.
    share : float
        The part.

    Returns
    -------
    (P, 2) int64
        Numbers of the rings, the lower one first.
    """
    bounds = extents(vertices, offsets, 1.0, 0.0)
    areas = areas_and_lengths(vertices, offsets)[0]
    order = np.argsort(bounds[:, 0])
    pairs, count = np.empty((64, 2), np.int64), 0
    for at in range(len(order)):
        one = order[at]
        for after in range(at + 1, len(order)):
            other = order[after]
            if bounds[other, 0] > bounds[one, 2]:
                break
            if min(one, other) >= own:
                continue
            least = min(areas[one], areas[other]) * share * (1 - 1e-9)
            if _common(bounds[one], bounds[other]) <= least or _most_shared(vertices, offsets, one, other) <= least:
                continue
            if count == len(pairs):
                pairs = np.concatenate((pairs, pairs))
            pairs[count, 0], pairs[count, 1] = min(one, other), max(one, other)
            count += 1
    return pairs[:count]


@compiled
def _most_shared(vertices: _Floats, offsets: _Longs, one: int, other: int) -> float:
    """Area that two rings share at most, by their bounds in some directions."""
    least = np.inf
    for turn in range(_TURNS):
        angle = np.pi / 2 * turn / _TURNS
        cosine, sine = np.cos(angle), np.sin(angle)
        first = extents(vertices, offsets[one : one + 2], cosine, sine)[0]
        second = extents(vertices, offsets[other : other + 2], cosine, sine)[0]
        least = min(least, _common(first, second))
    return least


@compiled
def _common(one: _Floats, other: _Floats) -> float:
    """Area of the rectangle that two bounds share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(max(width, 0.0) * max(height, 0.0))


@compiled
def edges_on_lines(
    vertices: _Floats, offsets: _Longs, lattice: tuple[float, float, float, float], limits: tuple[float, float]
) -> int:
    """Number of edges of rings that lie on a line of a lattice, along it, and are long enough.

    Parameters
    ----------
    vertices : (V, 2) float64
        (x, y); the first vertex of a ring is repeated as its last.
    offsets : (N + 1,) int64
        Where the rings begin.
    lattice : (float, float, float, float)
        First line and distance of lines, in x and in y, and numbers of lines in x and in y.
    limits : (float, float)
        Distance from a line within which a vertex lies on it, and the shortest edge.
    """
    tolerance, longest = limits
    found = 0
    for number in range(len(offsets) - 1):
        for at in range(offsets[number], offsets[number + 1] - 1):
            for axis in range(2):
                a, b = vertices[at, axis], vertices[at + 1, axis]
                far = abs(vertices[at + 1, 1 - axis] - vertices[at, 1 - axis]) >= longest - tolerance
                if abs(b - a) <= 2 * tolerance and far:
                    found += _is_on(a, lattice, axis, tolerance) and _is_on(b, lattice, axis, tolerance)
    return found


@compiled
def _is_on(value: float, lattice: tuple[float, float, float, float], axis: int, tolerance: float) -> bool:
    first, step, count = lattice[0], lattice[1], lattice[2 + axis]
    if count == 0:
        return False
    nearest = min(max(np.rint((value - first) / step), 0.0), count - 1.0)
    return bool(abs(value - (first + step * nearest)) <= tolerance)
