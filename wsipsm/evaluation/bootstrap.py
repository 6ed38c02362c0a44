"""Bootstrap interval of a mean over images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
SEED = 0


def mean_interval(
    values: npt.NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = SEED
) -> npt.NDArray[np.float64] | None:
    """Percentile bootstrap interval, 95 %, of the mean over images.

    Parameters
    ----------
    values : (N, K) float64
        K measures of N images; all measures use the same resamples of images.
    resamples, seed : int
        Number of resamples, and seed of the random generator.

    Returns
    -------
    (2, K) float64 or None
        Lower and upper limits; None with fewer than two images.
    """
    count = len(values)
    if count < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    weights = np.stack([np.bincount(row, minlength=count) for row in drawn]) / count
    interval: npt.NDArray[np.float64] = np.percentile(weights @ values, [2.5, 97.5], axis=0)
    return interval
