"""Cells by grade in square bins over a slide, in whole numbers: the same in whatever order and tiles the cells come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Box, Grid
from wsipsm.results.index.scores import GRADES

BIN_UM = 32.0
"""Smallest side of a bin, micrometres."""
MAX_BINS = 2048
"""Largest number of bins along a side of the slide."""

Counts = tuple[int, ...]
"""Cells by grade."""


@dataclass(frozen=True, eq=False)
class GradeLattice:
    """Counts in bins; a cell belongs to the bin of its anchor.

    Attributes
    ----------
    grid : Grid
        The plane that its cells were found on.
    bin_px : int
        Side of a bin, grid px; bin (0, 0) starts at the grid's (0, 0).
    counts : (4, rows, cols) int32
        Cells by grade.
    """

    grid: Grid
    bin_px: int
    counts: npt.NDArray[np.int32]

    @classmethod
    def over(cls, grid: Grid, bin_um: float = BIN_UM) -> GradeLattice:
        """Empty bins over a whole grid; on a large slide they are larger than asked for."""
        side = max(1, round(bin_um / grid.mpp), -(-max(grid.shape) // MAX_BINS))
        return cls(grid, side, np.zeros((len(GRADES), *(-(-size // side) for size in grid.shape)), np.int32))

    @property
    def bin_um(self) -> float:
        """Side of a bin, micrometres."""
        return self.bin_px * self.grid.mpp

    def add(self, anchors: npt.NDArray[np.int64], grades: npt.NDArray[np.uint8]) -> None:
        """Count N cells by their anchors, linear grid indices as in `Cells.anchor`, and grades."""
        row, col = np.divmod(anchors, self.grid.width)
        np.add.at(self.counts, (grades, row // self.bin_px, col // self.bin_px), 1)

    def total(self) -> Counts:
        """Cells by grade on the whole slide."""
        return tuple(self.counts.sum(axis=(1, 2), dtype=np.int64).tolist())

    def square(self, row: int, col: int, side: int = 1) -> Box:
        """Square of ``side`` x ``side`` bins, cut at the edge of the slide; grid px.

        Parameters
        ----------
        row, col : int
            Of its first bin.
        side : int
            Bins along each side.
        """
        x, y, size = col * self.bin_px, row * self.bin_px, side * self.bin_px
        return Box(x, y, x + size, y + size).intersect(self.grid.box)

    def tiles(self) -> Iterator[tuple[Box, Counts]]:
        """Every bin that holds a cell, in scan order, and its counts."""
        for row, col in np.argwhere(self.counts.any(axis=0)).tolist():
            yield self.square(row, col), tuple(self.counts[:, row, col].tolist())
