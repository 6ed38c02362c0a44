"""Runs: stretches of a row whose pixels have one value above 0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]


@compiled
def find_runs(plane: npt.NDArray[np.uint8]) -> tuple[_Ints, _Ints, _Ints, _Ints]:
    """Runs of a (y, x) plane in scan order.

    Returns
    -------
    begin, end, row : (R,) int32
        First column, the column after the last, and row of each.
    offsets : (y + 1,) int32
        Where the runs of each row begin.
    """
    height, width = plane.shape
    offsets = np.zeros(height + 1, np.int32)
    for y in range(height):
        count, before = 0, 0
        for x in range(width):
            value = plane[y, x]
            count += value != 0 and value != before
            before = value
        offsets[y + 1] = offsets[y] + count
    begin, end = np.empty(offsets[height], np.int32), np.empty(offsets[height], np.int32)
    row = np.empty(offsets[height], np.int32)
    for y in range(height):
        at, before = offsets[y] - 1, 0
        for x in range(width):
            value = plane[y, x]
            if value != 0:
                if value != before:
                    at += 1
                    begin[at], row[at] = x, y
                end[at] = x + 1
            before = value
    return begin, end, row, offsets


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
def count_true(mask: npt.NDArray[np.bool_], begin: _Ints, end: _Ints, row: _Ints) -> npt.NDArray[np.int64]:
    """Pixels of each run that a (y, x) mask holds, (R,) int64.

    Parameters
    ----------
    mask : (y, x) bool
        The mask.
    begin, end, row : (R,) int32
        Runs, see :func:`find_runs`.
    """
    counts = np.zeros(len(begin), np.int64)
    for run in range(len(begin)):
        for x in range(begin[run], end[run]):
            counts[run] += mask[row[run], x]
    return counts
