"""Connected components: the largest one of each label, and sums over its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from wsipsm.core.geometry import Labels, Mask

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Components:
    """N connected components (4 neighbours), one a label.

    Attributes
    ----------
    labels : (y, x) int32
        Each component has its own value, and so have the smaller components of the labels; 0 is background.
    pixels, owner : (P,) int64
        Flat indices of all their pixels in scan order, and the number of the component (from 0) each belongs to.
    area : (N,) int64
        Pixels.
    first, anchor : (N,) int64
        Flat index of the first pixel, in scan order, of the component, and of the whole label.
    """

    labels: npt.NDArray[np.int32]
    pixels: _Ints
    owner: _Ints
    area: _Ints
    first: _Ints
    anchor: _Ints

    def drop_smaller(self, area_px: float) -> Components:
        """Components of at least this area, px."""
        kept = self.area >= area_px
        if kept.all():
            return self
        number = np.cumsum(kept) - 1
        stay = kept[self.owner]
        return Components(
            labels=self.labels,
            pixels=self.pixels[stay],
            owner=number[self.owner[stay]],
            area=self.area[kept],
            first=self.first[kept],
            anchor=self.anchor[kept],
        )

    def total(self, values: npt.NDArray[Any]) -> _Floats:
        """Sum of the (P,) values over each component, in scan order; exact for integers."""
        return np.bincount(self.owner, weights=values, minlength=len(self.area)).astype(np.float64, copy=False)

    def mean(self, image: npt.NDArray[Any], weight: _Ints | None = None) -> _Floats:
        """Mean of a (y, x) image over each component; weighted, where a component has any weight (y, x)."""
        values = image.ravel()[self.pixels]
        means: _Floats = self.total(values) / self.area
        if weight is None:
            return means
        weights = weight.ravel()[self.pixels]
        totals = self.total(weights)
        return np.divide(self.total(values * weights), totals, out=means, where=totals > 0)

    def deviation(self, image: npt.NDArray[Any]) -> _Floats:
        """Standard deviation of a whole-numbered (y, x) image over each component, of a sample; 0 for one pixel."""
        values = image.ravel()[self.pixels].astype(np.int64)
        return sample_deviation(self.area, self.total(values), self.total(values * values))

    def centroids(self, x0: int, y0: int) -> _Floats:
        """Centres of gravity, (N, 2) as (x, y), where ``labels`` begins at (x0, y0); a pixel's centre is at .5."""
        x, y = self._own_frame()
        first_y, first_x = np.divmod(self.first, self.labels.shape[1])
        # One rounded sum of a fraction and a whole number: the same in every window.
        centre_x = self.total(x) / self.area + (first_x + x0 + 0.5)
        centre_y = self.total(y) / self.area + (first_y + y0 + 0.5)
        return np.stack([centre_x, centre_y], axis=1)

    def maximum(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Largest value of a (y, x) image in each component."""
        values = image.ravel()[self.pixels]
        if not len(self.area):
            return values
        order = np.argsort(self.owner, kind="stable")
        return np.maximum.reduceat(values[order], np.cumsum(self.area) - self.area)

    def eccentricities(self) -> _Floats:
        """Eccentricity of the ellipse of the same second moments; 0 is a circle (or one pixel), towards 1 a line."""
        xx, yy, xy = self._spread()
        half_trace, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        long = half_trace + spread
        ratio = np.divide(half_trace - spread, long, out=np.ones_like(long), where=long > 0)
        eccentricities: _Floats = np.sqrt(np.clip(1 - ratio, 0, 1))
        return eccentricities

    def ellipse_fills(self) -> _Floats:
        """Area over that of the ellipse with the same second moments, at most 1; an ellipse has 1."""
        xx, yy, xy = self._spread()
        square = self.area.astype(np.float64) ** 2
        var_x, var_y, covariance = xx / square + 1 / 12, yy / square + 1 / 12, xy / square  # 1/12: that of a pixel
        ellipse = 4 * np.pi * np.sqrt(var_x * var_y - covariance * covariance)
        return np.minimum(self.area / ellipse, 1.0)

    def _spread(self) -> tuple[_Floats, _Floats, _Floats]:
        """Second moments xx, yy, xy about the centre, times the area squared."""
        x, y = self._own_frame()
        n, sx, sy = self.area, self.total(x), self.total(y)
        # Whole numbers, hence exact, as long as a cell is far below a million pixels.
        xx, yy = n * self.total(x * x) - sx * sx, n * self.total(y * y) - sy * sy
        return xx, yy, n * self.total(x * y) - sx * sy

    def _own_frame(self) -> tuple[_Ints, _Ints]:
        """Count x and y from the first pixel of each component: the same wherever the window lies."""
        y, x = np.divmod(self.pixels, self.labels.shape[1])
        first_y, first_x = np.divmod(self.first, self.labels.shape[1])
        return x - first_x[self.owner], y - first_y[self.owner]


def sample_deviation(count: npt.NDArray[Any], total: _Floats, squares: _Floats) -> _Floats:
    """Standard deviation of samples by their sizes, sums and sums of squares, (N,) each; 0 for one value or none.

    Parameters
    ----------
    count : (N,) int
        Sizes.
    total, squares : (N,) float64
        Sums of the values and of their squares, whole numbers.

    Examples
    --------
    >>> sample_deviation(np.array([3, 1]), np.array([6.0, 2.0]), np.array([14.0, 4.0])).tolist()
    [1.0, 0.0]
    """
    spread = np.maximum(count * squares - total * total, 0)  # whole numbers: exact
    variance: _Floats = np.divide(spread, count * (count - 1), out=np.zeros_like(spread), where=count > 1)
    return np.sqrt(variance)


def largest_components(labels: Labels, keep: Mask) -> Components:
    """Largest 4-connected part of each wanted label; of equal ones, the first in scan order.

    Parameters
    ----------
    labels : (y, x) int
        Labels 1 to N, 0 is background.
    keep : (N,) bool
        Which labels are wanted; ``keep[0]`` is label 1. A label without a pixel is passed over.

    Returns
    -------
    Components
        Ordered by label.
    """
    wanted = np.concatenate([[False], keep])[labels]
    parts = _components(np.where(wanted, labels, 0))
    pixels = np.flatnonzero(wanted)
    part = parts.ravel()[pixels]
    n_parts = int(parts.max(initial=0))
    area = np.bincount(part, minlength=n_parts + 1)
    first = np.zeros(n_parts + 1, np.int64)
    first[part[::-1]] = pixels[::-1]  # the last assignment of a repeated index stays: the first in scan order
    label = labels.ravel()[first]
    label[0] = 0
    order = np.lexsort((first, -area, label))[1:]  # without the background
    leads = np.diff(label[order], prepend=0) != 0
    chosen = order[leads]
    number = np.full(n_parts + 1, -1, np.int64)
    number[chosen] = np.arange(len(chosen))
    owner = number[part]
    start = np.flatnonzero(leads)
    return Components(
        labels=parts,
        pixels=pixels[owner >= 0],
        owner=owner[owner >= 0],
        area=area[chosen],
        first=first[chosen],
        anchor=np.minimum.reduceat(first[order], start) if len(start) else first[:0],
    )


def _components(labels: Labels) -> npt.NDArray[np.int32]:
    """Label image of the 4-connected parts of equal value."""
    parts = measure.label(labels, background=0, connectivity=1)
    return np.asarray(parts, np.int32)
