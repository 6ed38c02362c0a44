"""Write the labels of a slide: from the results of its tiles to ``labels.ome.zarr``, tile by tile."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from wsipsm.core.behind import Behind
from wsipsm.core.files import flush_tree
from wsipsm.core.geometry import Box
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.engine import maps as store
from wsipsm.engine import scratch
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.reports import LabelsReport
from wsipsm.engine.tasks.draft import drafted
from wsipsm.engine.tasks.judge import Judge
from wsipsm.engine.tasks.numbering import Numbering, numbered_tiles
from wsipsm.results.formats.ome_zarr import LabelsWriter

LABELS_FILE = "labels.ome.zarr"

LABELS_WAIT = 2
"""Tiles whose labels may wait, as runs of a megabyte, while those of another one are compressed."""


def write_labels(ref: JobRef) -> LabelsReport:
    """Write the labels of a slide into a draft, while another worker writes all else.

    Raises
    ------
    StaleError
        Another run has taken over, the slide is over, or another worker was faster.
    """
    start, job = time.perf_counter(), ref.load()
    with drafted(ref, job) as draft:
        with _writer(job, draft) as arrays, Behind(LABELS_WAIT) as behind:
            for tile, numbering in numbered_tiles(job, Judge(job)):
                labels = scratch.load_labels(job.tile_file(tile))
                behind.call(_write_core, arrays, job, job.lattice.core(tile), labels, numbering)
            behind.call(arrays.finish)
        flush_tree(draft)
    return LabelsReport(draft.name, time.perf_counter() - start)


def _writer(job: Job, draft: Path) -> LabelsWriter:
    """Writer of the arrays of a slide that its configuration asks for."""
    wanted = job.config.output.arrays
    names = (*wanted, "cells") if job.config.cells.expand_um > 0 else wanted
    return LabelsWriter(draft / LABELS_FILE, names, grid=job.grid, tiles=job.config.tiles)


def _write_core(arrays: LabelsWriter, job: Job, core: Box, found: scratch.TileLabels, numbering: Numbering) -> None:
    """Write a core of every array; instances that no tile kept are 0, pseudo mask and activation come from the maps."""
    numbers = numbering.table(found.ids)
    arrays.write("instances", core, found.labels.image(numbers))
    if found.whole is not None:
        arrays.write("cells", core, found.whole.image(numbers))
    wanted = job.config.output.arrays
    if not {"pseudo_mask", "activation"}.intersection(wanted):
        return
    planes = dict(zip(CHANNELS, store.read_window(job.maps, core), strict=True))
    if "pseudo_mask" in wanted:
        arrays.write("pseudo_mask", core, (planes["evidence"] >= DECISION).astype(np.uint8))
    if "activation" in wanted:
        arrays.write("activation", core, planes["activation"])
