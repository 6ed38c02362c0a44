"""Component trees of runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Ints = npt.NDArray[np.int32]
_Levels = npt.NDArray[np.uint8]
_Longs = npt.NDArray[np.int64]


@compiled
def _first_of_level(parent: _Ints, run: int) -> int:
    """Run that stands for a run's component at its own level; the way to it becomes shorter."""
    over = parent[run]
    while over >= 0:
        beyond = parent[over]
        if beyond >= 0:
            parent[run] = beyond
        run, over = over, beyond
    return run


@compiled
def _under(parent: _Ints, run: int) -> int:
    """Run that stands for the next lower component, of one that stands for its own; -1 where there is none."""
    return -1 if parent[run] == -1 else _first_of_level(parent, -2 - parent[run])


@compiled
def _connect(parent: _Ints, level: _Levels, one: int, other: int) -> None:
    """Merge the two branches that end at touching runs, from their levels down."""
    high, low = _first_of_level(parent, one), _first_of_level(parent, other)
    if level[high] < level[low]:
        high, low = low, high
    while high != low and low >= 0:
        under = _under(parent, high)
        if under >= 0 and level[under] >= level[low]:
            high = under
        else:
            parent[high] = low if level[low] == level[high] else -2 - low
            high, low = low, under


@compiled
def link(begin: _Ints, end: _Ints, offsets: _Longs, level: _Levels) -> _Ints:
    """For each run another one of its component at the same level, or -2 minus one at the next lower level, or else -1.

    Branches are merged run by run, as Wilkinson et al. 2008 do ("Concurrent computation of attribute filters"): the
    runs of a window are read in the order in which they lie in memory.

    Parameters
    ----------
    begin, end : (R,) int32
        First column of each run and the column after its last, in scan order.
    offsets : (y + 1,) int64
        Where the runs of each row begin.
    level : (R,) uint8
        Of each run.
    """
    parent = np.full(len(begin), -1, np.int32)
    for y in range(len(offsets) - 1):
        _link_row(parent, level, begin, end, (offsets[y], offsets[y + 1]))
        above, stop = offsets[max(y - 1, 0)], offsets[y]
        one, two, height, waits = stop, stop, 0, False  # the last pair that touches, and if it is to be connected
        for run in range(stop, offsets[y + 1]):
            while above < stop and end[above] <= begin[run]:
                above += 1
            other = above
            while other < stop and begin[other] < end[run]:
                low = min(level[run], level[other])
                # Next to a pair that touches at a higher level, or the same one, a pair is connected by way of that.
                beside = one == run or end[one] == begin[run]
                beside = beside and two < stop and (two == other or end[two] == begin[other])
                if waits and not (beside and low > height):
                    _connect(parent, level, one, two)
                waits = not (beside and low <= height)
                one, two, height = run, other, low
                other += 1
        if waits:
            _connect(parent, level, one, two)
    return parent


@compiled
def _link_row(parent: _Ints, level: _Levels, begin: _Ints, end: _Ints, row: tuple[int, int]) -> None:
    """Link the runs of a row, ``row[0]`` up to ``row[1]``, to each other, as if there were no other rows."""
    waiting, count = np.empty(256, np.int32), 0  # the last run of each level that lower ones have not ended
    for run in range(row[0], row[1]):
        if run > row[0] and end[run - 1] < begin[run]:
            count = 0
        higher = -1
        while count > 0 and level[waiting[count - 1]] > level[run]:
            count -= 1
            higher = waiting[count]
        if count > 0 and level[waiting[count - 1]] == level[run]:
            parent[run] = waiting[count - 1]
            continue
        if count > 0:
            parent[run] = -2 - waiting[count - 1]
        if higher >= 0:
            parent[higher] = -2 - run
        waiting[count] = run
        count += 1


@compiled
def number_nodes(parent: _Ints, level: _Levels) -> tuple[_Ints, _Ints, _Ints]:
    """Number the components from the highest level down.

    Parameters
    ----------
    parent : (R,) int32
        Of :func:`link`.
    level : (R,) uint8
        Of each run.

    Returns
    -------
    node : (R,) int32
        Smallest component that holds each run.
    node_parent, node_level : (N,) int32
        Component around each, -1 where there is none, and the highest level at which it is one.
    """
    starts = np.zeros(257, np.int32)
    for run in range(len(level)):
        starts[256 - level[run]] += parent[run] < 0
    for level_down in range(256):
        starts[level_down + 1] += starts[level_down]
    node = np.full(len(level), -1, np.int32)
    node_parent, node_level = np.empty(starts[256], np.int32), np.empty(starts[256], np.int32)
    for run in range(len(level)):
        if parent[run] < 0:
            node[run] = starts[255 - level[run]]
            starts[255 - level[run]] += 1
    for run in range(len(level)):
        if parent[run] >= 0:
            node[run] = node[_first_of_level(parent, run)]
        else:
            under = _under(parent, run)
            node_parent[node[run]] = node[under] if under >= 0 else -1
            node_level[node[run]] = level[run]
    return node, node_parent, node_level


@compiled
def add_up(values: _Longs, parent: _Ints) -> None:
    """Add the values (N,) of every node to those of all around it, in place."""
    for node in range(len(parent)):
        if parent[node] >= 0:
            values[parent[node]] += values[node]


@compiled
def raise_up(values: npt.NDArray[np.float64], parent: _Ints) -> None:
    """Raise the value (N,) of every node to the largest of those inside it, in place."""
    for node in range(len(parent)):
        if parent[node] >= 0:
            values[parent[node]] = max(values[parent[node]], values[node])


@compiled
def topmost(wanted: npt.NDArray[np.bool_], parent: _Ints) -> _Ints:
    """For each node the outermost one around it, itself included, that is ``wanted`` (N,); -1 where none is."""
    found = np.full(len(parent), -1, np.int32)
    for node in range(len(parent) - 1, -1, -1):
        if parent[node] >= 0 and found[parent[node]] >= 0:
            found[node] = found[parent[node]]
        elif wanted[node]:
            found[node] = node
    return found


@compiled
def sums(begin: _Ints, end: _Ints, row: _Ints, node: _Ints, parent: _Ints) -> _Longs:
    """Whole-numbered sums over the pixels of each node.

    Parameters
    ----------
    begin, end, row : (R,) int32
        Runs: first column, the column after the last, row.
    node, parent : (R,) int32, (N,) int32
        Of :func:`number_nodes`: smallest component of each run, component around each.

    Returns
    -------
    (10, N) int64
        Pixels; sums of x, y, x * x, y * y, x * y; first and last column, first and last row.
    """
    table = np.zeros((10, len(parent)), np.int64)
    table[6], table[8] = 1 << 40, 1 << 40
    table[7], table[9] = -1, -1
    for run in range(len(begin)):
        a, b, y, n = int(begin[run]), int(end[run]) - 1, int(row[run]), node[run]
        pixels, x = b - a + 1, (a + b) * (b - a + 1) // 2
        squares = (b * (b + 1) * (2 * b + 1) - (a - 1) * a * (2 * a - 1)) // 6
        table[0, n] += pixels
        table[1, n] += x
        table[2, n] += y * pixels
        table[3, n] += squares
        table[4, n] += y * y * pixels
        table[5, n] += x * y
        _widen(table, n, a, b, y, y)
    for n in range(len(parent)):
        over = parent[n]
        if over >= 0:
            for k in range(6):
                table[k, over] += table[k, n]
            _widen(table, over, int(table[6, n]), int(table[7, n]), int(table[8, n]), int(table[9, n]))
    return table


@compiled
def _widen(table: _Longs, node: int, x0: int, x1: int, y0: int, y1: int) -> None:
    table[6, node] = min(table[6, node], x0)
    table[7, node] = max(table[7, node], x1)
    table[8, node] = min(table[8, node], y0)
    table[9, node] = max(table[9, node], y1)
