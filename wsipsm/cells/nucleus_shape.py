"""How much a component looks like a nucleus, from its moments.

The moments are whole numbers and do not know where the window lies; the score is made of them with + - * / and
sqrt only, which IEEE 754 rounds the same everywhere. So equal shapes score equally, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from wsipsm.cells.component_tree import Ints, Sums
from wsipsm.core.geometry import Mask

_SLENDER = 0.5  # axis ratios below it lower the score


@dataclass(frozen=True, slots=True)
class Moments:
    """Area and sums of x, y, x * x, y * y and x * y over the pixels of each component, (N,) int64."""

    area: Ints
    x: Ints
    y: Ints
    xx: Ints
    yy: Ints
    xy: Ints

    @classmethod
    def of_sums(cls, sums: Sums) -> Moments:
        """Those of the components of a tree."""
        return cls(*(getattr(sums, field.name) for field in fields(cls)))

    def of(self, wanted: Mask) -> Moments:
        """Those of the ``wanted`` components, (N,) bool."""
        return Moments(*(getattr(self, field.name)[wanted] for field in fields(self)))

    def spread(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Variance along x and along y, and covariance, (N,) float64 each; of empty components that of a pixel."""
        n = np.maximum(self.area, 1)
        square = (n * n).astype(np.float64)
        # The differences are exact and the same at any origin; 1/12 is the variance of a pixel.
        var_x = (n * self.xx - self.x * self.x) / square + 1 / 12
        var_y = (n * self.yy - self.y * self.y) / square + 1 / 12
        return var_x, var_y, (n * self.xy - self.x * self.y) / square

    def widths(self) -> npt.NDArray[np.float64]:
        """Minor axis of the ellipse with the same second moments, 4 standard deviations; (N,) float64."""
        var_x, var_y, covariance = self.spread()
        half_difference = (var_x - var_y) / 2
        root = np.sqrt(half_difference * half_difference + covariance * covariance)
        widths: npt.NDArray[np.float64] = 4 * np.sqrt(np.maximum((var_x + var_y) / 2 - root, 0))
        return widths


def label_moments(labels: npt.NDArray[np.int32]) -> Moments:
    """Moments of label 1, 2, ... up to the highest; a label without a pixel has an area of 0."""
    pixels = np.flatnonzero(labels)
    y, x = (part.astype(np.float64) for part in np.divmod(pixels, labels.shape[1]))
    owner, count = labels.ravel()[pixels], int(labels.max(initial=0)) + 1

    def total(values: npt.NDArray[np.float64] | None) -> Ints:
        return np.bincount(owner, values, minlength=count)[1:].astype(np.int64)

    return Moments(total(None), total(x), total(y), total(x * x), total(y * y), total(x * y))


def nucleus_score(moments: Moments, *, mpp: float, usual_area_um2: Sequence[float]) -> npt.NDArray[np.float64]:
    """Score of every component: an ellipse, not too slender, of a usual size.

    Parameters
    ----------
    moments : Moments
        Of N components, in pixels; areas below 65 000 and coordinates below 65 000 keep the integers exact.
    mpp : float
        Micrometres per pixel.
    usual_area_um2 : sequence of 4 float
        Corners of the trapezium over the area: 0 up to the first and from the last on, full between the others.

    Returns
    -------
    (N,) float64
        In [0, 1]. The eighth power of the share of the component's moment ellipse that it fills, times the axis
        ratio where that is below 1/2, times the root of a trapezium over its area.
    """
    n = moments.area
    var_x, var_y, covariance = moments.spread()
    determinant = var_x * var_y - covariance * covariance
    filled = np.minimum(n / (4 * math.pi * np.sqrt(determinant)), 1)
    for _ in range(3):
        filled = filled * filled
    half_trace = (var_x + var_y) / 2
    root = np.sqrt(np.maximum(half_trace * half_trace - determinant, 0))
    axis_ratio = np.sqrt(np.maximum(half_trace - root, 0) / (half_trace + root))
    score: npt.NDArray[np.float64] = filled * np.minimum(axis_ratio / _SLENDER, 1) * _usual_size(n, mpp, usual_area_um2)
    return score


def _usual_size(area: Ints, mpp: float, usual_area_um2: Sequence[float]) -> npt.NDArray[np.float64]:
    none, low, high, end = (area_um2 / mpp**2 for area_um2 in usual_area_um2)
    trapezium = np.minimum((area - none) / (low - none), (end - area) / (end - high))
    root: npt.NDArray[np.float64] = np.sqrt(np.clip(trapezium, 0, 1))
    return root
