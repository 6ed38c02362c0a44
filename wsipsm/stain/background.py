"""Background of stained tissue: the optical density that most of it has where it holds no stain to speak of."""

from __future__ import annotations

import numpy as np

from wsipsm.stain.optics import Floats
from wsipsm.stain.registry import Vector

HIGHEST_OD = 0.35
"""A background is sought below this optical density."""

_BINS, _SMOOTH_BINS = 140, 2
_NO_LIGHT_LOST = 0.002


def background_density(density: Floats) -> Vector:
    """Mode of the optical density in red, green and blue, each by itself.

    Most of a slide's tissue is pale, so its most frequent density is that of unstained tissue and of the lamp. A mean
    or a percentile would move with the number of stained nuclei.

    Parameters
    ----------
    density : (..., 3) float32
        Optical density over tissue. Pixels without any absorption, white paint or the ground outside of the scan, are
        left out.
    """
    seen = density.reshape(-1, 3)
    seen = seen[seen.max(axis=1) > _NO_LIGHT_LOST]
    red, green, blue = (_mode(seen[:, k]) for k in range(3))
    return red, green, blue


def _mode(values: Floats) -> float:
    counts, edges = np.histogram(values, _BINS, (0, HIGHEST_OD))
    kernel = np.exp(-0.5 * (np.arange(-3 * _SMOOTH_BINS, 3 * _SMOOTH_BINS + 1) / _SMOOTH_BINS) ** 2)
    peak = int(np.convolve(counts, kernel, mode="same").argmax())
    return float((edges[peak] + edges[peak + 1]) / 2) if counts.any() else 0.0
