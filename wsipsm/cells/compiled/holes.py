"""Holes in a map of few levels, each found from its lowest pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Levels = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int32]


@compiled
def raise_holes(
    filled: _Levels, levels: _Levels, no_hole: _Levels, seeds: npt.NDArray[np.int64], most: tuple[int, int]
) -> None:
    """Raise every small hole to its lowest border.

    Parameters
    ----------
    filled : (y, x) uint8
        A copy of the map, in which holes are raised.
    levels : (y, x) uint8
        The map; holes are 8-connected.
    no_hole : (y, x) uint8
        From which level on a pixel is known to lie in no hole, at first the highest one; lowered where that is found.
    seeds : (N,) int64
        Flat index of a lowest pixel of each, beside other pixels.
    most : two of int
        Pixels of a hole; and its rows, and its columns, of which there are fewer.
    """
    stamp = 0
    seen, pixels = np.zeros((2 * most[1] + 1, 2 * most[1] + 1), np.int64), np.empty((most[0] + 1, 2), np.int32)
    for number in range(len(seeds)):
        y, x = seeds[number] // levels.shape[1], seeds[number] % levels.shape[1]
        if filled[y, x] > levels[y, x]:
            continue  # in a hole that was found from another seed
        size, border = 0, int(levels[y, x]) + 0  # a sum: no longer a byte
        while no_hole[y, x] > border:
            stamp += 1
            reached, above = _flood(levels, no_hole, (seen, stamp), pixels, (y, x, border), most)
            if reached == 0:
                break
            size, border = reached, above
        if size > 0:  # once more, for the pixels
            stamp += 1
            _flood(levels, no_hole, (seen, stamp), pixels, (y, x, border - 1), most)
            for at in range(size):
                filled[pixels[at, 0], pixels[at, 1]] = border


@compiled
def _flood(
    levels: _Levels,
    no_hole: _Levels,
    marks: tuple[npt.NDArray[np.int64], int],
    pixels: _Ints,
    start: tuple[int, int, int],
    most: tuple[int, int],
) -> tuple[int, int]:
    """Pixels that are connected to a seed without going above a level, and the lowest level around them.

    ``marks``: which pixels around the seed were seen in this search, and its mark; ``start``: row and column of the
    seed, the level. 0 pixels where they are too many, or at the border; then it is kept that they are in no hole.
    """
    (y, x, level), (seen, stamp) = start, marks
    seen_y, seen_x = most[1] - y, most[1] - x
    pixels[0, 0], pixels[0, 1] = y, x
    seen[most[1], most[1]] = stamp
    count, done, above, hole = 1, 0, 256, True
    y0, y1, x0, x1 = y, y, x, x
    while hole and done < count:
        y, x = int(pixels[done, 0]), int(pixels[done, 1])
        done += 1
        y0, y1, x0, x1 = min(y0, y), max(y1, y), min(x0, x), max(x1, x)
        hole = y0 > 0 and x0 > 0 and y1 < levels.shape[0] - 1 and x1 < levels.shape[1] - 1
        hole = hole and max(y1 - y0, x1 - x0) < most[1] and no_hole[y, x] > level
        for near_y in range(y - 1, y + 2 if hole else y - 1):
            for near_x in range(x - 1, x + 2):
                near = int(levels[near_y, near_x])
                if near > level:
                    above = min(above, near)
                elif seen[seen_y + near_y, seen_x + near_x] != stamp:
                    hole = hole and count < most[0]
                    seen[seen_y + near_y, seen_x + near_x] = stamp
                    pixels[min(count, most[0]), 0], pixels[min(count, most[0]), 1] = near_y, near_x
                    count += 1
    if hole:
        return count, above
    for at in range(min(count, most[0])):
        no_hole[pixels[at, 0], pixels[at, 1]] = min(no_hole[pixels[at, 0], pixels[at, 1]], level)
    return 0, above
