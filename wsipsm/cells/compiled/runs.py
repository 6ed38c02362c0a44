"""Runs: stretches of a row whose pixels have one value above 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]


@compiled
def find_runs(plane: npt.NDArray[Any]) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Runs of a (y, x) plane of whole numbers in scan order.

    Returns
    -------
    begin, end, row : (R,) int32
        First column, the column after the last, and row of each.
    values : (R,)
        Of each, as in the plane.
    offsets : (y + 1,) int64
        Where the runs of each row begin.
    """
    height, width = plane.shape
    offsets = np.zeros(height + 1, np.int64)
    for y in range(height):
        count = int(width > 0 and plane[y, 0] != 0)
        for x in range(1, width):
            count += (plane[y, x] != 0) & (plane[y, x] != plane[y, x - 1])
        offsets[y + 1] = offsets[y] + count
    room = offsets[height] + 1  # one more: what is written behind the last run is not counted
    begin, end, row, values = (
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, plane.dtype),
    )
    changes = np.empty(width + 1, np.int32)
    for y in range(height):
        count, before = 0, plane.dtype.type(0)
        for x in range(width):  # without a branch, which could not be foretold
            changes[count] = x
            count += plane[y, x] != before
            before = plane[y, x]
        changes[count], at = width, offsets[y]
        for change in range(count):
            x = changes[change]
            begin[at], end[at], row[at], values[at] = x, changes[change + 1], y, plane[y, x]
            at += plane[y, x] != 0
    return begin[:-1], end[:-1], row[:-1], values[:-1], offsets


@compiled
def paint(plane: npt.NDArray[np.int32], begin: _Ints, end: _Ints, row: _Ints, values: _Ints) -> None:
    """Write the value of each run, unless it is 0, on its pixels.

    Parameters
    ----------
    plane : (y, x) int32
        Written in place.
    begin, end, row : (R,) int32
        Runs, see :func:`find_runs`.
    values : (R,) int32
        Of each run.
    """
    for run in range(len(begin)):
        if values[run] != 0:
            for x in range(begin[run], end[run]):
                plane[row[run], x] = values[run]


@compiled
def spread(starts: npt.NDArray[np.uint32], values: _Ints, size: int) -> _Ints:
    """Values of so many pixels in scan order, of runs from pixel to pixel.

    Parameters
    ----------
    starts : (R,) uint32
        First pixel of each run, rising; the first is 0.
    values : (R,) int32
        Of each run.
    size : int
        Number of pixels.
    """
    pixels = np.empty(size, np.int32)
    for run in range(len(starts)):
        end = np.int64(starts[run + 1]) if run + 1 < len(starts) else size
        for at in range(np.int64(starts[run]), end):
            pixels[at] = values[run]
    return pixels


@compiled
def count_true(
    mask: npt.NDArray[np.bool_], runs: tuple[_Ints, _Ints, _Ints], owner: _Ints, count: int
) -> npt.NDArray[np.int64]:
    """Pixels of the runs of each owner that a (y, x) mask holds, (N,) int64.

    Parameters
    ----------
    mask : (y, x) bool
        The mask.
    runs : three of (R,) int32
        First column, the column after the last, and row, see :func:`find_runs`.
    owner : (R,) int32
        Whose each run is, from 0.
    count : int
        Number N of owners.
    """
    begin, end, row = runs
    counts = np.zeros(count, np.int64)
    for run in range(len(begin)):
        for x in range(begin[run], end[run]):
            counts[owner[run]] += mask[row[run], x]
    return counts
