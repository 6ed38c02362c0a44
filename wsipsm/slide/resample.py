"""Area averages: the bytes of an output pixel depend on its position alone.

Output pixel i covers the source interval [i * scale, (i + 1) * scale). All weights follow from that absolute i, and
every pixel is summed in one fixed order, so a small request and a crop of a large one agree to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Box, Image

Sums = npt.NDArray[Any]

_ROWS_AT_ONCE = 64  # the float accumulator of so many rows stays in the cache: twice as fast as whole arrays
_SOURCE_PX_AT_ONCE = 1 << 24

BLACK_GROUND = 2
"""Brightest channel of black with which a program fills what was not scanned; a compressed 0 may be a little more."""


def span(first: int, stop: int, scale: float) -> tuple[int, int]:
    """Source pixels [start, stop) that the output pixels [first, stop) may touch; first < stop.

    Parameters
    ----------
    first, stop : int
        Output pixels.
    scale : float
        Source pixels per output pixel.

    Examples
    --------
    >>> span(2, 4, 2.0)
    (4, 8)
    >>> span(2, 4, 1.7)
    (3, 8)
    """
    if scale == int(scale):
        return first * int(scale), stop * int(scale)
    return math.floor(first * scale), math.floor((stop - 1) * scale) + _touched(scale)


def source_box(box: Box, scale_x: float, scale_y: float) -> Box:
    """Source pixels that a box of output pixels may touch.

    Parameters
    ----------
    box : Box
        Output pixels.
    scale_x, scale_y : float
        Source pixels per output pixel.
    """
    x0, x1 = span(box.x0, box.x1, scale_x)
    y0, y1 = span(box.y0, box.y1, scale_y)
    return Box(x0, y0, x1, y1)


def area_mean(source: Image, box: Box, scale_x: float, scale_y: float) -> Image:
    """Area average of the source under each output pixel.

    Parameters
    ----------
    source : (h, w, 3) uint8
        The pixels of exactly ``source_box(box, scale_x, scale_y)``.
    box : Box
        Output pixels, in the frame whose pixel (0, 0) starts at source pixel (0, 0).
    scale_x, scale_y : float
        Source pixels per output pixel, at least 1. Whole ones give exact integer means, halves rounded up;
        others are computed in float32.

    Returns
    -------
    (box.height, box.width, 3) uint8

    Examples
    --------
    >>> area_mean(np.array([[[1, 1, 1], [2, 2, 2]]], np.uint8), Box(0, 0, 1, 1), 2.0, 1.0)
    array([[[2, 2, 2]]], dtype=uint8)
    """
    if scale_x == scale_y == 1:
        return source
    if scale_x == scale_y == 2:  # the usual one, from 40x to 20x; OpenCV does it in whole numbers too, halves up
        half = (box.width, box.height)
        return np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
    rows = _sum_rows(source, box.y0, box.y1, scale_y)
    # Summing down rows runs over contiguous memory, so x is summed as the rows of the transposed array.
    columns = _sum_rows(cv2.transpose(rows), box.x0, box.x1, scale_x)
    return _mean(np.asarray(cv2.transpose(columns)), scale_x * scale_y)


def bands(box: Box, scale_x: float, scale_y: float) -> Iterator[Box]:
    """Bands of a box whose source pixels fit a fixed amount of memory; none for an empty box.

    Parameters
    ----------
    box : Box
        Output pixels.
    scale_x, scale_y : float
        Source pixels per output pixel.
    """
    if box.empty:
        return
    rows = max(1, int(_SOURCE_PX_AT_ONCE / (box.width * scale_x * scale_y)))
    for y in range(box.y0, box.y1, rows):
        yield Box(box.x0, y, box.x1, min(y + rows, box.y1))


def black_to_white(rgb: Image) -> Image:
    """Pixels (h, w, 3) of which those of black ground are white."""
    black = rgb.max(axis=2) <= BLACK_GROUND
    return np.where(black[..., None], np.uint8(255), rgb) if black.any() else rgb


def mirrored(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """Positions on an axis of ``size`` pixels whose pixels stand at [start, stop) of the mirrored plane.

    Parameters
    ----------
    start, stop : int
        May lie beyond the axis, on either side.
    size : int
        Pixels of the axis, at least 1.
    """
    period = max(1, 2 * (size - 1))
    positions = np.arange(start, stop) % period
    return np.minimum(positions, period - positions)


def read_mirrored(read: Callable[[Box], Image], box: Box, plane: Box) -> Image:
    """Pixels of a box, the plane's mirror image where the box leaves it; edge pixels are not repeated.

    Parameters
    ----------
    read : callable
        Reads a box within the plane, (h, w, 3) uint8.
    box, plane : Box
        The box, of any size, and the plane, whose origin is that of the frame.
    """
    inside = box.intersect(plane)
    if inside == box:
        return read(box)
    left, top, right, bottom = inside.x0 - box.x0, inside.y0 - box.y0, box.x1 - inside.x1, box.y1 - inside.y1
    if max(left, right) < inside.width and max(top, bottom) < inside.height:  # all that is mirrored is inside
        return np.asarray(cv2.copyMakeBorder(read(inside), top, bottom, left, right, cv2.BORDER_REFLECT_101), np.uint8)
    rows, columns = mirrored(box.y0, box.y1, plane.height), mirrored(box.x0, box.x1, plane.width)
    x0, y0 = int(columns.min()), int(rows.min())
    image = read(Box(x0, y0, int(columns.max()) + 1, int(rows.max()) + 1))
    return image.take(rows - y0, axis=0).take(columns - x0, axis=1)


def compressed_tiles(box: Box) -> Iterator[Box]:
    """Squares of a box, on a lattice of 256 px, the usual side of a compressed tile."""
    for y in range(box.y0 - box.y0 % 256, box.y1, 256):
        for x in range(box.x0 - box.x0 % 256, box.x1, 256):
            yield Box(x, y, x + 256, y + 256).intersect(box)


def over_white(rgba: Image) -> Image:
    """Composite an RGBA image (h, w, 4) over white, (h, w, 3); alpha 0 means not scanned."""
    alpha = rgba[..., 3]
    if alpha.min() == 255:
        return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    weight = alpha[..., None].astype(np.uint32)
    return ((rgba[..., :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def _sum_rows(array: Sums, first: int, stop: int, scale: float) -> Sums:
    if scale == int(scale):
        return _sum_whole_rows(array, int(scale))
    return _sum_weighted_rows(array, first, stop, scale)


def _sum_whole_rows(array: Sums, n: int) -> Sums:
    if n == 1:
        return array
    groups = array.reshape(-1, n, array.shape[1] * 3)
    # 257 bytes fit into 16 bits; OpenCV transposes signed 32-bit integers but not unsigned ones.
    narrow = np.uint16 if n <= 257 else np.int32
    dtype = {"u1": narrow, "u2": np.int32, "i4": np.int32}.get(array.dtype.str[1:], np.float32)
    total: Sums = groups[:, 0].astype(dtype)
    for k in range(1, n):
        total += groups[:, k]
    return total.reshape(len(groups), array.shape[1], 3)


def _sum_weighted_rows(array: Sums, first: int, stop: int, scale: float) -> Sums:
    flat = array.reshape(len(array), -1)
    low = np.arange(first, stop) * scale
    high = np.arange(first + 1, stop + 1) * scale
    touched = np.floor(low).astype(np.int64)
    start = touched[0]
    total = np.zeros((stop - first, flat.shape[1]), np.float32)
    for y in range(0, len(total), _ROWS_AT_ONCE):
        here = slice(y, y + _ROWS_AT_ONCE)
        for k in range(_touched(scale)):
            pixel = touched[here] + k
            weight = np.minimum(high[here], pixel + 1) - np.maximum(low[here], pixel)
            weight = np.maximum(weight, 0).astype(np.float32)[:, None]
            total[here] += flat[pixel - start].astype(np.float32, copy=False) * weight
    return total.reshape(len(total), array.shape[1], 3)


def _touched(scale: float) -> int:
    """Most source pixels that one output pixel of a fractional scale touches."""
    return math.floor(scale) + 2


def _mean(sums: Sums, area: float) -> Image:
    if np.issubdtype(sums.dtype, np.integer):
        sums = (sums.astype(np.int32) + int(area) // 2) // int(area)
    else:
        sums = np.floor(sums * np.float32(1 / area) + np.float32(0.5))
    return sums.astype(np.uint8)
