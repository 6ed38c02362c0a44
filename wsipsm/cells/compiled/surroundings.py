"""Sums over what lies around cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]


@compiled
def disk_sums(
    plane: tuple[npt.NDArray[np.uint8], int],
    counts: npt.NDArray[np.bool_],
    runs: tuple[_Ints, _Ints, _Ints, _Ints],
    parts: int,
    half: _Longs,
    rows: _Longs,
) -> _Longs:
    """How many pixels count near the pixels of each part, once for each that they are near, and the sum of a plane.

    Rows are summed up twice along x: then four places give the sum over all the stretches around a run's pixels.

    Parameters
    ----------
    plane : (y, x) uint8, int
        Values, or the bytes of an int8 plane; 0, or 128 for these.
    counts : (y, x) bool
        Which pixels count.
    runs : four of (R,) int32
        Runs of the parts in scan order: first column, the column after the last, row, part.
    parts : int
        Their number N.
    half : (2 * r + 1,) int64
        Pixels to both sides that are near, ``r`` rows above up to ``r`` rows below; r pixels in its own row.
    rows : (2 * r + 1, x + 2 * r + 2, 2) int64
        All 0; rows of the window are put here, each at its number modulo the first side.

    Returns
    -------
    (2, N) int64
        Numbers of pixels, and sums.
    """
    begin, end, row, owner = runs
    height = plane[0].shape[0]
    reach = len(half) // 2
    table = np.zeros((2, parts), np.int64)
    ready = row[0] - reach if len(row) else 0
    for run in range(len(row)):
        ready = max(ready, row[run] - reach)
        while ready <= row[run] + reach:
            if 0 <= ready < height:
                _sum_twice(plane, counts, ready, rows, reach)
            ready += 1
        first, last = max(row[run] - reach, 0), min(row[run] + reach, height - 1)
        a, b, place, near, total = begin[run] + reach, end[run] + reach, first % len(half), 0, 0
        for y in range(first, last + 1):
            aside, here = half[y - row[run] + reach], rows[place]
            near += here[b + aside + 1, 0] - here[a + aside + 1, 0] - here[b - aside, 0] + here[a - aside, 0]
            total += here[b + aside + 1, 1] - here[a + aside + 1, 1] - here[b - aside, 1] + here[a - aside, 1]
            place = place + 1 if place + 1 < len(half) else 0
        table[0, owner[run]] += near
        table[1, owner[run]] += total
    return table


@compiled
def _sum_twice(
    plane: tuple[npt.NDArray[np.uint8], int], counts: npt.NDArray[np.bool_], y: int, rows: _Longs, margin: int
) -> None:
    """Sums of sums along row ``y``, of what counts and of the plane there, into its place in ``rows``."""
    values, zero = plane
    row, number, total, numbers, totals = rows[y % len(rows)], 0, 0, 0, 0
    for x in range(len(row) - margin):
        row[margin + x, 0], row[margin + x, 1] = numbers, totals
        numbers += number
        totals += total
        if x < values.shape[1]:
            here = int(counts[y, x])  # without a branch, which could not be foretold
            number += here
            total += here * ((int(values[y, x]) ^ zero) - zero)
