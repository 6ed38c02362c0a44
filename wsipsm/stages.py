"""What workers do with one slide: fit, map a tile, recognise a tile.

Each moves data between files and the pure stages.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wsipsm import cells, labels, scratch, store
from wsipsm.errors import UnreadableSlideError
from wsipsm.geometry import Box, Image
from wsipsm.job import Job, JobRef
from wsipsm.nets.device import limited_threads, pick_device
from wsipsm.provenance import write_bytes
from wsipsm.recognizer import CHANNELS, PsmRecognizer, fits, load_recognizer
from wsipsm.slide import Slide, open_slide
from wsipsm.tiles import Tile, needed_blocks
from wsipsm.train.fit import fit_slide
from wsipsm.train.patches import patch_boxes

Seconds = dict[str, float]
"""Wall seconds by what they were spent on."""


@dataclass(frozen=True, slots=True)
class TileReport:
    """What became of one tile.

    Attributes
    ----------
    cells : int
        Cells that the tile owns.
    outlines_mended, cells_lost : int
        Outlines that needed more than simplification, and cells whose outline could not be made valid.
    seconds : dict
        Where the time went.
    """

    cells: int
    outlines_mended: int
    cells_lost: int
    seconds: Seconds


class Stopwatch:
    """Adds up where time goes."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Book the time since the last lap."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def fit(ref: JobRef, *, progress: Callable[[dict[str, Any]], None]) -> Seconds:
    """Learn, freeze and store what is applied to every tile of a slide."""
    job, watch = ref.load(), Stopwatch()
    if job.fit_file.exists():
        return watch.seconds
    slide, encoder = open_slide(job.slide, mpp=job.slide_mpp), job.config.encoder
    with slide, limited_threads(encoder.threads):
        fitted_on = _constants_key(slide.fingerprint(), job)
        if job.encoder is not None and fits(job.encoder, fitted_on):
            write_bytes(job.fit_file, job.encoder.read_bytes())
            return watch.seconds
        boxes = patch_boxes(job.region, job.grid, encoder)
        patches = _read_patches(slide, boxes, job)
        watch.lap("read")
        recognizer = fit_slide(
            patches,
            job.config,
            encoder=job.encoder,
            device=pick_device(job.device),
            progress=lambda step, steps, loss: progress({"slide": job.slide_id, "step": step, "steps": steps}),
        )
    recognizer.fitted_on = fitted_on
    recognizer.save(job.fit_file)
    watch.lap("fit")
    return watch.seconds


def _read_patches(slide: Slide, boxes: list[Box], job: Job) -> npt.NDArray[np.uint8]:
    """Patches that can be read, (n, p, p, 3); a damaged part of a slide must not cost all of it."""
    patches, last_error = [], None
    for box in boxes:
        try:
            patches.append(slide.read(box, job.grid))
        except UnreadableSlideError as error:
            last_error = error
    if last_error is not None and len(patches) < len(boxes) / 2:
        raise last_error
    return np.stack(patches)


def _constants_key(fingerprint: str, job: Job) -> str:
    """What the constants of a slide depend on; where it is the same, an earlier fit is taken as it is."""
    settings = orjson.dumps([fingerprint, job.grid.mpp, job.config.pseudomask.model_dump(mode="json")])
    return hashlib.sha256(settings).hexdigest()


def map_tile(ref: JobRef, tile: Tile) -> Seconds:
    """Run the frozen network on the blocks of a core and store the maps."""
    bench, watch = _workbench(ref), Stopwatch()
    job, mark = bench.job, bench.job.mapped_mark(tile)
    if mark.exists():
        return watch.seconds
    core = job.lattice.core(tile)
    blocks = needed_blocks(job.lattice, tile, job.region, halo_px=job.halo_px)
    box = _hull([block.expand(bench.recognizer.halo_px) for block in blocks])
    image = bench.slide.read(box, job.grid)
    watch.lap("read")
    maps = np.zeros((len(CHANNELS), *core.shape), np.uint8)
    with limited_threads(1):
        for block in blocks:
            _map_block(bench.recognizer, image, box, block, maps, core)
    watch.lap("network")
    store.write_core(bench.maps, core, maps)
    mark.touch()
    watch.lap("store")
    return watch.seconds


def recognise_tile(ref: JobRef, tile: Tile) -> TileReport:
    """Find, outline and measure the cells that a tile owns, and store them with the labels of its core."""
    bench, watch = _workbench(ref), Stopwatch()
    job, core = bench.job, bench.job.lattice.core(tile)
    if job.tile_file(tile).exists():
        return TileReport(len(scratch.load_tile(job.tile_file(tile)).cells), 0, 0, watch.seconds)
    window = core.expand(job.halo_px)
    maps = dict(zip(CHANNELS, store.read_window(bench.maps, window), strict=True))
    watch.lap("load")
    evidence = maps["evidence"]
    found = labels.instances(evidence, evidence >= labels.DECISION, mpp=job.grid.mpp, config=job.config.labels)
    watch.lap("labels")
    anchors_xy = labels.anchors(found) + np.array([window.x0, window.y0])
    owned = core.contains_points(anchors_xy)
    owned[owned] = job.region.contains_l0(job.grid.to_l0(anchors_xy[owned] + 0.5))
    ids = anchors_xy[:, 1] * job.grid.width + anchors_xy[:, 0]
    measured = cells.measure_cells(found, maps, window=window, grid=job.grid, keep=owned, config=job.config.cells)
    watch.lap("cells")
    inner = core.relative_to(window).slices
    scratch.save_tile(job.tile_file(tile), measured.cells, labels=found[inner], ids=ids)
    watch.lap("store")
    return TileReport(len(measured.cells), measured.mended, measured.lost, watch.seconds)


@dataclass(frozen=True, slots=True)
class _Workbench:
    """What a worker keeps open between tiles of one slide."""

    job: Job
    slide: Slide
    recognizer: PsmRecognizer
    maps: Any


@functools.lru_cache(maxsize=2)
def _workbench(ref: JobRef) -> _Workbench:
    job = ref.load()
    return _Workbench(
        job=job,
        slide=open_slide(job.slide, mpp=job.slide_mpp),
        recognizer=load_recognizer(job.fit_file, device=pick_device(job.device)),
        maps=store.open_maps(job.maps_folder),
    )


def _hull(boxes: list[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )


def _map_block(
    recognizer: PsmRecognizer, image: Image, box: Box, block: Box, maps: npt.NDArray[np.uint8], core: Box
) -> None:
    """Fill one block's part of ``maps``; a block may cross the edge of the grid, a core does not."""
    result = recognizer.block(image[block.expand(recognizer.halo_px).relative_to(box).slices])
    inside = block.intersect(core)
    maps[:, *inside.relative_to(core).slices] = result[:, *inside.relative_to(block).slices]
