"""Choice of the close-ups of an overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Box, Mask

LEAST_DOUBTFUL = 10
"""Doubtful cells that a close-up of them shows at least."""
_DEEP = 0.95
"""A window is as deep in the region as any if the region covers this share of what it covers of the deepest."""
_ALIKE = 0.2
"""Windows are equally typical if their distances from the medians differ by less, interquartile ranges."""

_Floats = npt.NDArray[np.float64]
_Plane = npt.NDArray[Any]
_Bin = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Bins:
    """Contents of square bins, (rows, cols) each; bin (0, 0) starts at the plane's (0, 0).

    Attributes
    ----------
    counts : int
        Cells that are not doubtful.
    confidence : float
        Sum of their confidences.
    doubtful : int
        Doubtful cells.
    covered : float
        Share of each bin that the region covers.
    """

    counts: _Plane
    confidence: _Plane
    doubtful: _Plane
    covered: _Plane


def pick_closeups(bins: Bins, *, bin_px: float, side_px: int, plane: Box) -> dict[str, Box]:
    """Choose the densest window, a typical one, and the one with the most doubtful cells.

    The typical window lies as deep in the region as any, has no more doubtful cells among its cells than half of such
    windows, and its density and mean confidence are nearest to their medians over them, both in units of their
    interquartile range; among nearly equal ones it is the one nearest to the centre of all cells, then the first in
    scan order. It does not overlap the densest window where that is possible.

    Parameters
    ----------
    bins : Bins
        Cells over the plane.
    bin_px : float
        Side of a bin, pixels of the plane.
    side_px : int
        Side of a close-up, pixels of the plane; smaller planes give smaller ones.
    plane : Box
        Bounds of the close-ups.

    Returns
    -------
    dict of str to Box
        Up to three different boxes by title, pixels of the plane; empty without cells.
    """
    side = max(1, round(side_px / bin_px))
    windows, refused = _windows(bins.counts, side), _windows(bins.doubtful, side)
    places: dict[str, _Bin] = {}
    if windows.any():
        places["Densest place"] = densest = _highest(windows)
        typical = _typical(bins, densest, side)
        if typical is not None:
            places["Typical place"] = typical
    if refused.max() >= LEAST_DOUBTFUL:
        places["Most doubtful place (orange: refused)"] = _highest(refused)
    boxes: dict[str, Box] = {}
    for title, place in places.items():
        box = _box(*place, bin_px, side_px, plane)
        if box not in boxes.values():
            boxes[title] = box
    return boxes


def _windows(plane: _Plane, side: int) -> _Floats:
    """Sum over the close-up that starts at each bin, clipped to the bins."""
    rows, cols = (min(side, size) for size in plane.shape)
    total: _Floats = np.pad(plane.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    below = total[rows:] - total[:-rows]
    windows: _Floats = below[:, cols:] - below[:, :-cols]
    return windows


def _highest(windows: _Floats) -> _Bin:
    row, col = np.unravel_index(int(np.argmax(windows)), windows.shape)
    return int(row), int(col)


def _typical(bins: Bins, densest: _Bin, side: int) -> _Bin | None:
    # A window's depth includes the bins around it; the slide goes on beyond its border as it ends.
    depth = _windows(np.pad(bins.covered, 1, mode="edge"), side + 2)
    planes = (_windows(plane, side) for plane in (bins.counts, bins.confidence, bins.doubtful))
    row, col = np.nonzero(_windows(bins.counts, side))
    cells, confidence, refused, depth = (plane[row, col] for plane in (*planes, depth))
    away = np.maximum(np.abs(row - densest[0]), np.abs(col - densest[1]))
    deep = depth >= _DEEP * depth.max()
    pool = next((some for some in (deep & (away >= side), away >= side, away > 0) if some.any()), None)
    if pool is None:
        return None
    doubt = refused / (cells + refused)
    clean = doubt <= np.median(doubt[deep])
    off = _off_median(cells, deep) + _off_median(confidence / cells, deep)
    far = np.hypot(row - np.average(row, weights=cells), col - np.average(col, weights=cells))
    first = np.lexsort((col, row, far.round(6), off // _ALIKE, ~clean, ~pool))[0]
    return int(row[first]), int(col[first])


def _off_median(values: _Floats, among: Mask) -> _Floats:
    """Distance of each value from the median of some of them, in units of their interquartile range."""
    low, median, high = np.percentile(values[among], (25, 50, 75))
    off: _Floats = np.abs(values - median) / (high - low or 1.0)
    return off


def _box(row: int, col: int, bin_px: float, side_px: int, plane: Box) -> Box:
    width, height = min(side_px, plane.width), min(side_px, plane.height)
    x0 = min(max(plane.x0, round(col * bin_px)), plane.x1 - width)
    y0 = min(max(plane.y0, round(row * bin_px)), plane.y1 - height)
    return Box(x0, y0, x0 + width, y0 + height)
