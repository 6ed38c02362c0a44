"""Write the cells of a slide: from the results of its tiles to GeoJSON, GeoParquet and labels, in one walk.

It walks the tiles band by band and holds the cell ids of three bands and the cells of a few tiles at a time. GeoJSON,
GeoParquet and labels are each written by a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.core.behind import Behind
from wsipsm.core.geometry import Box
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.engine import maps as store
from wsipsm.engine import scratch
from wsipsm.engine.job import Job
from wsipsm.engine.tasks.judge import Judge, done_tiles
from wsipsm.results.formats.geojson import GeoJsonWriter
from wsipsm.results.formats.geoparquet import GeoParquetWriter
from wsipsm.results.formats.ome_zarr import LabelsWriter
from wsipsm.tissue.tiles import Tile


def labels_writer(job: Job, draft: Path) -> LabelsWriter:
    """Writer of the arrays of a slide that its configuration asks for."""
    wanted = job.config.output.arrays
    names = (*wanted, "cells") if job.config.cells.expand_um > 0 else wanted
    return LabelsWriter(draft / "labels.ome.zarr", names, grid=job.grid, tiles=job.config.tiles)


def write_cells(  # noqa: PLR0913
    job: Job,
    draft: Path,
    arrays: LabelsWriter,
    *,
    counters: Sequence[Callable[[Cells], None]],
    judge: Judge,
    fingerprint: str,
    behind: Behind,
) -> dict[str, int]:
    """Write GeoJSON, GeoParquet and labels in one walk, and show all cells to counters; returns cells by class.

    Parameters
    ----------
    job : Job
        Whose tiles are done.
    draft : Path
        Folder of the files.
    arrays : LabelsWriter
        Of `labels_writer`, entered; it is finished ``behind``.
    counters : sequence of callable
        Get all cells tile by tile, refused ones too.
    judge : Judge
        Of the job.
    fingerprint : str
        Of the slide.
    behind : Behind
        The thread that writes the labels.
    """
    config, stain, whole = job.config.output, job.config.recognizer.stain, job.config.cells.expand_um > 0
    classes = np.zeros(len(CLASSES.names), np.int64)
    with ExitStack() as stack:
        geojson = stack.enter_context(GeoJsonWriter(draft, config=config, offset_l0=job.origin_l0, stain=stain))
        table = stack.enter_context(GeoParquetWriter(draft / "cells.parquet", stain=stain, whole=whole))
        texts, groups = stack.enter_context(Behind()), stack.enter_context(Behind())
        maps = job.maps if set(config.arrays) - {"instances"} else None
        for tile, found, numbers, labels in _numbered(job, judge):
            judge.sample_refused(tile, found)
            for count in counters:
                count(found)
            behind.call(_write_arrays, arrays, job.lattice.core(tile), labels, maps, config.arrays)
            cells = found.take(judge.written(tile))
            uuids = cell_uuids(fingerprint, job.grid, cells.anchor)
            texts.call(geojson.write, cells, numbers, uuids)
            groups.call(table.write, cells, numbers, uuids)
            classes += np.bincount(cells.class_, minlength=len(CLASSES.names))
    behind.call(arrays.finish)
    return {name: int(count) for name, count in zip(CLASSES.names, classes, strict=True) if count}


CoreLabels = Callable[[], dict[str, npt.NDArray[np.int32]]]
Numbered = tuple[Tile, Cells, npt.NDArray[np.int64], CoreLabels]


def _numbered(job: Job, judge: Judge) -> Iterator[Numbered]:
    """Tiles in row-major order with all their cells, the labels of those that are written, and what labels the core.

    A label is the rank of the cell's anchor in scan order over the slide, from 1: it does not depend on the tiles. A
    core holds cells of its own band, ones that hang over from the band above, and whole cells that reach up from the
    one below: three bands of anchors are enough.
    """
    bands = [list(band) for _, band in groupby(done_tiles(job), key=lambda tile: tile.row)]
    above, count, own = np.zeros(0, np.int64), 0, _written_anchors(job, judge, bands[0] if bands else [])
    for row, tiles in enumerate(bands, start=1):
        below = _written_anchors(job, judge, bands[row] if row < len(bands) else [])
        known, first = np.concatenate([above, own, below]), count - len(above) + 1
        for tile in tiles:
            result = scratch.load_tile(job.tile_file(tile))
            numbers = np.searchsorted(known, result.cells.anchor[judge.written(tile)]) + first
            runs = {"instances": result.labels} | ({} if result.whole is None else {"cells": result.whole})
            labels = partial(_relabelled, runs, result.ids, known, first)  # which keeps no cells while it waits
            yield tile, judge.judged(tile, result.cells), numbers, labels
        above, count, own = own, count + len(own), below


def _written_anchors(job: Job, judge: Judge, tiles: Sequence[Tile]) -> npt.NDArray[np.int64]:
    """Anchors of the cells of a band of tiles that are written, in scan order."""
    found = [scratch.load_anchors(job.tile_file(tile))[judge.written(tile)] for tile in tiles]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *found]))


def _relabelled(
    runs: dict[str, scratch.LabelRuns], ids: npt.NDArray[np.int64], known: npt.NDArray[np.int64], first: int
) -> dict[str, npt.NDArray[np.int32]]:
    """Final labels of a core by array; 0 for instances that no tile kept."""
    table = np.zeros(len(ids) + 1, np.int32)
    if len(known):
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        table[1:] = np.where(known[at] == ids, at + first, 0)
    return {name: labels.image(table) for name, labels in runs.items()}


def _write_arrays(
    arrays: LabelsWriter, core: Box, labels: CoreLabels, maps: store.Maps | None, wanted: tuple[str, ...]
) -> None:
    """Write a core of every array; pseudo mask and activation are taken from the maps."""
    for name, plane in labels().items():
        arrays.write(name, core, plane)
    if maps is None:
        return
    planes = dict(zip(CHANNELS, store.read_window(maps, core), strict=True))
    if "pseudo_mask" in wanted:
        arrays.write("pseudo_mask", core, (planes["evidence"] >= DECISION).astype(np.uint8))
    if "activation" in wanted:
        arrays.write("activation", core, planes["activation"])
