"""Compiled loops over the pixels of a block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]


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
