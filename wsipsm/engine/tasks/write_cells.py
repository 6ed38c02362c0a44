"""Write the cells of a slide: from the results of its tiles to GeoJSON and GeoParquet, in one walk.

It walks the tiles band by band and holds the anchors of three bands and the cells of a few tiles at a time. GeoJSON and
GeoParquet are each written by a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.core.behind import Behind
from wsipsm.engine import scratch
from wsipsm.engine.job import Job
from wsipsm.engine.tasks.judge import Judge
from wsipsm.engine.tasks.numbering import numbered_tiles
from wsipsm.results.formats.geojson import GeoJsonWriter
from wsipsm.results.formats.geoparquet import GeoParquetWriter


def write_cells(
    job: Job, draft: Path, *, counters: Sequence[Callable[[Cells], None]], judge: Judge, fingerprint: str
) -> dict[str, int]:
    """Write GeoJSON and GeoParquet in one walk, and show all cells to counters; returns cells by class.

    Parameters
    ----------
    job : Job
        Whose tiles are done.
    draft : Path
        Folder of the files.
    counters : sequence of callable
        Get all cells tile by tile, refused ones too.
    judge : Judge
        Of the job.
    fingerprint : str
        Of the slide.
    """
    config, stain, whole = job.config.output, job.config.recognizer.stain, job.config.cells.expand_um > 0
    classes = np.zeros(len(CLASSES.names), np.int64)
    with (
        GeoJsonWriter(draft, config=config, offset_l0=job.origin_l0, stain=stain) as geojson,
        GeoParquetWriter(draft / "cells.parquet", stain=stain, whole=whole) as table,
        Behind() as texts,
        Behind() as groups,
    ):
        for tile, numbering in numbered_tiles(job, judge):
            found = judge.judged(tile, scratch.load_cells(job.tile_file(tile))[0])
            judge.sample_refused(tile, found)
            for count in counters:
                count(found)
            cells = found.take(judge.written(tile))
            numbers, uuids = numbering.of(cells.anchor), cell_uuids(fingerprint, job.grid, cells.anchor)
            texts.call(geojson.write, cells, numbers, uuids)
            groups.call(table.write, cells, numbers, uuids)
            classes += np.bincount(cells.class_, minlength=len(CLASSES.names))
    return {name: int(count) for name, count in zip(CLASSES.names, classes, strict=True) if count}
