"""Choice of the close-ups of an overview."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Box


def pick_closeups(counts: npt.NDArray[np.integer[Any]], *, bin_px: float, side_px: int, plane: Box) -> list[Box]:
    """Choose the densest window and a typical one.

    The typical window is the one whose number of cells is nearest to the median over windows with cells; among equals,
    the one nearest to the centre of all cells, then the first in scan order. It does not overlap the densest window
    where that is possible.

    Parameters
    ----------
    counts : (rows, cols) int
        Cells in square bins; bin (0, 0) starts at the plane's (0, 0).
    bin_px : float
        Side of a bin, pixels of the plane.
    side_px : int
        Side of a close-up, pixels of the plane; smaller planes give smaller ones.
    plane : Box
        Bounds of the close-ups.

    Returns
    -------
    list of Box
        Empty without cells, one if there is a single window, else two; pixels of the plane.
    """
    if not counts.any():
        return []
    windows = _windows(counts, bin_px, side_px)
    densest = np.unravel_index(int(np.argmax(windows)), windows.shape)
    boxes = [_box(int(densest[0]), int(densest[1]), bin_px, side_px, plane)]
    typical = _typical(windows, (int(densest[0]), int(densest[1])), _bins(bin_px, side_px))
    if typical is not None:
        other = _box(*typical, bin_px, side_px, plane)
        boxes += [other] if other != boxes[0] else []
    return boxes


def _bins(bin_px: float, side_px: int) -> int:
    return max(1, round(side_px / bin_px))


def _windows(counts: npt.NDArray[np.integer[Any]], bin_px: float, side_px: int) -> npt.NDArray[np.int64]:
    """Number of cells in the close-up that starts at each bin, clipped to the bins."""
    rows, cols = (min(_bins(bin_px, side_px), side) for side in counts.shape)
    total: npt.NDArray[np.int64] = np.pad(counts.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    below = total[rows:] - total[:-rows]
    windows: npt.NDArray[np.int64] = below[:, cols:] - below[:, :-cols]
    return windows


def _typical(windows: npt.NDArray[np.int64], densest: tuple[int, int], bins: int) -> tuple[int, int] | None:
    row, col = np.nonzero(windows)
    apart = (np.abs(row - densest[0]) >= bins) | (np.abs(col - densest[1]) >= bins)
    if not apart.any():
        apart = (row != densest[0]) | (col != densest[1])
    if not apart.any():
        return None
    cells = windows[row, col]
    middle_row, middle_col = np.average(row, weights=cells), np.average(col, weights=cells)
    row, col, apart_cells = row[apart], col[apart], cells[apart]
    off = np.abs(apart_cells - np.median(cells))
    away = np.hypot(row - middle_row, col - middle_col).round(6)
    first = np.lexsort((col, row, away, off))[0]
    return int(row[first]), int(col[first])


def _box(row: int, col: int, bin_px: float, side_px: int, plane: Box) -> Box:
    width, height = min(side_px, plane.width), min(side_px, plane.height)
    x0 = min(max(plane.x0, round(col * bin_px)), plane.x1 - width)
    y0 = min(max(plane.y0, round(row * bin_px)), plane.y1 - height)
    return Box(x0, y0, x0 + width, y0 + height)
