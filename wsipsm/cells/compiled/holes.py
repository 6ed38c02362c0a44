"""Holes in a map of few levels, each found from its lowest pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Levels = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int32]


@compiled
def raise_holes(levels: _Levels, seeds: npt.NDArray[np.int64], most: tuple[int, int]) -> _Levels:
    """Levels (y, x) with every small hole raised to its lowest border.

    Parameters
    ----------
    levels : (y, x) uint8
        The map; holes are 8-connected.
    seeds : (N, 2) int64
        (y, x) of a lowest pixel of each.
    most : two of int
        Pixels of a hole; and its rows, and its columns, of which there are fewer.
    """
    filled, seen, top = levels.copy(), np.full(levels.shape, -1, np.int32), levels.max()
    pixels = np.empty((most[0] + 1, 2), np.int32)
    for number in range(len(seeds)):
        y, x = int(seeds[number, 0]), int(seeds[number, 1])
        if filled[y, x] > levels[y, x]:
            continue  # in a hole that was found from another seed
        size, border = 0, int(levels[y, x])
        while border < top:
            reached, above = _flood(levels, seen, pixels, (512 * number + border, y, x, border), most)
            if reached == 0:
                break
            size, border = reached, above
        if size > 0:  # once more, for the pixels
            _flood(levels, seen, pixels, (512 * number + 256, y, x, border - 1), most)
            for at in range(size):
                filled[pixels[at, 0], pixels[at, 1]] = border
    return filled


@compiled
def first_of(labels: _Ints, wanted: npt.NDArray[np.int64], x0: _Ints, y0: _Ints) -> npt.NDArray[np.int64]:
    """First pixel (y, x) in scan order of each wanted label, (N, 2) int64, from the corners of the labels' boxes.

    Parameters
    ----------
    labels : (y, x) int32
        The map.
    wanted : (N,) int64
        Labels that it holds.
    x0, y0 : (L,) int32
        First column and first row of each label, by label.
    """
    found = np.empty((len(wanted), 2), np.int64)
    for number in range(len(wanted)):
        label = wanted[number]
        y, x = y0[label], x0[label]
        while labels[y, x] != label:
            x += 1
        found[number, 0], found[number, 1] = y, x
    return found


@compiled
def _flood(
    levels: _Levels, seen: _Ints, pixels: _Ints, start: tuple[int, int, int, int], most: tuple[int, int]
) -> tuple[int, int]:
    """Pixels that are connected to a seed without going above a level, and the lowest level around them.

    ``start``: a mark of this search in ``seen``, row and column of the seed, the level. 0 pixels where they are too
    many, or at the border.
    """
    stamp, y, x, level = start
    height, width = levels.shape
    pixels[0, 0], pixels[0, 1] = y, x
    seen[y, x] = stamp
    count, done, above = 1, 0, 256
    y0, y1, x0, x1 = y, y, x, x
    while done < count:
        y, x = int(pixels[done, 0]), int(pixels[done, 1])
        done += 1
        y0, y1, x0, x1 = min(y0, y), max(y1, y), min(x0, x), max(x1, x)
        if y0 == 0 or x0 == 0 or y1 == height - 1 or x1 == width - 1 or max(y1 - y0, x1 - x0) >= most[1]:
            return 0, above
        for near_y in range(y - 1, y + 2):
            for near_x in range(x - 1, x + 2):
                if seen[near_y, near_x] == stamp:
                    continue
                if levels[near_y, near_x] > level:
                    above = min(above, int(levels[near_y, near_x]))
                    continue
                if count == most[0]:
                    return 0, above
                seen[near_y, near_x] = stamp
                pixels[count, 0], pixels[count, 1] = near_y, near_x
                count += 1
    return count, above
