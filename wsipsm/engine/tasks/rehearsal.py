"""All that workers import, and a small tile that they need not learn by: forked, they begin at full speed.

Importing this takes some seconds, and on a new machine it compiles.
"""

from __future__ import annotations

import contextlib
from uuid import UUID

import numpy as np

from wsipsm.cells.instances import anchors, instances
from wsipsm.cells.measure import measure_cells
from wsipsm.cells.table import Cells
from wsipsm.config import OutputConfig, load_config
from wsipsm.core.geometry import Box, Grid, Image
from wsipsm.core.gpus import gpu_count
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.engine.cluster.plugin import settle_worker
from wsipsm.engine.tasks import assemble, calibrate, export, find_cells, map_tile, prepare, publish, write_labels  # noqa: F401
from wsipsm.nuclei.calibrate import load_segmenter, slide_stats
from wsipsm.nuclei.levels import USUAL_THRESHOLD, Levels
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.recognizer import SegmenterRecognizer
from wsipsm.results.formats.features import CellFeatures
from wsipsm.results.formats.wkb import ring_bounds
from wsipsm.results.report.compiled import edges_on_lines, pairs_that_may_share
from wsipsm.results.report.seams import DUPLICATE_SHARE

SIDE_PX, INPUT_SCALE = 192, 1.6


def rehearse() -> int:
    """Find the cells of a drawn picture, so that compiled code is loaded and networks are planned; returns how many.

    It computes on the CPU and on one thread: forked processes inherit neither a GPU in use nor threads. What is found
    once a slide is given here. PyTorch is imported where there is a GPU for it.
    """
    config, image = load_config("he"), drawn_nuclei()
    net = load_segmenter(shipped_model(), mpp=config.grid.mpp, device="cpu")
    levels = Levels(INPUT_SCALE, USUAL_THRESHOLD, {}, 0)
    stats = slide_stats(image[None], config).scaled(INPUT_SCALE)
    recognizer = SegmenterRecognizer(net, stats, config.segmenter, levels)
    halo = recognizer.halo_px
    row = np.pad(image, [(halo, halo), (halo, halo + 1), (0, 0)], mode="reflect")
    planes = recognizer.block(row[:, :-1])  # a view, as of each block of a row
    maps, window = dict(zip(CHANNELS, planes, strict=True)), Box(0, 0, SIDE_PX, SIDE_PX)
    labels = instances(maps["evidence"], maps["evidence"] >= DECISION, mpp=0.5, config=config.instance_rules)
    keep = np.ones(len(anchors(labels)), bool)
    grid = Grid(SIDE_PX, SIDE_PX, 1.0, 0.5)
    cells = measure_cells(labels, maps, window=window, grid=grid, keep=keep, config=config).cells
    _rehearse_writing(cells)
    return len(cells)


def _rehearse_writing(cells: Cells) -> None:
    """Write cells to nowhere."""
    labels, rings = np.arange(len(cells)), cells.outlines_l0
    list(CellFeatures(OutputConfig(), (0, 0), "he").texts(cells, labels, [str(UUID(int=0))] * len(cells)))
    ring_bounds(rings)
    pairs_that_may_share(rings.vertices, rings.offsets, len(rings), DUPLICATE_SHARE)
    edges_on_lines(rings.vertices, rings.offsets, (0.0, 8.0, 9.0, 9.0), (0.1, 1.0))


def drawn_nuclei() -> Image:
    """Dark discs of 8 um on pink, at 0.5 um per px; (192, 192, 3) uint8."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] % 32 - 16.0
    inside = np.clip(9 - np.hypot(y, x), 0, 1)[..., None]
    nucleus, ground = np.array([90.0, 60.0, 150.0]), np.array([235.0, 190.0, 215.0])
    drawn: Image = np.rint(ground + (nucleus - ground) * inside).astype(np.uint8)
    return drawn


settle_worker()
with contextlib.suppress(Exception):  # what fails here fails again in a task, which says so
    rehearse()
if gpu_count():
    from wsipsm.nuclei.nets import unet  # noqa: F401
