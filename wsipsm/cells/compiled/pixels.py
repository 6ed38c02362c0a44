"""Labels of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled
from wsipsm.core.geometry import Labels

_Int32s = npt.NDArray[np.int32]


@compiled
def grow(
    grown: _Int32s, labels: _Int32s, levels: npt.NDArray[np.uint8], steps: int, runs: tuple[_Int32s, _Int32s, _Int32s]
) -> None:
    """Let free pixels join their highest neighbour's instance (of equals the first of up, left, right, down).

    The highest neighbour of a pixel of a candidate lies in that candidate. So a candidate that the window has to
    refuse leaves a gap here and never hands its pixels to a neighbour that the window does show.

    Parameters
    ----------
    grown : (y, x) int32
        A copy of the labels, to which the pixels are added.
    labels : (y, x) int32
        Instances, 0 is free.
    levels : (y, x) uint8
        Evidence; where it is 0, and along the border, no pixel is taken.
    steps : int
        Pixels that an instance can grow by.
    runs : three of (R,) int32
        All where ``levels`` is above 0, those of one label: first column, the column after the last, row.
    """
    begin, end, row = runs
    for run in range(len(row)):
        if labels[row[run], begin[run]] == 0:
            for x in range(begin[run], end[run]):
                grown[row[run], x] = _uphill(labels, levels, row[run], x, steps)


@compiled
def _uphill(labels: _Int32s, levels: npt.NDArray[np.uint8], y: int, x: int, steps: int) -> int:
    """Instance that a free pixel's highest neighbours lead to within so many steps; 0 where they lead to none."""
    height, width = labels.shape
    for _ in range(steps):
        if not (0 < y < height - 1 and 0 < x < width - 1) or levels[y, x] == 0:
            return 0
        up, left, right, down = levels[y - 1, x], levels[y, x - 1], levels[y, x + 1], levels[y + 1, x]
        highest = max(max(up, left), max(right, down))
        if up == highest:
            y -= 1
        elif left == highest:
            x -= 1
        elif right == highest:
            x += 1
        else:
            y += 1
        if labels[y, x] != 0:
            return int(labels[y, x])
    return 0


@compiled
def renumber(labels: _Int32s, numbers: _Int32s) -> None:
    """Renumber labels (y, x) 1, 2, ... in the order of their first pixels, in place.

    Parameters
    ----------
    labels : (y, x) int32
        0 is background.
    numbers : (N + 1,) int32
        All 0; the new number of each label up to N is put here.
    """
    count = 0
    for y in range(labels.shape[0]):
        before, number = 0, 0
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label != before:
                if label != 0 and numbers[label] == 0:
                    count += 1
                    numbers[label] = count
                before, number = label, numbers[label]
            labels[y, x] = number


@compiled
def first_pixels(labels: Labels, count: int) -> npt.NDArray[np.int64]:
    """First pixel (x, y) in scan order of label 1 to ``count``, (N, 2) int64; (-1, -1) of one without a pixel."""
    first = np.full((count, 2), -1, np.int64)
    for y in range(labels.shape[0]):
        before = 0
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label > 0 and label != before and first[label - 1, 1] < 0:
                first[label - 1, 0], first[label - 1, 1] = x, y
            before = label
    return first
