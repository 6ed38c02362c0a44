"""Otsu's threshold, as scikit-image finds it, whose import takes as long as a slide's constants do."""

from __future__ import annotations

import numpy as np

from wsipsm.stain.optics import Floats

_BINS = 256


def otsu_threshold(values: Floats) -> float:
    """The value that parts others best into low and high ones: most variance lies between the two (Otsu, 1979).

    Parameters
    ----------
    values : (n,) float32
        Not all the same.

    Returns
    -------
    float
        Middle of one of 256 bins between the smallest and the largest, to the bit that of
        ``skimage.filters.threshold_otsu``.
    """
    counted, edges = np.histogram(values, bins=_BINS)
    counts, centers = counted.astype(np.float32), (edges[:-1] + edges[1:]) / 2.0
    sums = counts * centers
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    low, high = np.cumsum(sums) / below, np.cumsum(sums[::-1])[::-1] / above
    between = below[:-1] * above[1:] * (low[:-1] - high[1:]) ** 2
    return float(centers[np.argmax(between)])
