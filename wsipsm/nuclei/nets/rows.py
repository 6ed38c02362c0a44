"""A U-Net's levels as vectors of a CPU want them: compiled, over planes that lie line by line.

Planes are (rows, channels, line) float32; a line has `EDGE` zeros, the pixels of a row, and zeros to its end: a vector
holds neighbours of one channel, and the end of a row is nothing special. Two rows of a 3 x 3 convolution are made of
four sums and differences of the rows around them, with two thirds of the products: F(2, 3) of Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks" (CVPR 2016). Each pixel is summed in one order, whatever the size of the
block or the width of the CPU's vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled
from wsipsm.nuclei.nets.packing import Packed, Planes
from wsipsm.nuclei.nets.vectors import (
    GROUP,
    LANES,
    bordered,
    differences,
    doubled,
    last_of_two_rows,
    maxima,
    mixed,
    two_rows,
)

EDGE = 16
"""Zeros before a line and at least as many behind it."""
_KEPT = 8
"""Rows that are kept of what the next step reads five of."""


@compiled
def planes_of(rows: int, channels: int, width: int) -> Planes:
    """Planes that are not yet written.

    Parameters
    ----------
    rows, channels, width : int
        Pixels of a plane are (rows, width).

    Returns
    -------
    (rows, channels, line) float32
        They begin at a multiple of 64 bytes.
    """
    line = EDGE + (width + LANES - 1) // LANES * LANES + EDGE
    line += EDGE * (line * channels % 1024 == 0)  # lines of memory whose addresses end alike get into each other's way
    room = np.empty(rows * channels * line + EDGE, np.float32)
    first = -(room.ctypes.data // 4) % EDGE
    return room[first : first + rows * channels * line].reshape(rows, channels, line)


@compiled
def _border(row: Planes, width: int) -> None:
    """Zeros before and behind so many pixels of the lines of a row (channels, line)."""
    bordered((row.ctypes.data, row[0].nbytes, len(row), EDGE // LANES, 4 * (EDGE + width)))


@compiled
def rows_of(image: Planes) -> Planes:
    """Planes (y, c, line) of an image (y, x, c)."""
    height, width, channels = image.shape
    rows = planes_of(height, channels, width)
    for y in range(height):
        for channel in range(channels):
            for x in range(width):
                rows[y, channel, EDGE + x] = image[y, x, channel]
        _border(rows[y], width)
    return rows


@compiled
def _room(channels: int, width: int) -> tuple[Planes, Planes, Planes]:
    """Where a convolution of so many channels keeps zeros, sums of rows, and sums of products."""
    zeros = planes_of(1, channels, width)
    zeros[:] = 0
    return zeros, planes_of(4, channels, width), planes_of(1, 1, 8 * GROUP * LANES)


@compiled
def _two_rows(
    source: Planes, y: int, size: tuple[int, int], packed: Packed, room: tuple[Planes, Planes, Planes], to: Planes
) -> None:
    """Rows y and y + 1 of a convolution and its ReLU; of source and target, a row lies at itself modulo their rows."""
    (height, width), (zeros, sums, products), (weights, biases) = size, room, packed
    kept, channels, line = source.shape
    apart, start, none = 4 * channels * line, source.ctypes.data, zeros.ctypes.data
    before = start + (y - 1) % kept * apart if y > 0 else none
    behind = start + (y + 1) % kept * apart if y + 1 < height else none
    beyond = start + (y + 2) % kept * apart if y + 2 < height else none
    differences((before, start + y % kept * apart, behind, beyond, sums.ctypes.data, apart, channels * line // LANES))
    read, row, line_to, spare = sums.ctypes.data + 4 * (EDGE - 1), to[0].nbytes, to[0, 0].nbytes, products.ctypes.data
    for group in range(len(weights)):
        there = to[y % len(to), group * GROUP, EDGE:].ctypes.data
        weight, bias = weights[group].ctypes.data, biases[group].ctypes.data
        for at in range(0, 4 * (width - LANES), 8 * LANES):
            two_rows((read + at, apart, 4 * line, channels, weight, bias, there + at, row, line_to, spare))
        if (width + LANES - 1) // LANES % 2:
            at = 4 * ((width - 1) // LANES * LANES)
            last_of_two_rows((read + at, apart, 4 * line, channels, weight, bias, there + at, row, line_to, spare))
    _border(to[y % len(to)], width)
    _border(to[y % len(to) + 1], width)


@compiled
def _mix(source: Planes, first: int, width: int, packed: Packed, spare: Planes, to: Planes) -> None:
    """A 1 x 1 convolution (channels, line) of a row (channels, line), from a place in its lines on."""
    weights, biases = packed
    line, line_to = source[0].nbytes, to[0].nbytes
    for group in range(len(weights)):
        weight, bias = weights[group].ctypes.data, biases[group].ctypes.data
        read, there = source[0, first:].ctypes.data, to[group * GROUP, EDGE:].ctypes.data
        for at in range(0, 4 * width, 4 * LANES):
            mixed((read + at, 0, line, len(source), weight, bias, there + at, 0, line_to, spare.ctypes.data))


@compiled
def descended(source: Planes, size: tuple[int, int], first: Packed, second: Packed) -> tuple[Planes, Planes]:
    """Two convolutions of planes with their ReLUs, and the maxima of 2 x 2 pixels of the second.

    Parameters
    ----------
    source : (y, c, line) float32
        Planes, an even number of rows.
    size : two of int
        Their pixels: height and width.
    first, second : two of ndarray
        Of `packed`.

    Returns
    -------
    two of (y, c, line) float32
        Planes, and those of half the resolution; an odd row or column has none there.
    """
    (height, width), inner, outer = size, first[1].size, second[1].size
    between, kept = planes_of(_KEPT, inner, width), planes_of(height + height % 2, outer, width)
    halved = planes_of((height // 2 + 1) // 2 * 2, outer, width // 2)
    here, there = _room(source.shape[1], width), _room(inner, width)
    for y in range(0, height + 2, 2):
        if y < height:
            _two_rows(source, y, size, first, here, between)
        if y >= 2:
            _two_rows(between, y - 2, size, second, there, kept)
            if y <= height:
                _halve(kept[y - 2], kept[y - 1], width // 2, halved[y // 2 - 1])
    return kept, halved


@compiled
def _halve(upper: Planes, lower: Planes, width: int, to: Planes) -> None:
    for channel in range(len(to)):
        above, below = upper[channel, EDGE:].ctypes.data, lower[channel, EDGE:].ctypes.data
        maxima((above, below, to[channel, EDGE:].ctypes.data, (width + LANES - 1) // LANES))
    _border(to, width)


class Place(NamedTuple):
    """Where the inside of a block lies, on a level of the way up.

    Attributes
    ----------
    height, width : int
        Pixels that are computed.
    rim : int
        Pixels of each side of the skip that are left out.
    deeper : int
        Pixels of each side of what comes from below that are left out.
    beyond : int
        Pixels of each side that are left out of what is interpolated from the rest of it; even.
    """

    height: int
    width: int
    rim: int
    deeper: int
    beyond: int


@compiled
def ascended(
    skip: Planes,
    low: Planes,
    place: Place,
    convolutions: tuple[Packed, Packed, Packed, Packed],
    shape: tuple[int, int, int],
) -> tuple[Planes, Planes]:
    """What comes from below, lifted onto a skip, and two convolutions of the sum with their ReLUs.

    Parameters
    ----------
    skip : (y, c, line) float32
        Planes of the way down.
    low : (v, d, line) float32
        Planes of half the resolution.
    place : Place
        What of them is wanted.
    convolutions : four of two of ndarray
        Of `packed`: the 1 x 1 that lifts, the two that follow, and a 1 x 1 of what they leave.
    shape : three of int
        Of the images that the last one makes, as far from each side; none for the planes themselves.

    Returns
    -------
    (y, c, line) float32
        Planes; no more than the last two rows, where there are images.
    (count, v, u) float32
        Images.
    """
    (lift, first, second, head), size, images = convolutions, (place.height, place.width), np.empty(shape, np.float32)
    (height, width), channels, inner = size, first[0].shape[2], first[1].size
    merged, between = planes_of(_KEPT, channels, width), planes_of(_KEPT, inner, width)
    found = planes_of(2 if images.size else height, second[1].size, width)
    here, there, outputs = _room(channels, width), _room(inner, width), planes_of(1, head[1].size, width)[0]
    wide = width // 2 + place.beyond
    lifted = planes_of(3, channels, wide), np.full(3, -1), here[2]
    for y in range(0, height + 4, 2):
        if y < height:
            _merge((skip, low), y, place, lift, lifted, merged)
            _merge((skip, low), y + 1, place, lift, lifted, merged)
        if 2 <= y < height + 2:
            _two_rows(merged, y - 2, size, first, here, between)
        if y >= 4:
            _two_rows(between, y - 4, size, second, there, found)
            _head(found, y - 4, size, head, (here[2], outputs), images)
    return found, images


@compiled
def _merge(
    ends: tuple[Planes, Planes],
    row: int,
    place: Place,
    lift: Packed,
    lifted: tuple[Planes, npt.NDArray[np.int64], Planes],
    to: Planes,
) -> None:
    """One row of the sum of a skip and what is interpolated onto it, bilinear, as pixels are areas.

    What was lifted stays: three rows, their numbers, and room for sums.
    """
    (skip, low), (rows, numbers, spare) = ends, lifted
    height, width = place.height // 2 + place.beyond, place.width // 2 + place.beyond
    near = (row + place.beyond) // 2
    far = min(max(near + 2 * ((row + place.beyond) % 2) - 1, 0), height - 1)
    for number in (near, far):
        if numbers[number % 3] != number:
            _mix(low[number + place.deeper], EDGE + place.deeper, width, lift, spare, rows[number % 3])
            for line in rows[number % 3]:  # the border is continued
                line[EDGE - 1], line[EDGE + width] = line[EDGE], line[EDGE + width - 1]
            numbers[number % 3] = number
    merged, onto, first = to[row % len(to)], skip[row + place.rim], EDGE + place.beyond // 2
    one, other = rows[near % 3, 0, first:].ctypes.data, rows[far % 3, 0, first:].ctypes.data
    start, there, strides = (
        onto[0, EDGE + place.rim :],
        merged[0, EDGE:],
        (rows[0, 0].nbytes, onto[0].nbytes, merged[0].nbytes),
    )
    count = (place.width // 2 + LANES - 1) // LANES
    doubled((one, other, start.ctypes.data, there.ctypes.data, *strides, len(merged), count))
    _border(merged, place.width)


@compiled
def _head(
    source: Planes, y: int, size: tuple[int, int], head: Packed, room: tuple[Planes, Planes], images: Planes
) -> None:
    """Rows y and y + 1 of images, as far as they have them."""
    count, height, width = images.shape
    cut, first, (spare, outputs) = (size[0] - height) // 2, EDGE + (size[1] - width) // 2, room
    for row in range(max(y, cut), min(y + 2, cut + height)):
        _mix(source[row % len(source)], first, width, head, spare, outputs)
        for image in range(count):
            line, pixels = outputs[image, EDGE:], images[image, row - cut]
            for x in range(width):  # a slice would be copied as fast, and compiled for two seconds
                pixels[x] = line[x]
