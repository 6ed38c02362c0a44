"""Sums over what lies around cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]


@compiled
def disk_sums(
    plane: npt.NDArray[Any],
    counts: npt.NDArray[np.bool_],
    runs: tuple[_Ints, _Ints, _Ints, _Ints],
    parts: int,
    half: _Longs,
) -> _Longs:
    """How many pixels count near the pixels of each part, once for each that they are near, and the sum of a plane.

    Rows are summed up twice along x: then four places give the sum over all the stretches around a run's pixels.

    Parameters
    ----------
    plane : (y, x) uint8 or int8
        The values.
    counts : (y, x) bool
        Which pixels count.
    runs : four of (R,) int32
        Runs of the parts in scan order: first column, the column after the last, row, part.
    parts : int
        Their number N.
    half : (2 * r + 1,) int64
        Pixels to both sides that are near, ``r`` rows above up to ``r`` rows below; r pixels in its own row.

    Returns
    -------
    (2, N) int64
        Numbers of pixels, and sums.
    """
    begin, end, row, owner = runs
    height, width = plane.shape
    reach = len(half) // 2
    rows = np.zeros((len(half), 2, width + 2 * reach + 2), np.int64)  # a row of the window at its number modulo these
    table = np.zeros((2, parts), np.int64)
    ready = row[0] - reach if len(row) else 0
    for run in range(len(row)):
        ready = max(ready, row[run] - reach)
        while ready <= row[run] + reach:
            if 0 <= ready < height:
                _sum_twice(plane[ready], counts[ready], rows[ready % len(half)], reach)
            ready += 1
        for y in range(max(row[run] - reach, 0), min(row[run] + reach, height - 1) + 1):
            aside = half[y - row[run] + reach]
            a, b = begin[run] + reach, end[run] + reach
            for k in range(2):
                line = rows[y % len(half), k]
                right, left = line[b + aside + 1] - line[a + aside + 1], line[b - aside] - line[a - aside]
                table[k, owner[run]] += right - left
    return table


@compiled
def _sum_twice(plane: npt.NDArray[Any], counts: npt.NDArray[np.bool_], sums: _Longs, margin: int) -> None:
    """Sums of sums along a row, of what counts and of the plane there; (2, x + 2 * margin + 2), from ``margin`` on."""
    number, total, numbers, totals = 0, 0, 0, 0
    for x in range(sums.shape[1] - margin):
        sums[0, margin + x], sums[1, margin + x] = numbers, totals
        numbers += number
        totals += total
        if x < len(plane) and counts[x]:
            number += 1
            total += int(plane[x])
