"""Points of nuclei: peaks of a blurred probability map."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import peak_local_max

from wsipsm.core.geometry import Map
from wsipsm.training.paper.settings import PointSettings
from wsipsm.training.paper.voronoi import Points


def find_points(probability: Map, settings: PointSettings) -> Points:
    """One point for each nucleus.

    Parameters
    ----------
    probability : (y, x) float32
        Probability of nucleus, 0 to 1.
    settings : PointSettings
        Window, threshold and distances.

    Returns
    -------
    (n, 2) int64
        (x, y), the highest first; none nearer to the border than half of ``peak_distance_px``.
    """
    peaks = peak_local_max(
        blurred(probability, settings),
        min_distance=settings.peak_distance_px,
        threshold_abs=settings.threshold,
        exclude_border=settings.peak_distance_px // 2,
    )
    return merged(peaks[:, ::-1].astype(np.int64), distance=settings.merge_px)


def blurred(probability: Map, settings: PointSettings) -> Map:
    """Probability (y, x) after a Gaussian window of ``blur_px`` a side, float32."""
    window = (settings.blur_px, settings.blur_px)
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(probability, np.float32), window, 0), np.float32)


def merged(points: Points, *, distance: float) -> Points:
    """Means of groups of points that lie close.

    In their order, a point joins the first group with a member nearer than ``distance`` (horizontal plus vertical)
    and else begins one. So a chain of near points is one group.

    Parameters
    ----------
    points : (n, 2) int64
        (x, y).
    distance : float
        Pixels.

    Returns
    -------
    (m, 2) int64
        Means, rounded down, in the order of the groups.

    Examples
    --------
    >>> merged(np.array([[0, 0], [50, 0], [5, 3]]), distance=20).tolist()
    [[2, 1], [50, 0]]
    """
    group: npt.NDArray[np.int64] = np.zeros(len(points), np.int64)
    groups = 0
    for index, point in enumerate(points):
        near = np.abs(points[:index] - point).sum(axis=1) < distance
        if near.any():
            group[index] = group[:index][near].min()
        else:
            group[index], groups = groups, groups + 1
    sizes = np.bincount(group, minlength=groups)
    sums = [np.bincount(group, points[:, axis], minlength=groups) for axis in (0, 1)]
    return np.stack([total // sizes for total in sums], axis=1).astype(np.int64).reshape(-1, 2)[:groups]
