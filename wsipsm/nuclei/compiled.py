"""Compiled loops over the pixels of a block."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]

LANES = 8
"""Channels that are worked on at a time, as machine code knows beforehand; widths of networks are multiples of it."""


@compiled
def half(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Maxima of 2 x 2 pixels: (y, x, c) to (y / 2, x / 2, c)."""
    height, width, count = plane.shape
    halved = np.empty((height // 2, width // 2, count), plane.dtype)
    lines, out = plane.reshape(height, width * count), halved.reshape(height // 2, width // 2 * count)
    higher = np.empty(width * count, plane.dtype)
    for y in range(height // 2):
        for at in range(width * count):
            higher[at] = max(lines[2 * y, at], lines[2 * y + 1, at])
        if count % LANES:
            for at in range(width // 2 * count):
                there = at + at // count * count
                out[y, at] = max(higher[there], higher[there + count])
            continue
        for at in range(0, width // 2 * count, LANES):
            there = at + at // count * count
            for lane in range(LANES):
                out[y, at + lane] = max(higher[there + lane], higher[there + count + lane])
    return halved


@compiled
def lifted_onto(skip: _Bytes, low: _Floats, cut: tuple[int, int], steps: _Floats) -> _Bytes:
    """Sum of a skip and of what is interpolated to twice its resolution, as bytes.

    Parameters
    ----------
    skip : (y, x, c) uint8
        Its unit is ``steps[0]``.
    low : (v, u, 2 c) float32
        What is lifted, in two summands: bilinear, as pixels are areas, the border is continued.
    cut : two of int
        Pixels of each side that are left out: of the skip, and of what is lifted; even.
    steps : (3,) float32
        Unit of the skip, unit of the sum, byte of the sum that is 0.

    Returns
    -------
    (y - 2 cut[0], x - 2 cut[0], c) uint8
        Rounded and clipped.
    """
    rim, beyond = cut
    rows, columns, count = low.shape[0], low.shape[1], skip.shape[2]
    height, width, size = skip.shape[0] - 2 * rim, skip.shape[1] - 2 * rim, columns * count
    ratio, scale, zero = steps[0] / steps[1], np.float32(1) / steps[1], steps[2] + np.float32(0.5)
    low_lines, first = summed(low).reshape(rows, size), beyond // 2 * count
    skip_lines = skip.reshape(skip.shape[0], skip.shape[1] * count)
    merged = np.empty((height, width, count), np.uint8)
    lines, padded = merged.reshape(height, width * count), np.empty(size + 2 * count, np.float32)
    even, odd = np.empty(width // 2 * count, np.uint8), np.empty(width // 2 * count, np.uint8)
    for y in range(height):
        row = (y + beyond) // 2
        other = min(max(row + 2 * ((y + beyond) % 2) - 1, 0), rows - 1)
        _between(low_lines[row], low_lines[other], scale, zero, padded[count : count + size])
        padded[:count], padded[count + size :] = padded[count : 2 * count], padded[size : size + count]
        onto = skip_lines[y + rim, rim * count : (rim + width) * count]
        if count % 8:
            _parted(onto, count, even, odd)
            _doubled(padded[first:], count, ratio, even, odd)
            _joined(even, odd, count, lines[y])
        else:  # the channels of a pixel are few words
            _parted(onto.view(np.uint64), count // 8, even.view(np.uint64), odd.view(np.uint64))
            _doubled(padded[first:], count, ratio, even, odd)
            _joined(even.view(np.uint64), odd.view(np.uint64), count // 8, lines[y].view(np.uint64))
    return merged


@compiled
def summed(planes: _Floats) -> _Floats:
    """Sum of the first and the second half of the channels: (y, x, 2 c) to (y, x, c)."""
    height, width, both = planes.shape
    count = both // 2
    sums = np.empty((height, width, count), np.float32)
    for y in range(height):
        for x in range(width):
            one, other, to = planes[y, x, :count], planes[y, x, count:], sums[y, x]
            for channel in range(count):
                to[channel] = one[channel] + other[channel]
    return sums


@compiled
def _between(near: _Floats, far: _Floats, scale: np.float32, zero: np.float32, to: _Floats) -> None:
    """A quarter of the way from one line to another, scaled, above zero."""
    for at in range(len(to)):
        to[at] = (np.float32(0.75) * near[at] + np.float32(0.25) * far[at]) * scale + zero


@compiled
def _parted(line: npt.NDArray[Any], count: int, even: npt.NDArray[Any], odd: npt.NDArray[Any]) -> None:
    """Every other pixel of a line, each of so many numbers."""
    for at in range(len(even)):
        there = at + at // count * count
        even[at], odd[at] = line[there], line[there + count]


@compiled
def _joined(even: npt.NDArray[Any], odd: npt.NDArray[Any], count: int, line: npt.NDArray[Any]) -> None:
    """Inverse of `_parted`."""
    for at in range(len(even)):
        there = at + at // count * count
        line[there], line[there + count] = even[at], odd[at]


@compiled
def _doubled(line: _Floats, count: int, ratio: np.float32, even: _Bytes, odd: _Bytes) -> None:
    """Add a line, interpolated to twice its pixels, to the scaled bytes of even and odd pixels."""
    before, here, behind, most = line, line[count:], line[2 * count :], np.int32(255)
    for at in range(len(even)):
        near = np.float32(0.75) * here[at]
        left = np.int32(near + np.float32(0.25) * before[at] + np.float32(np.int32(even[at])) * ratio)
        right = np.int32(near + np.float32(0.25) * behind[at] + np.float32(np.int32(odd[at])) * ratio)
        even[at] = np.uint8(min(max(left, np.int32(0)), most))
        odd[at] = np.uint8(min(max(right, np.int32(0)), most))


@compiled
def evidence_steps(
    distance: _Floats, smoothed: _Floats, threshold: np.float32, least: int, to: npt.NDArray[np.uint8]
) -> None:
    """Evidence of pixels.

    Parameters
    ----------
    distance : (y, x) float32
        Where it is above the threshold, there is evidence.
    smoothed : (y, x) float32
        The distance, smoothed: 1 and more is most evidence.
    threshold : float32
        Distance at an outline.
    least : int
        Evidence of a pixel whose smoothed distance is 0; 127 more where it is 1.
    to : (y, x) uint8
        Written to.
    """
    height, width = distance.shape
    for y in range(height):
        here, smooth, line = distance[y], smoothed[y], to[y]
        for x in range(width):
            value = min(max(smooth[x], np.float32(0)), np.float32(1))
            steps = np.int32(least) + np.int32(np.float32(127) * value)
            line[x] = np.uint8(steps if here[x] > threshold else np.int32(0))


@compiled
def bytes_of_shares(share: _Floats, to: npt.NDArray[np.uint8]) -> None:
    """Shares from 0 to 1 as bytes, rounded to even and clipped; 255 is 1."""
    height, width = share.shape
    for y in range(height):
        line, out = share[y], to[y]
        for x in range(width):
            value = np.rint(line[x] * np.float32(255))
            out[x] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))
