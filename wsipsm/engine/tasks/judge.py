"""What needs all cells of a slide: which are refused, and what class each has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wsipsm.cells.classes import DOUBTFUL
from wsipsm.cells.marker import Marker
from wsipsm.cells.refusal import Limits, Refusals
from wsipsm.cells.table import Cells
from wsipsm.core.geometry import Mask
from wsipsm.engine import scratch
from wsipsm.engine.job import Job
from wsipsm.results.report.examples import RefusedSample
from wsipsm.tissue.tiles import Tile


def done_tiles(job: Job) -> list[Tile]:
    """Tiles with a result, in row-major order."""
    return sorted(Tile.parse(path.stem) for path in (job.work / "tiles").glob("*.npz"))


class Judge:
    """Verdict and class of every cell of a slide, from one walk over its tiles.

    Parameters
    ----------
    job : Job
        Whose tiles are done.

    Attributes
    ----------
    rule : MarkerRule or None
        By which cells are positive; none where they get no classes.
    refused : dict
        Refused cells by reason.
    sample : RefusedSample
        Some of the refused cells, once all tiles were shown to `sample_refused`.
    """

    def __init__(self, job: Job) -> None:
        self._keep = job.config.cells.keep_doubtful
        self._refusals, self._marker = Refusals(job.grid, Limits.of(job.config)), Marker(job.config.classes)
        for tile in done_tiles(job):
            cells, ellipse_fills = scratch.load_cells(job.tile_file(tile))
            self._refusals.add(tile, cells, ellipse_fills)
            self._marker.add(cells)
        self.rule = self._marker.rule()
        self.refused = self._refusals.counts()
        self.sample = RefusedSample()

    def sample_refused(self, tile: Tile, cells: Cells) -> None:
        """Take some of the refused cells of a tile into the sample; of each tile once, with all its cells."""
        self.sample.add(cells, self._refusals.of(tile))

    def written(self, tile: Tile) -> Mask:
        """Which cells of a tile are written: all, or those that are not refused."""
        accepted: Mask = self._refusals.of(tile) == 0
        return accepted | self._keep

    def judged(self, tile: Tile, cells: Cells) -> Cells:
        """All cells of a tile with their classes; the refused ones are Doubtful."""
        classes = self._marker.classes(cells, self.rule)
        return replace(cells, class_=np.where(self._refusals.of(tile) > 0, DOUBTFUL, classes).astype(np.uint8))
