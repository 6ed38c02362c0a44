"""Smoothing of traced outlines, so that they look drawn and enclose the area of their pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells.outlines import Rings, replace

_SIGMA_PX, _REACH_PX = 1.8, 5
"""Width of the Gaussian that outlines are smoothed by, and its reach to both sides, pixels along the ring."""


def _weights() -> npt.NDArray[np.float64]:
    """Symmetric weights of the average along a ring, whole 1024ths.

    A Gaussian times a parabola whose second moment is zero: unlike a plain Gaussian it leaves arcs where they are.
    """
    at = np.arange(-_REACH_PX, _REACH_PX + 1)
    gauss = np.exp(-0.5 * (at / _SIGMA_PX) ** 2)
    second, fourth = (gauss * at**2).sum(), (gauss * at**4).sum()
    weights = gauss * (fourth - second * at**2)
    weights = np.rint(weights / weights.sum() * 1024)
    weights[_REACH_PX] += 1024 - weights.sum()
    rounded: npt.NDArray[np.float64] = weights / 1024
    return rounded


_WEIGHTS = _weights()


def smooth(rings: Rings, *, tolerance_px: float) -> Rings:
    """Smooth rings with few vertices around the same areas.

    The midpoints of a ring's pixel edges are averaged along the ring, Douglas-Peucker drops what is nearer to the
    outline than the tolerance, and the ring is scaled about its centre of gravity until it encloses its area again.
    Each ring is treated in its own frame from its first vertex on, so the result does not depend on where in a window
    it lies. A ring may cross itself afterwards. One that is shorter than the average's reach, or that lost half of its
    area, keeps its pixel corners.

    Parameters
    ----------
    rings : Rings
        Traced rings.
    tolerance_px : float
        Pixels of the rings' frame; 0 keeps the rings as they are.
    """
    if tolerance_px == 0 or len(rings) == 0:
        return rings
    origin = rings.vertices[rings.offsets[:-1]]
    corners = Rings(rings.vertices - np.repeat(origin, rings.lengths, axis=0), rings.offsets)
    soft = _averaged(corners)
    slim = _thinned(soft, tolerance_px)
    area, centre = _moments(slim)
    wanted, _ = _moments(corners)
    lost = (2 * area <= wanted) | (soft.lengths <= len(_WEIGHTS))
    factor = np.sqrt(np.divide(wanted, area, out=np.ones_like(area), where=~lost))
    centre, factor = np.repeat(centre, slim.lengths, axis=0), np.repeat(factor, slim.lengths)[:, None]
    whole = replace(Rings((slim.vertices - centre) * factor + centre, slim.offsets), corners.take(lost), lost)
    return Rings(whole.vertices + np.repeat(origin, whole.lengths, axis=0), whole.offsets)


def _averaged(rings: Rings) -> Rings:
    """Closed rings of one vertex an edge of a pixel: the weighted means of the midpoints along each ring."""
    run = np.zeros_like(rings.vertices)
    run[:-1] = np.diff(rings.vertices, axis=0)
    run[rings.offsets[1:] - 1] = 0  # from one ring to the next
    length = np.abs(run).sum(axis=1)
    begin, owner = np.cumsum(length) - length, np.repeat(np.arange(len(run)), length)
    along = np.arange(len(owner)) - begin[owner] + 0.5
    middles = rings.vertices[owner] + np.sign(run)[owner] * along[:, None]
    edges = np.add.reduceat(length, rings.offsets[:-1])
    # Each ring is continued on both sides, and by the edge that closes it.
    continued = edges + len(_WEIGHTS)
    place = np.arange(continued.sum()) - np.repeat(np.cumsum(continued) - continued, continued)
    edge = (place - len(_WEIGHTS) // 2) % np.repeat(edges, continued)
    x, y = middles[np.repeat(np.cumsum(edges) - edges, continued) + edge].T
    # Midpoints are whole halves and weights whole 1024ths: all sums are exact, in whatever order they are taken.
    means = np.stack([np.convolve(x, _WEIGHTS, "valid"), np.convolve(y, _WEIGHTS, "valid")], axis=1)
    inside = (place <= np.repeat(edges, continued))[: len(means)]
    return Rings(means[inside], np.concatenate([[0], np.cumsum(edges + 1)]))


def _thinned(rings: Rings, tolerance_px: float) -> Rings:
    """Rings by Douglas-Peucker; some may be left with fewer than 4 vertices."""
    lines = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, rings.vertices, (rings.offsets,))
    _, vertices, (offsets,) = shapely.to_ragged_array(shapely.simplify(lines, tolerance_px, preserve_topology=False))
    return Rings(vertices, np.asarray(offsets, np.int64))


def _moments(rings: Rings) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Areas (N,), negative where a ring runs counter-clockwise, and centres of gravity (N, 2)."""
    one, other = rings.vertices[:-1], rings.vertices[1:]
    cross = one[:, 0] * other[:, 1] - other[:, 0] * one[:, 1]
    cross[rings.offsets[1:-1] - 1] = 0  # from one ring to the next
    owner = np.repeat(np.arange(len(rings)), rings.lengths)[:-1]
    # Each sum is taken in the order of its ring.
    area = np.bincount(owner, cross, minlength=len(rings)) / 2
    total = np.stack([np.bincount(owner, cross * side, minlength=len(rings)) for side in (one + other).T], axis=1)
    nonzero = (area != 0)[:, None]
    centre: npt.NDArray[np.float64] = np.divide(total, 6 * area[:, None], out=np.zeros_like(total), where=nonzero)
    return area, centre
