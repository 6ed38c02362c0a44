"""Outlines of cells, many rings in one ragged array: traced, averaged, thinned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]
_Labels = npt.NDArray[np.int32]

# East along a top edge, south along a right one, west, north: the cell is on the right hand.
_AHEAD_X, _AHEAD_Y = (1, 0, -1, 0), (0, 1, 0, -1)
_CORNER_X, _CORNER_Y = (1, 1, 0, 0), (0, 1, 1, 0)


@compiled
def trace(labels: _Labels, first: _Longs) -> tuple[_Longs, _Longs]:
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
    offsets, nowhere = np.zeros(len(first) + 1, np.int64), np.empty((0, 2), np.int64)
    for cell in range(len(first)):
        offsets[cell + 1] = offsets[cell] + _walk(labels, first[cell], nowhere)
    vertices = np.empty((offsets[len(first)], 2), np.int64)
    for cell in range(len(first)):
        _walk(labels, first[cell], vertices[offsets[cell] : offsets[cell + 1]])
    return vertices, offsets


@compiled
def _walk(labels: _Labels, first: int, vertices: _Longs) -> int:
    """Count the vertices of a ring, and write down those that there is room for."""
    y, x = first // labels.shape[1], first % labels.shape[1]
    own, to, count = labels[y, x], 0, 0
    start_x, start_y = x, y
    if len(vertices):
        vertices[0, 0], vertices[0, 1] = x, y
    while True:
        ahead_x, ahead_y = x + _AHEAD_X[to], y + _AHEAD_Y[to]
        left_x, left_y = ahead_x + _AHEAD_X[to - 1], ahead_y + _AHEAD_Y[to - 1]
        left, straight = _has(labels, left_y, left_x, own), _has(labels, ahead_y, ahead_x, own)
        if left or not straight:
            count += 1
            if len(vertices):
                vertices[count, 0], vertices[count, 1] = x + _CORNER_X[to], y + _CORNER_Y[to]
        if left:
            x, y, to = left_x, left_y, (to + 3) % 4
        elif straight:
            x, y = ahead_x, ahead_y
        else:
            to = (to + 1) % 4
        if to == 0 and x == start_x and y == start_y:
            return count + 1


@compiled
def _has(labels: _Labels, y: int, x: int, own: int) -> bool:
    """Whether a place is a pixel of the cell."""
    return bool(0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x] == own)


@compiled
def averaged(vertices: _Longs, offsets: _Longs, weights: _Longs) -> tuple[_Floats, _Longs]:
    """Closed rings of one vertex an edge of a pixel: weighted means of the midpoints of edges along each ring.

    Parameters
    ----------
    vertices, offsets
        As of `trace`.
    weights : (2 * r + 1,) int64
        Symmetric, 1024ths.

    Returns
    -------
    vertices : (E, 2) float64
        Each ring counted from its own first corner; whole 2048ths, exact.
    offsets : (N + 1,) int64
        Where the rings begin.
    """
    reach = len(weights) // 2
    begins = np.zeros(len(offsets), np.int64)
    for ring in range(len(offsets) - 1):
        edges = 1
        for at in range(offsets[ring], offsets[ring + 1] - 1):
            edges += abs(vertices[at + 1, 0] - vertices[at, 0]) + abs(vertices[at + 1, 1] - vertices[at, 1])
        begins[ring + 1] = begins[ring] + edges
    longest = 0 if len(begins) == 1 else int(np.diff(begins).max())
    means, twice = np.empty((begins[-1], 2)), np.empty((2, longest + 2 * reach), np.int64)
    for ring in range(len(offsets) - 1):
        edges = begins[ring + 1] - begins[ring] - 1
        _midpoints(vertices[offsets[ring] : offsets[ring + 1]], twice, edges, reach)
        for side in range(2):
            line = twice[side]
            for at in range(edges + 1):
                total = 0
                for k in range(len(weights)):
                    total += weights[k] * line[at + k]
                means[begins[ring] + at, side] = total / 2048
    return means, begins


@compiled
def _midpoints(ring: _Longs, twice: _Longs, edges: int, reach: int) -> None:
    """Twice the midpoints of a ring's edges from its first corner on, (2, edges + 1 + 2 * reach), continued around."""
    count = reach
    for at in range(len(ring) - 1):
        x, y = ring[at, 0] - ring[0, 0], ring[at, 1] - ring[0, 1]
        run, rise = ring[at + 1, 0] - ring[at, 0], ring[at + 1, 1] - ring[at, 1]
        length, step_x, step_y = abs(run) + abs(rise), np.sign(run), np.sign(rise)
        for along in range(length):
            twice[0, count] = 2 * x + (2 * along + 1) * step_x
            twice[1, count] = 2 * y + (2 * along + 1) * step_y
            count += 1
    for aside in range(reach + 1):  # a short ring goes around more than once
        for side in range(2):
            twice[side, reach + edges + aside] = twice[side, reach + aside % edges]
    for aside in range(1, reach + 1):
        for side in range(2):
            twice[side, reach - aside] = twice[side, reach + (-aside) % edges]


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
    kept = np.zeros(len(vertices), np.bool_)
    waiting = np.empty((len(vertices) + 1, 2), np.int64)
    thin = np.zeros(len(offsets), np.int64)
    for line in range(len(offsets) - 1):
        first, last = offsets[line], offsets[line + 1] - 1
        kept[first], kept[last] = True, True
        waiting[0, 0], waiting[0, 1] = first, last
        count = 1
        while count > 0:
            count -= 1
            one, other = waiting[count, 0], waiting[count, 1]
            farthest = _farthest(vertices, one, other, tolerance)
            if farthest > one:
                kept[farthest] = True
                waiting[count, 0], waiting[count, 1] = one, farthest
                waiting[count + 1, 0], waiting[count + 1, 1] = farthest, other
                count += 2
        thin[line + 1] = thin[line] + np.sum(kept[first : last + 1])
    return vertices[kept], thin


@compiled
def _farthest(vertices: _Floats, one: int, other: int, tolerance: float) -> int:
    """Vertex between two that is farthest from the edge between these; ``one`` where none is beyond the tolerance."""
    ax, ay, run, rise = vertices[one, 0], vertices[one, 1], 0.0, 0.0
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
