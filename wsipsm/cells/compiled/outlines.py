"""Outlines of cells, many rings in one ragged array: traced, averaged, thinned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]

# East along a top edge, south along a right one, west, north: the cell is on the right hand.
_AHEAD = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
_CORNER = np.array([(1, 0), (1, 1), (0, 1), (0, 0)])


@compiled
def trace(labels: _Ints, first: _Longs) -> tuple[_Longs, _Longs]:
    """Exterior rings of cells along pixel corners, see :func:`wsipsm.cells.outlines.trace`.

    Parameters
    ----------
    labels : (y, x) int32
        Label image.
    first : (N,) int64
        Flat index of the first pixel of each cell.

    Returns
    -------
    vertices : (V, 2) int64
        (x, y) of each turn; the first one of a ring is repeated as its last.
    offsets : (N + 1,) int64
        Where the rings begin.
    """
    offsets, vertices = np.zeros(len(first) + 1, np.int64), np.empty((64 * len(first), 2), np.int64)
    for cell in range(len(first)):
        offsets[cell + 1] = _walk(labels, first[cell], vertices, offsets[cell])
        if offsets[cell + 1] > len(vertices):  # no room: once more
            wider = np.empty((2 * offsets[cell + 1], 2), np.int64)
            wider[: offsets[cell]] = vertices[: offsets[cell]]
            vertices = wider
            _walk(labels, first[cell], vertices, offsets[cell])
    return vertices[: offsets[len(first)]].copy(), offsets


@compiled
def _walk(labels: _Ints, first: int, vertices: _Longs, at: int) -> int:
    """Write the vertices of a ring, from place ``at`` on, as far as there is room; returns the place behind them."""
    start_y, start_x = first // labels.shape[1], first % labels.shape[1]
    x, y, to, own = start_x, start_y, 0, labels[start_y, start_x]
    if at < len(vertices):
        vertices[at, 0], vertices[at, 1] = x, y
    at += 1
    while True:
        ahead_x, ahead_y = x + _AHEAD[to, 0], y + _AHEAD[to, 1]
        left_x, left_y = ahead_x + _AHEAD[(to + 3) % 4, 0], ahead_y + _AHEAD[(to + 3) % 4, 1]
        left, straight = _has(labels, left_y, left_x, own), _has(labels, ahead_y, ahead_x, own)
        if left or not straight:
            if at < len(vertices):
                vertices[at, 0], vertices[at, 1] = x + _CORNER[to, 0], y + _CORNER[to, 1]
            at += 1
        if left:
            x, y, to = left_x, left_y, (to + 3) % 4
        elif straight:
            x, y = ahead_x, ahead_y
        else:
            to = (to + 1) % 4
        if to == 0 and x == start_x and y == start_y:
            return at


@compiled
def _has(labels: _Ints, y: int, x: int, own: int) -> bool:
    """Whether a place is a pixel of the cell."""
    return bool(0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x] == own)


@compiled
def averaged(vertices: _Longs, offsets: _Longs, weights: _Ints) -> tuple[_Floats, _Longs]:
    """Closed rings of one vertex an edge of a pixel: weighted means of the midpoints of edges along each ring.

    Parameters
    ----------
    vertices, offsets
        As of `trace`.
    weights : (2 * r + 1,) int32
        Symmetric, 1024ths.

    Returns
    -------
    vertices : (E, 2) float64
        Each ring counted from its own first corner; whole 2048ths, exact.
    offsets : (N + 1,) int64
        Where the rings begin.
    """
    begins, longest = np.zeros(len(offsets), np.int64), 0
    for ring in range(len(offsets) - 1):
        edges = 0
        for at in range(offsets[ring], offsets[ring + 1] - 1):
            edges += abs(vertices[at + 1, 0] - vertices[at, 0]) + abs(vertices[at + 1, 1] - vertices[at, 1])
        begins[ring + 1], longest = begins[ring] + edges + 1, max(longest, edges)
    means = np.empty((begins[len(offsets) - 1], 2))
    twice, totals = np.empty(longest + len(weights), np.int32), np.empty(longest + 1, np.int32)
    for ring in range(len(offsets) - 1):
        for side in range(2):
            _midpoints(vertices, (offsets[ring], offsets[ring + 1]), side, twice, len(weights) // 2)
            _average((twice, totals), weights, means, (begins[ring], begins[ring + 1] - 1), side)
    return means, begins


@compiled
def _midpoints(vertices: _Longs, ring: tuple[int, int], side: int, twice: _Ints, place: int) -> None:
    """Twice the x or y of the midpoints of a ring's edges, from its first corner on; from a place in ``twice`` on."""
    for at in range(ring[0], ring[1] - 1):
        here, step = 2 * (vertices[at, side] - vertices[ring[0], side]), vertices[at + 1, side] - vertices[at, side]
        length = abs(vertices[at + 1, 0] - vertices[at, 0]) + abs(vertices[at + 1, 1] - vertices[at, 1])
        for along in range(length):
            twice[place] = here + (2 * along + 1) * (step // length)
            place += 1


@compiled
def _average(sums: tuple[_Ints, _Ints], weights: _Ints, means: _Floats, ring: tuple[int, int], side: int) -> None:
    """Weighted means along a closed ring of doubled values, which lie behind room for the reach of the weights."""
    (twice, totals), reach, edges = sums, len(weights) // 2, ring[1] - ring[0]
    for aside in range(reach + 1):  # a short ring goes around more than once
        twice[reach + edges + aside] = twice[reach + aside]
    for aside in range(reach - 1, -1, -1):
        twice[aside] = twice[aside + edges]
    totals[: edges + 1] = 0
    for k in range(len(weights)):  # in this order many at a time
        for at in range(edges + 1):
            totals[at] += weights[k] * twice[at + k]
    for at in range(edges + 1):
        means[ring[0] + at, side] = totals[at] / 2048


@compiled
def thinned(vertices: _Floats, offsets: _Longs, tolerance: float) -> tuple[_Floats, _Longs]:
    """Lines by Douglas-Peucker, to the bit as GEOS finds them.

    Parameters
    ----------
    vertices : (V, 2) float64
        (x, y); the ends of a line stay.
    offsets : (N + 1,) int64
        Where the lines begin.
    tolerance : float
        Vertices no farther from the line between those kept are dropped.

    Returns
    -------
    vertices, offsets
        What is kept.
    """
    found, thin, ends = np.empty_like(vertices), np.zeros_like(offsets), np.empty(len(vertices), np.int64)
    count = 0
    for line in range(len(offsets) - 1):
        kept, ends[0], waiting = offsets[line], offsets[line + 1] - 1, 1
        found[count, 0], found[count, 1] = vertices[kept, 0], vertices[kept, 1]
        count += 1
        while waiting > 0:
            farthest = _farthest(vertices, kept, ends[waiting - 1], tolerance)
            if farthest > kept:
                ends[waiting] = farthest
                waiting += 1
                continue
            waiting -= 1
            kept = ends[waiting]
            found[count, 0], found[count, 1] = vertices[kept, 0], vertices[kept, 1]
            count += 1
        thin[line + 1] = count
    return found[:count].copy(), thin


@compiled
def _farthest(vertices: _Floats, one: int, other: int, tolerance: float) -> int:
    """Vertex between two that is farthest from the edge between these; ``one`` where none is beyond the tolerance."""
    ax, ay = vertices[one, 0], vertices[one, 1]
    run, rise = vertices[other, 0] - ax, vertices[other, 1] - ay
    square = run * run + rise * rise
    most, found = tolerance, one
    for at in range(one + 1, other):
        x, y = vertices[at, 0], vertices[at, 1]
        along = 0.0 if square == 0 else ((x - ax) * run + (y - ay) * rise) / square
        if along <= 0:
            apart = np.sqrt((x - ax) ** 2 + (y - ay) ** 2)
        elif along >= 1:
            apart = np.sqrt((x - vertices[other, 0]) ** 2 + (y - vertices[other, 1]) ** 2)
        else:
            apart = abs(((ay - y) * run - (ax - x) * rise) / square) * np.sqrt(square)
        if apart > most:
            most, found = apart, at
    return found
