"""Compiled loops over the outlines of a slide's cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.cells.compiled.rings import areas_and_lengths
from wsipsm.core.compiled import compiled
from wsipsm.results.formats.compiled import extents

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]

_STRIPS = 16
"""Strips of the part that the bounds of two outlines share."""


@compiled
def pairs_that_may_share(vertices: _Floats, offsets: _Longs, own: int, share: float) -> _Longs:
    """Pairs of rings of which the smaller one may share more than a part of its area with the other.

    Two rings share at most the rectangle that their bounds share, and in each strip of it no more than their extents.

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
    bounds, areas = extents(vertices, offsets), areas_and_lengths(vertices, offsets)[0]
    order = np.argsort(bounds[:, 0])
    bounds, areas = bounds[order], areas[order]
    pairs, count = np.empty((64, 2), np.int64), 0
    for at in range(len(order)):
        for after in range(at + 1, len(order)):
            if bounds[after, 0] > bounds[at, 2]:
                break
            one, other = min(order[at], order[after]), max(order[at], order[after])
            least = min(areas[at], areas[after]) * share * (1 - 1e-9)
            if one >= own or _common(bounds[at], bounds[after]) <= least:
                continue
            low, high = max(bounds[at, 1], bounds[after, 1]), min(bounds[at, 3], bounds[after, 3])
            if _most_shared(vertices, offsets, one, other, low, high) <= least:
                continue
            if count == len(pairs):
                pairs = np.concatenate((pairs, pairs))
            pairs[count, 0], pairs[count, 1] = one, other
            count += 1
    return pairs[:count]


@compiled
def _most_shared(vertices: _Floats, offsets: _Longs, one: int, other: int, low: float, high: float) -> float:
    """Area that two rings share at most between two y: in each of some strips the width that their extents share."""
    step, shared = (high - low) / _STRIPS, 0.0
    first = _extents_in_strips(vertices, offsets[one : one + 2], low, step)
    second = _extents_in_strips(vertices, offsets[other : other + 2], low, step)
    for strip in range(_STRIPS):
        width = min(first[strip, 1], second[strip, 1]) - max(first[strip, 0], second[strip, 0])
        shared += max(width, 0.0) * step
    return shared


@compiled
def _extents_in_strips(vertices: _Floats, span: _Longs, low: float, step: float) -> _Floats:
    """Smallest and largest x of a ring in each of some strips that begin at a y; (S, 2)."""
    found = np.empty((_STRIPS, 2))
    found[:, 0], found[:, 1] = np.inf, -np.inf
    for at in range(span[0], span[1] - 1):
        ax, ay, bx, by = vertices[at, 0], vertices[at, 1], vertices[at + 1, 0], vertices[at + 1, 1]
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        slope = (bx - ax) / (by - ay) if by > ay else 0.0
        for strip in range(max(0, int((ay - low) / step)), min(_STRIPS - 1, int((by - low) / step)) + 1):
            top = low + strip * step
            x0 = ax + slope * (top - ay) if top > ay else ax
            x1 = bx - slope * (by - top - step) if by > top + step else bx
            found[strip, 0], found[strip, 1] = min(found[strip, 0], x0, x1), max(found[strip, 1], x0, x1)
    return found


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
