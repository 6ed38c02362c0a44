"""Smooth outlines of cells that touch: two neighbours get the same vertices along their common border.

Outlines are cut where three or more cells, or cells and background, meet. Each stretch between two such corners is
smoothed and thinned by itself, from its own pixels and in a direction of its own, so that the cells on both sides of it
find the same. The middle of a pixel's edge stays within 0.3 px of its place, and so no two stretches cross.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.cells.outlines import Rings, trace
from wsipsm.core.geometry import Labels, Mask

_REACH, _SIGMA, _PARTS = 5, 1.8, 1024
_FARTHEST = 0.3
"""Most that the middle of an edge moves, the sum over x and y, pixels: from 0.5 on, two outlines could touch."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def shared_outlines(cells: Labels, first: _Ints, *, tolerance_px: float) -> tuple[Rings, Rings]:
    """Outlines of cells, smooth and along pixel corners.

    Parameters
    ----------
    cells : (y, x) int
        Label image; each wanted cell is one 4-connected component.
    first : (N,) int64
        Flat index of the first pixel, in scan order, of each wanted cell.
    tolerance_px : float
        Most by which outlines are simplified, pixels; 0 keeps every pixel corner, unsmoothed.

    Returns
    -------
    smooth, exact : Rings
        Exterior rings in pixels of ``cells``, holes left out.
    """
    exact = trace(cells, first)
    if tolerance_px == 0 or len(exact) == 0:
        return exact, exact
    edges = _Edges.of(exact, cells)
    return _joined(edges, _thinned(edges, edges.moved(), tolerance_px)), exact


@dataclass(frozen=True, slots=True)
class _Edges:
    """Edges of pixels along N rings, cut into stretches; a ring that meets no third cell is one stretch.

    Attributes
    ----------
    corners : (E, 2) int64
        Where each edge begins, (x, y); a ring begins at the beginning of a stretch.
    middles : (E, 2) float64
        Middle of each edge.
    rings : (N + 1,) int64
        Where the rings begin.
    starts : (S + 1,) int64
        Where the stretches begin.
    closed : (S,) bool
        Stretches that are whole rings.
    """

    corners: _Ints
    middles: _Floats
    rings: _Ints
    starts: _Ints
    closed: Mask

    @classmethod
    def of(cls, exact: Rings, cells: Labels) -> _Edges:
        corners, rings = _corners(exact)
        meeting = _edges_at(corners, cells) >= 3
        lengths = np.diff(rings)
        ring = np.repeat(np.arange(len(lengths)), lengths)
        place = np.arange(len(corners)) - rings[ring]
        has = np.logical_or.reduceat(meeting, rings[:-1])
        turn = np.minimum.reduceat(np.where(meeting, place, lengths[ring]), rings[:-1])
        turn[~has] = 0
        order = rings[ring] + (place + turn[ring]) % lengths[ring]
        corners, begins = corners[order], meeting[order]
        begins[rings[:-1]] = True
        following = np.arange(len(corners)) + 1
        following[rings[1:] - 1] = rings[:-1]
        starts = np.flatnonzero(begins)
        middles = (corners + corners[following]) / 2
        return cls(corners, middles, rings, np.append(starts, len(corners)), ~has[ring[starts]])

    def moved(self) -> _Floats:
        """Middles, averaged along their stretches and kept near their places; whole 1024ths, (E, 2)."""
        lengths, ring_lengths = np.diff(self.starts), np.diff(self.rings)
        place = np.arange(len(self.middles))
        begin, end = (np.repeat(side, lengths) for side in (self.starts[:-1], self.starts[1:]))
        window = np.minimum(np.minimum(place - begin, end - 1 - place), _REACH)
        window[np.repeat(self.closed, lengths)] = _REACH
        first, around = np.repeat(self.rings[:-1], ring_lengths), np.repeat(ring_lengths, ring_lengths)
        mean = np.zeros_like(self.middles)
        for offset in range(-_REACH, _REACH + 1):
            # Middles are whole halves and weights whole 1024ths: all sums are exact.
            weight = _WEIGHTS[window, abs(offset)][:, None]
            mean += weight * self.middles[first + (place - first + offset) % around]
        shift = mean - self.middles
        far = np.abs(shift).sum(axis=1, keepdims=True)
        shift *= np.minimum(1, _FARTHEST / np.maximum(far, _FARTHEST))
        return np.asarray(self.middles + np.rint(shift * _PARTS) / _PARTS, np.float64)


def _weights() -> _Floats:
    """Symmetric weights of averages over 2 w + 1 edges by w and distance, whole 1024ths; (6, 6).

    A Gaussian times a parabola whose second moment is zero: unlike a plain Gaussian it leaves arcs where they are.
    """
    weights = np.zeros((_REACH + 1, _REACH + 1))
    for reach in range(_REACH + 1):
        at = np.arange(-reach, reach + 1)
        gauss = np.exp(-0.5 * (at / _SIGMA) ** 2)
        flat = gauss * ((gauss * at**4).sum() - (gauss * at**2).sum() * at**2) if reach else gauss
        row = np.rint(flat / flat.sum() * _PARTS)
        row[reach] += _PARTS - row.sum()
        weights[reach, : reach + 1] = row[reach:] / _PARTS
    return weights


_WEIGHTS = _weights()


def _corners(exact: Rings) -> tuple[_Ints, _Ints]:
    """Corners of pixels along rings, one an edge, (E, 2), and where the rings begin."""
    run = np.zeros_like(exact.vertices)
    run[:-1] = np.diff(exact.vertices, axis=0)
    run[exact.offsets[1:] - 1] = 0  # from one ring to the next
    length = np.abs(run).sum(axis=1)
    begin, owner = np.cumsum(length) - length, np.repeat(np.arange(len(run)), length)
    along = np.arange(len(owner)) - begin[owner]
    edges = np.add.reduceat(length, exact.offsets[:-1])
    corners = exact.vertices[owner] + np.sign(run)[owner] * along[:, None]
    return corners, np.concatenate([[0], np.cumsum(edges)])


def _edges_at(corners: _Ints, cells: Labels) -> _Ints:
    """How many borders run into each corner of a pixel, 2 to 4."""
    padded = np.pad(cells, 1)
    x, y = corners.T
    around = [padded[y + dy, x + dx] for dy, dx in ((0, 0), (0, 1), (1, 1), (1, 0))]
    count: _Ints = sum((a != b).astype(np.int64) for a, b in zip(around, around[1:] + around[:1], strict=True))
    return count


def _thinned(edges: _Edges, moved: _Floats, tolerance_px: float) -> Rings:
    """Stretches by Douglas-Peucker as open lines from corner to corner, each in its own frame and direction."""
    from wsipsm.cells.compiled import outlines

    lengths = np.diff(edges.starts)
    counts = lengths + np.where(edges.closed, 1, 2)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    stretch = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(offsets[-1]) - offsets[stretch]
    at = edges.starts[stretch] + (place - ~edges.closed[stretch]) % lengths[stretch]
    lines = moved[at]
    lines[offsets[:-1][~edges.closed]] = edges.corners[edges.starts[:-1]][~edges.closed]
    lines[offsets[1:][~edges.closed] - 1] = _ends(edges)[~edges.closed]
    backward = _run_backward(lines, offsets)
    origin = lines[np.where(backward, offsets[1:] - 1, offsets[:-1])]
    turned = _turned(Rings(lines - origin[stretch], offsets), backward)
    vertices, offsets = outlines.thinned(turned.vertices, turned.offsets, tolerance_px)
    return _turned(Rings(vertices + np.repeat(origin, np.diff(offsets), axis=0), offsets), backward)


def _ends(edges: _Edges) -> _Ints:
    """Corner at which each stretch ends: the beginning of the next one of its ring; (S, 2)."""
    following = edges.starts[1:].copy()
    last = np.searchsorted(edges.starts, edges.rings[1:]) - 1
    following[last] = edges.rings[:-1]
    return edges.corners[following]


def _run_backward(lines: _Floats, offsets: _Ints) -> Mask:
    """Which lines run right to left, or upwards where they end above or below their beginning.

    Lines that end where they begin go by their second and last but one vertex.
    """
    first, last = offsets[:-1], offsets[1:] - 1
    inward = (lines[first] == lines[last]).all(axis=1)
    one, other = lines[first + inward], lines[last - inward]
    dx, dy = (other - one).T
    backward: Mask = (dx < 0) | ((dx == 0) & (dy < 0))
    return backward


def _turned(lines: Rings, which: Mask) -> Rings:
    """Lines with some of them reversed."""
    lengths = lines.lengths
    line = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(lines.vertices)) - lines.offsets[line]
    order = lines.offsets[line] + np.where(which[line], lengths[line] - 1 - place, place)
    return Rings(lines.vertices[order], lines.offsets)


def _joined(edges: _Edges, lines: Rings) -> Rings:
    """Closed rings of stretches in their order."""
    ring = np.searchsorted(edges.rings, edges.starts[:-1], side="right") - 1
    keep = np.ones(len(lines.vertices), bool)
    keep[lines.offsets[1:] - 1] = False  # the beginning of the next
    last = np.searchsorted(ring, np.arange(len(edges.rings) - 1), side="right") - 1
    keep[lines.offsets[last + 1] - 1] = True
    per_ring = np.add.reduceat(keep.astype(np.int64), lines.offsets[np.searchsorted(ring, np.arange(len(last)))])
    return Rings(lines.vertices[keep], np.concatenate([[0], np.cumsum(per_ring)]))
