"""Compiled loops over the pixels of a block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float32]


@compiled
def half(plane: _Floats) -> _Floats:
    """Maxima of 2 x 2 pixels: (y, x, c) float32 to (y / 2, x / 2, c)."""
    height, width, count = plane.shape
    halved = np.empty((height // 2, width // 2, count), np.float32)
    lines, out = plane.reshape(height, width * count), halved.reshape(height // 2, width // 2 * count)
    higher = np.empty(width * count, np.float32)
    for y in range(height // 2):
        for at in range(width * count):
            higher[at] = max(lines[2 * y, at], lines[2 * y + 1, at])
        for x in range(width // 2):
            for channel in range(count):
                at = 2 * x * count + channel
                out[y, x * count + channel] = max(higher[at], higher[at + count])
    return halved
