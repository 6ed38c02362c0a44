"""Outlines that keep every rule, told many at once: the usual ones, so that only the others are looked at one by one.

A ring is sound here if a walk along it turns around its mean vertex in one direction, exactly once: then it cannot
cross or touch itself. Of outlines of nuclei most are so.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Mask

LARGEST = 2.0**53
"""Coordinates up to this are exact as float64, px."""

Floats = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]


def are_plain(geometries: list[Any], grid: float) -> Mask:
    """Whether each geometry certainly is a valid polygon of one ring that snapping to a grid leaves an area.

    Parameters
    ----------
    geometries : list
        N contents of a ``geometry`` as the file holds them.
    grid : float
        Side of the grid, px.

    Returns
    -------
    (N,) bool
        False says nothing.
    """
    plain: Mask = np.zeros(len(geometries), bool)
    candidates = [(i, ring) for i, one in enumerate(geometries) if (ring := _lone_ring(one)) is not None]
    if not candidates:
        return plain
    places, rings = zip(*candidates, strict=True)
    if (xy := _vertices(rings)) is not None:
        offsets = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
        with np.errstate(all="ignore"):  # whatever a file holds
            plain[list(places)] = _are_sound(xy, offsets, grid)
    return plain


def _lone_ring(geometry: Any) -> list[Any] | None:
    """The one ring of a polygon, of four points or more; None: there is another thing."""
    if type(geometry) is not dict or geometry.get("type") != "Polygon":
        return None
    rings = geometry.get("coordinates")
    if type(rings) is not list or len(rings) != 1:
        return None
    ring = rings[0]
    return ring if type(ring) is list and len(ring) >= 4 else None


def _vertices(rings: tuple[list[Any], ...]) -> Floats | None:
    """Points of rings as x and y, (2, V); None: not all are pairs of numbers."""
    points = list(chain.from_iterable(rings))
    try:
        if set(map(len, points)) != {2}:
            return None
        numbers = array("d", list(chain.from_iterable(points)))  # of a list: faster than of an iterator
    except (TypeError, OverflowError):
        return None
    return np.ascontiguousarray(np.frombuffer(numbers).reshape(-1, 2).T)


def _are_sound(xy: Floats, offsets: Offsets, grid: float) -> Mask:
    """Whether each ring of vertices, (2, V), is closed, turns around its middle once and has room inside."""
    starts, last, count = offsets[:-1], offsets[1:] - 1, np.diff(offsets)
    closed = (xy[:, starts] == xy[:, last]).all(axis=0)
    largest = np.maximum.reduceat(np.abs(xy).max(axis=0), starts)
    # Above 1: true and false count as numbers so far. Of numbers that are not finite no comparison holds.
    usual = closed & (largest > 1) & (largest < LARGEST)
    middles = (np.add.reduceat(xy, starts, axis=1) - xy[:, last]) / (count - 1)
    seen = xy - np.repeat(middles, count, axis=1)
    twice, around = _walked(seen, offsets, 16 * np.finfo(float).eps * largest.max())
    steps = np.hypot(*(np.append(xy[:, 1:], xy[:, :1], axis=1) - xy))
    steps[last] = 0
    deep = 2 * grid
    thick = np.abs(twice) > 2 * (deep * np.add.reduceat(steps, starts) + np.pi * deep**2)
    return np.asarray(usual & around & thick)


def _walked(seen: Floats, offsets: Offsets, rounding: float) -> tuple[Floats, Mask]:
    """Twice the signed area of each ring, and whether it turns one way around its middle, once.

    ``seen`` are the vertices, (2, V), as seen from the middle of their ring, wrong by less than ``rounding``. Twice the
    area of the triangle of an edge and the middle must have one sign, beyond what rounding can have done.
    """
    starts, last = offsets[:-1], offsets[1:] - 1
    (x, y), (x_next, y_next) = seen, np.append(seen[:, 1:], seen[:, :1], axis=1)
    triangles = x * y_next - y * x_next
    triangles[last] = 0
    twice = np.add.reduceat(triangles, starts)
    way = np.repeat(np.sign(twice), np.diff(offsets))
    triangles *= way
    triangles[last] = np.inf
    one_way = np.minimum.reduceat(triangles, starts) > rounding * np.abs(seen).max()
    # One turn passes the ray to the right from below once: a step is less than half a turn and cannot jump below.
    rises = (y * way < 0) & (y_next * way >= 0)
    rises[last] = False
    return twice, one_way & (np.add.reduceat(rises, starts, dtype=np.int64) == 1)
