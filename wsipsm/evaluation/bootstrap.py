"""Bootstrap intervals over images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
SEED = 0

_Floats = npt.NDArray[np.float64]


def mean_interval(values: _Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> _Floats | None:
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
    return interval(values, lambda means: means, resamples=resamples, seed=seed)


def interval(
    values: _Floats, statistic: Callable[[_Floats], _Floats], *, resamples: int = RESAMPLES, seed: int = SEED
) -> _Floats | None:
    """Percentile bootstrap interval, 95 %, of statistics of means over images, such as a ratio of them.

    Parameters
    ----------
    values : (N, K) float64
        K measures of N images.
    statistic : callable
        From means (R, K) of R resamples to M statistics (R, M). NaN is one that a resample leaves undefined: it is
        left out.
    resamples, seed : int
        As in `mean_interval`.

    Returns
    -------
    (2, M) float64 or None
        Lower and upper limits, NaN where no resample has the statistic; None with fewer than two images.
    """
    count = len(values)
    if count < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    weights = np.stack([np.bincount(row, minlength=count) for row in drawn]) / count
    found = statistic(weights @ values)
    limits = np.full((2, found.shape[1]), np.nan)
    known = ~np.isnan(found).all(axis=0)
    limits[:, known] = np.nanpercentile(found[:, known], [2.5, 97.5], axis=0)
    return limits
