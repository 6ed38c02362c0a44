"""Hot spots: the fields of a slide with the highest share of positive cells.

A field is a square of whole bins of a lattice that is fixed to the slide, so its counts are exact and depend neither on
tiles nor on the order of cells. All such squares are compared. The best of many shares is high by chance too, the more
so the fewer cells a field holds: compare hot spots with hot spots, not with the slide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Box
from wsipsm.results.index.lattice import Counts, GradeLattice

MOST_HOT_SPOTS = 5
MOST_MM2 = 2.0
"""Largest field where only the number of cells is asked for, square millimetres."""

_Plane = npt.NDArray[np.int64]
_Place = tuple[float, int, int, int, int]
"""Share, cells, and, negative, side, row and column in bins: the greatest is the best."""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Which squares are fields.

    Attributes
    ----------
    least_cells : int
        Fewest cells of a field; 500 are what counting of Ki-67 asks for (Dowsett et al. 2011, JNCI 103:1656).
    mm2 : float or None
        Area of a field, square millimetres, to the nearest bin. None: every square of ``least_cells`` to twice as many
        cells and at most 2 square millimetres.
    """

    least_cells: int = 500
    mm2: float | None = None

    def sides(self, bin_um: float) -> range:
        """Sides of the squares, in bins."""
        side = round((self.mm2 or MOST_MM2) ** 0.5 * 1000 / bin_um)
        return range(max(1, side), max(1, side) + 1) if self.mm2 else range(1, max(1, side) + 1)

    def allows(self, counted: _Plane) -> npt.NDArray[np.bool_]:
        """Which numbers of cells are right for a field."""
        enough: npt.NDArray[np.bool_] = counted >= max(1, self.least_cells)
        return enough if self.mm2 else enough & (counted <= 2 * max(1, self.least_cells))


@dataclass(frozen=True, slots=True)
class HotSpot:
    """One field.

    Attributes
    ----------
    box : Box
        Grid px.
    counts : tuple of 4 int
        Cells by grade.
    """

    box: Box
    counts: Counts


def find_hot_spots(lattice: GradeLattice, rule: FieldRule, most: int = MOST_HOT_SPOTS) -> list[HotSpot]:
    """Fields with the highest share of positive cells, the highest first; none overlap.

    Of equal shares the field with more cells wins, then the smaller one, then the first in scan order. A field without
    a positive cell is none, and after the first, so is one with a lower share than the whole. So small slides, and
    slides without positive cells, have fewer hot spots, or none.

    Parameters
    ----------
    lattice : GradeLattice
        All cells of the slide.
    rule : FieldRule
        Which squares are fields.
    most : int
        Most fields.
    """
    inner, row0, col0 = _cropped(lattice.counts, margin=rule.sides(lattice.bin_um)[-1] - 1)
    counted, positive = _sums(inner.sum(axis=0)), _sums(inner[1:].sum(axis=0))
    sides = [side for side in rule.sides(lattice.bin_um) if _has_any(counted, side, rule)]
    share = float(positive[-1, -1] / max(1, counted[-1, -1]))
    taken: list[tuple[int, int, int]] = []
    while len(taken) < most:
        best = max(filter(None, (_best(counted, positive, side, rule, taken) for side in sides)), default=None)
        if best is None or (taken and best[0] < share):
            break
        taken.append((-best[3], -best[4], -best[2]))
    return [
        HotSpot(
            lattice.square(row + row0, col + col0, side),
            tuple(inner[:, row : row + side, col : col + side].sum(axis=(1, 2), dtype=np.int64).tolist()),
        )
        for row, col, side in taken
    ]


def _cropped(counts: npt.NDArray[np.int32], *, margin: int) -> tuple[npt.NDArray[np.int32], int, int]:
    """Part of the (4, rows, cols) counts that holds cells, with a margin, and its first row and column."""
    rows, cols = (np.flatnonzero(counts.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(rows):
        return counts[:, :0, :0], 0, 0
    row, col = max(0, int(rows[0]) - margin), max(0, int(cols[0]) - margin)
    return counts[:, row : rows[-1] + margin + 1, col : cols[-1] + margin + 1], row, col


def _sums(plane: npt.NDArray[np.integer]) -> _Plane:
    """Sums over all rectangles from the first bin, (rows + 1, cols + 1)."""
    total: _Plane = np.pad(plane.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return total


def _windows(sums: _Plane, side: int) -> _Plane:
    """Sums over all squares of a side by their first bins; empty where the side is too long."""
    if side >= min(sums.shape):
        return np.zeros((0, 0), np.int64)
    band = sums[side:] - sums[:-side]
    windows: _Plane = band[:, side:] - band[:, :-side]
    return windows


def _has_any(counted: _Plane, side: int, rule: FieldRule) -> bool:
    return bool(rule.allows(_windows(counted, side)).any())


def _best(
    counted: _Plane, positive: _Plane, side: int, rule: FieldRule, taken: Iterable[tuple[int, int, int]]
) -> _Place | None:
    """Best free square of a side; None where there is none with a positive cell."""
    cells, hits = _windows(counted, side), _windows(positive, side)
    free = rule.allows(cells)
    for row, col, other in taken:
        free[max(0, row - side + 1) : row + other, max(0, col - side + 1) : col + other] = False
    share = np.where(free, hits / np.maximum(cells, 1), 0.0)
    highest = float(share.max(initial=0.0))
    if highest <= 0:
        return None
    tied = np.flatnonzero(share == highest)
    first = tied[np.argmax(cells.ravel()[tied])]
    row, col = divmod(int(first), share.shape[1])
    return highest, int(cells[row, col]), -side, -row, -col
