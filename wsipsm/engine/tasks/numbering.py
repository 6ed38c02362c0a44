"""Numbers of cells: the labels that they have in every output of a slide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from wsipsm.engine import scratch
from wsipsm.engine.job import Job
from wsipsm.engine.tasks.judge import Judge, done_tiles
from wsipsm.tissue.tiles import Tile

_Anchors = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Numbering:
    """Labels of the cells in and around a tile.

    A label is the rank of the cell's anchor in scan order over the slide, from 1: it does not depend on the tiles.

    Attributes
    ----------
    anchors : (N,) int64
        Those of all written cells of three bands of tiles, in scan order.
    first : int
        Label of the first.
    """

    anchors: _Anchors
    first: int

    def of(self, anchors: _Anchors) -> npt.NDArray[np.int64]:
        """Labels of (n,) anchors of written cells."""
        return np.searchsorted(self.anchors, anchors) + self.first

    def table(self, anchors: _Anchors) -> npt.NDArray[np.int32]:
        """Labels of (n,) anchors after a 0, (n + 1,); 0 for those of no written cell."""
        table = np.zeros(len(anchors) + 1, np.int32)
        if len(self.anchors):
            at = np.minimum(np.searchsorted(self.anchors, anchors), len(self.anchors) - 1)
            table[1:] = np.where(self.anchors[at] == anchors, at + self.first, 0)
        return table


def numbered_tiles(job: Job, judge: Judge) -> Iterator[tuple[Tile, Numbering]]:
    """Tiles that are done in row-major order, each with the labels of the cells that its core may hold.

    A core holds cells of its own band, ones that hang over from the band above, and whole cells that reach up from the
    one below: three bands of anchors are enough, and no more are in memory.
    """
    bands = [list(band) for _, band in groupby(done_tiles(job), key=lambda tile: tile.row)]
    above, count, own = np.zeros(0, np.int64), 0, _written_anchors(job, judge, bands[0] if bands else [])
    for row, tiles in enumerate(bands, start=1):
        below = _written_anchors(job, judge, bands[row] if row < len(bands) else [])
        numbering = Numbering(np.concatenate([above, own, below]), count - len(above) + 1)
        for tile in tiles:
            yield tile, numbering
        above, count, own = own, count + len(own), below


def _written_anchors(job: Job, judge: Judge, tiles: Sequence[Tile]) -> _Anchors:
    """Anchors of the cells of a band of tiles that are written, in scan order."""
    found = [scratch.load_anchors(job.tile_file(tile))[judge.written(tile)] for tile in tiles]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *found]))
