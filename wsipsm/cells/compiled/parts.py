"""Connected parts of labels, and sums over their pixels, run by run.

The runs of N parts are given as ``begin, end, row, owner``, (R,) int32 each: first column, the column after the last,
row, and the number of the part, from 0. All sums are of whole numbers, so exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]
_Longs = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]
_Runs = tuple[_Ints, _Ints, _Ints, _Ints]


@compiled
def join(begin: _Ints, end: _Ints, offsets: _Longs, label: _Ints) -> _Ints:
    """For each run the first one, in scan order, of its 4-connected part.

    Parameters
    ----------
    begin, end : (R,) int32
        Runs in scan order, see :func:`wsipsm.cells.compiled.runs.find_runs`.
    offsets : (y + 1,) int64
        Where the runs of each row begin.
    label : (R,) int32
        Of each run; parts are of one label, and 0 is none.
    """
    first = np.empty(len(begin), np.int32)
    for run in range(len(first)):
        first[run] = run
    for y in range(1, len(offsets) - 1):
        above, stop = offsets[y - 1], offsets[y]
        for run in range(offsets[y], offsets[y + 1]):
            while above < stop and end[above] <= begin[run]:
                above += 1
            other = above
            while other < stop and begin[other] < end[run]:
                if label[other] == label[run]:
                    one, two = _root(first, run), _root(first, other)
                    first[max(one, two)] = min(one, two)
                other += 1
    for run in range(len(first)):
        first[run] = first[first[run]]
    return first


@compiled
def _root(first: _Ints, run: int) -> int:
    """First run known of a run's part; the way to it becomes shorter."""
    while first[run] != run:
        first[run] = first[first[run]]
        run = first[run]
    return run


@compiled
def largest(begin: _Ints, end: _Ints, label: _Ints, first: _Ints, count: int) -> tuple[_Ints, _Ints, _Longs]:
    """Largest part of each label 1 to ``count``; of equal ones, the first in scan order.

    Parameters
    ----------
    begin, end, label : (R,) int32
        Runs and their labels.
    first : (R,) int32
        Of :func:`join`.
    count : int
        Highest label.

    Returns
    -------
    best, begins : (count,) int32
        First run of that part, and of the label; -1 for a label without a pixel.
    area : (count,) int64
        Pixels of that part.
    """
    pixels = np.zeros(len(first), np.int64)
    for run in range(len(first)):
        pixels[first[run]] += end[run] - begin[run]
    best, begins = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    area = np.zeros(count, np.int64)
    for run in range(len(first)):
        number = label[run] - 1
        if number < 0:
            continue
        if begins[number] < 0:
            begins[number] = run
        if pixels[run] > area[number]:
            best[number], area[number] = run, pixels[run]
    return best, begins, area


@compiled
def moments(runs: _Runs, first_x: _Longs, first_y: _Longs) -> _Longs:
    """Sums of x, y, x * x, y * y, x * y over the pixels of each part, counted from its own origin; (5, N) int64.

    Parameters
    ----------
    runs
        Runs of the parts.
    first_x, first_y : (N,) int64
        Origin of each.
    """
    begin, end, row, owner = runs
    table = np.zeros((5, len(first_x)), np.int64)
    for run in range(len(owner)):
        part = owner[run]
        a, b, y = begin[run] - first_x[part], end[run] - 1 - first_x[part], row[run] - first_y[part]
        pixels, x = b - a + 1, (a + b) * (b - a + 1) // 2
        table[0, part] += x
        table[1, part] += y * pixels
        table[2, part] += (b * (b + 1) * (2 * b + 1) - (a - 1) * a * (2 * a - 1)) // 6
        table[3, part] += y * y * pixels
        table[4, part] += x * y
    return table


@compiled
def sums(plane: _Bytes, zero: int, runs: _Runs, count: int) -> _Longs:
    """Sums of a plane of bytes (y, x), and of its squares, and its largest value, at least 0; (3, N) int64 of N parts.

    Parameters
    ----------
    plane : (y, x) uint8
        Values; of an int8 plane its bytes.
    zero : int
        0, or 128 for the bytes of an int8 plane.
    runs
        Runs of the parts.
    count : int
        Their number N.
    """
    begin, end, row, owner = runs
    table = np.zeros((3, count), np.int64)
    for run in range(len(owner)):
        part, total, squares, most = owner[run], 0, 0, table[2, owner[run]]
        for x in range(begin[run], end[run]):
            value = (int(plane[row[run], x]) ^ zero) - zero
            total += value
            squares += value * value
            most = max(most, value)
        table[0, part] += total
        table[1, part] += squares
        table[2, part] = most
    return table


@compiled
def weighted_sums(plane: _Bytes, zero: int, weight: _Ints, runs: _Runs, count: int) -> _Longs:
    """Sums of a plane of bytes times a weight over each part, and of the weight; (2, N) int64.

    Parameters
    ----------
    plane, zero, runs, count
        As of `sums`.
    weight : (y, x) int32
        How much each pixel counts.
    """
    begin, end, row, owner = runs
    table = np.zeros((2, count), np.int64)
    for run in range(len(owner)):
        for x in range(begin[run], end[run]):
            heavy = int(weight[row[run], x])
            table[0, owner[run]] += heavy * ((int(plane[row[run], x]) ^ zero) - zero)
            table[1, owner[run]] += heavy
    return table
