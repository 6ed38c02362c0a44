"""Find the cells of a tile in the maps, outline, measure and store them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wsipsm.cells.instances import anchors, instances
from wsipsm.cells.measure import measure_cells
from wsipsm.cells.whole import Grown, with_whole_cells
from wsipsm.core.errors import OutputError
from wsipsm.core.geometry import Mask
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.engine import maps as store
from wsipsm.engine import scratch
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.reports import TileReport
from wsipsm.engine.tasks.workbench import Stopwatch, workbench
from wsipsm.tissue.tiles import Tile


def find_cells(ref: JobRef, tile: Tile) -> TileReport:
    """Find, outline and measure the cells that a tile owns, and store them with the labels of its core.

    A cell that depends on a block that could not be read is left out, whichever tile the block belongs to.
    """
    bench, watch = workbench(ref), Stopwatch()
    job, core, path = bench.job, bench.job.lattice.core(tile), bench.job.tile_file(tile)
    if path.exists():
        try:
            return TileReport(scratch.load_counts(path), watch.seconds)
        except OutputError:  # a disk that failed: the tile is made again
            path.unlink()
    window = core.expand(job.halo_px)
    maps = dict(zip(CHANNELS, store.read_window(job.maps, window), strict=True))
    watch.lap("load")
    evidence = maps["evidence"]
    labels = instances(evidence, evidence >= DECISION, mpp=job.grid.mpp, config=job.config.instance_rules)
    watch.lap("labels")
    anchors_xy = anchors(labels) + np.array([window.x0, window.y0])
    owned = _owned(anchors_xy, job, tile)
    measured = measure_cells(labels, maps, window=window, grid=job.grid, keep=owned, config=job.config)
    watch.lap("cells")
    grown = None
    if job.config.cells.expand_um:
        grown = Grown.of(labels, window=window, grid=job.grid, expand_um=job.config.cells.expand_um)
        cells = with_whole_cells(measured.cells, grown, maps, window=window, grid=job.grid, config=job.config)
        measured = replace(measured, cells=cells)
        watch.lap("whole cells")
    ids = anchors_xy[:, 1] * job.grid.width + anchors_xy[:, 0]
    inside = core.relative_to(window).slices
    whole = None if grown is None else grown.cells[inside]
    counts = scratch.save_tile(path, measured, labels=labels[inside], ids=ids, whole=whole)
    watch.lap("store")
    return TileReport(counts, watch.seconds)


def _owned(anchors_xy: npt.NDArray[np.int64], job: Job, tile: Tile) -> Mask:
    """Which of the (N, 2) anchors, grid px, are in the tile's core and the region, and away from missing blocks."""
    owned = job.lattice.core(tile).contains_points(anchors_xy)
    for near in tile.neighbourhood():
        status = store.read_status(job.status_file(near))
        for block in status.missing if status else ():
            owned &= ~block.expand(job.nucleus_halo_px).contains_points(anchors_xy)
    owned[owned] = job.region.contains_l0(job.grid.to_l0(anchors_xy[owned] + 0.5))
    return owned
