"""Connected components: the largest one of each label, and sums over its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Labels, Mask

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Runs = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Components:
    """N connected components (4 neighbours), one a label.

    Attributes
    ----------
    shape : (int, int)
        Of the window they lie in, (y, x).
    runs : four of (R,) int32
        Stretches of rows that they consist of, in scan order: first column, the column after the last, row, and the
        number of the component (from 0) each belongs to.
    area : (N,) int64
        Pixels.
    first, anchor : (N,) int64
        Flat index of the first pixel, in scan order, of the component, and of the whole label.
    """

    shape: tuple[int, ...]
    runs: _Runs
    area: _Ints
    first: _Ints
    anchor: _Ints

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """Image (y, x) of the components, from 1; 0 is background."""
        from wsipsm.cells.compiled import runs

        image = np.zeros(self.shape, np.int32)
        runs.paint(image, *self.runs[:3], self.runs[3] + 1)
        return image

    def drop_smaller(self, area_px: float) -> Components:
        """Components of at least this area, px."""
        kept = self.area >= area_px
        if kept.all():
            return self
        number = np.cumsum(kept, dtype=np.int32) - 1
        begin, end, row, owner = self.runs
        stay = kept[owner]
        runs = begin[stay], end[stay], row[stay], number[owner[stay]].astype(np.int32)
        return Components(self.shape, runs, self.area[kept], self.first[kept], self.anchor[kept])

    def sums(self, plane: npt.NDArray[Any]) -> _Floats:
        """Sums of a (y, x) plane of bytes over each component, and of its squares; (2, N), exact."""
        from wsipsm.cells.compiled import parts

        sums: _Floats = parts.sums(*unsigned(plane), self.runs, len(self.area))[:2].astype(np.float64)
        return sums

    def mean(self, plane: npt.NDArray[Any], weight: npt.NDArray[np.int32] | None = None) -> _Floats:
        """Mean of a (y, x) plane of bytes over each component; weighted, where a component has any weight (y, x)."""
        from wsipsm.cells.compiled import parts

        means: _Floats = self.sums(plane)[0] / self.area
        if weight is None:
            return means
        total, weights = parts.weighted_sums(*unsigned(plane), weight, self.runs, len(self.area)).astype(np.float64)
        np.divide(total, weights, out=means, where=weights > 0)
        return means

    def centroids(self, x0: int, y0: int) -> _Floats:
        """Centres of gravity, (N, 2) as (x, y), where the window begins at (x0, y0); a pixel's centre is at .5."""
        x, y = self._moments()[:2]
        first_y, first_x = np.divmod(self.first, self.shape[1])
        # One rounded sum of a fraction and a whole number: the same in every window.
        centre_x = x / self.area + (first_x + x0 + 0.5)
        centre_y = y / self.area + (first_y + y0 + 0.5)
        return np.stack([centre_x, centre_y], axis=1)

    def maximum(self, plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Largest value of a (y, x) uint8 plane in each component."""
        from wsipsm.cells.compiled import parts

        largest: npt.NDArray[np.uint8] = parts.sums(plane, 0, self.runs, len(self.area))[2].astype(np.uint8)
        return largest

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
        n, (sx, sy, sxx, syy, sxy) = self.area, self._moments()
        # Whole numbers, hence exact, as long as a cell is far below a million pixels.
        return n * sxx - sx * sx, n * syy - sy * sy, n * sxy - sx * sy

    def _moments(self) -> _Floats:
        """Sums of x, y, xx, yy, xy, counted from the first pixel of each component: the same in every window."""
        from wsipsm.cells.compiled import parts

        first_y, first_x = np.divmod(self.first, self.shape[1])
        moments: _Floats = parts.moments(self.runs, first_x, first_y).astype(np.float64)
        return moments


def unsigned(plane: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], int]:
    """Bytes of a uint8 or int8 plane, and the byte whose value is 0, for loops that are compiled once for both."""
    return plane.view(np.uint8), 128 if plane.dtype == np.int8 else 0


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
    from wsipsm.cells.compiled import parts, runs

    begin, end, row, label, offsets = runs.find_runs(np.ascontiguousarray(labels, np.int32))
    label[~keep[label - 1]] = 0
    part = parts.join(begin, end, offsets, label)
    best, begins, area = parts.largest(begin, end, label, part, len(keep))
    found = np.flatnonzero(best >= 0)
    number = np.full(len(keep), -1, np.int32)
    number[found] = np.arange(len(found))
    own = np.flatnonzero(part == np.concatenate([[-1], best])[label])
    first, anchor = (row[at].astype(np.int64) * labels.shape[1] + begin[at] for at in (best[found], begins[found]))
    of_runs = begin[own], end[own], row[own], number[label[own] - 1]
    return Components(labels.shape, of_runs, area[found], first, anchor)


def components_of(labels: Labels, wanted: npt.NDArray[Any]) -> Components:
    """All pixels of N labels, (N,) whole numbers, in their order, each of which is one component."""
    from wsipsm.cells.compiled import runs

    begin, end, row, label, _ = runs.find_runs(np.ascontiguousarray(labels, np.int32))
    number = np.full(int(max(labels.max(initial=0), wanted.max(initial=0))) + 1, -1, np.int32)
    number[wanted] = np.arange(len(wanted))
    owner = number[label]
    own = np.flatnonzero(owner >= 0)
    begin, end, row, owner = begin[own], end[own], row[own], owner[own]
    first = np.zeros(len(wanted), np.int64)
    # The last assignment of a repeated index stays: the first in scan order.
    first[owner[::-1]] = (row.astype(np.int64) * labels.shape[1] + begin)[::-1]
    area = np.bincount(owner, end - begin, minlength=len(wanted)).astype(np.int64)
    return Components(labels.shape, (begin, end, row, owner), area, first, first)
