"""What workers do with one slide: fit, map a tile, recognise a tile.

Each moves data between files and the pure stages.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wsipsm.cells import instances as labels
from wsipsm.cells import table as cells
from wsipsm.core.errors import OutputError, UnreadableSlideError
from wsipsm.core.files import write_bytes, write_once
from wsipsm.core.geometry import Box, Image
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.engine import maps as store
from wsipsm.engine import scratch
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.reports import Counts, MapReport, Seconds, TileReport
from wsipsm.nuclei.calibrate import calibrate_psm, calibrate_segmenter
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.nets.device import limited_threads, pick_device
from wsipsm.nuclei.recognizer import Recognizer, fits, load_recognizer
from wsipsm.slide import Slide
from wsipsm.tissue.sampling import Images, patch_boxes, read_boxes
from wsipsm.tissue.tiles import Tile, needed_blocks


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
    slide, encoder = job.task.open(), job.config.encoder
    with slide, limited_threads(encoder.threads):
        fitted_on = _constants_key(slide.fingerprint(), job)
        if job.task.checkpoint is not None and fits(job.task.checkpoint, fitted_on):
            content = job.task.checkpoint.read_bytes()
            write_once(job.fit_file, lambda draft: write_bytes(draft, content))
            return watch.seconds
        boxes = patch_boxes(job.region, job.grid, encoder)
        patches = _read_patches(slide, boxes, job)
        watch.lap("read")
        recognizer = _fitted(
            patches,
            job,
            lambda record: progress({"token": job.task.token, "step": record.step, "steps": record.steps}),
        )
    recognizer.fitted_on = fitted_on
    # Another worker's stays: its tiles may be under way, and another machine's bits may differ.
    write_once(job.fit_file, recognizer.save)
    watch.lap("fit")
    return watch.seconds


def _fitted(patches: npt.NDArray[np.uint8], job: Job, progress: Progress) -> Recognizer:
    """Recogniser of the slide by the method that its configuration names."""
    device = pick_device(job.task.device)
    if job.config.recognizer.method == "segmenter":
        return calibrate_segmenter(patches, job.config, model=job.model, device=device)
    return calibrate_psm(patches, job.config, encoder=job.task.checkpoint, device=device, progress=progress)


def _read_patches(slide: Slide, boxes: list[Box], job: Job) -> Images:
    """Patches that can be read; nothing of a slide may depend on what became of its copy on a fast disk."""
    if slide.path == job.task.slide:
        return read_boxes(slide, boxes, job.grid)
    try:
        return read_boxes(slide, boxes, job.grid, least=1)
    except UnreadableSlideError:
        with job.task.open(in_place=True) as well:
            return read_boxes(well, boxes, job.grid)


def _constants_key(fingerprint: str, job: Job) -> str:
    """What the constants of a slide depend on; where it is the same, an earlier fit is taken as it is."""
    keys = job.config.result_keys()
    used = keys["segmenter" if job.config.recognizer.method == "segmenter" else "pseudomask"]
    settings = orjson.dumps([fingerprint, job.grid.mpp, keys["recognizer"], used])
    return hashlib.sha256(settings).hexdigest()


def map_tile(ref: JobRef, tile: Tile, around_damage: bool = False) -> MapReport:
    """Run the frozen network on the blocks of a core and store the maps.

    Parameters
    ----------
    ref : JobRef
        The job.
    tile : Tile
        The tile.
    around_damage : bool
        Leave out blocks that cannot be read, instead of failing; they are listed in the tile's status.

    Raises
    ------
    UnreadableSlideError
        The slide is damaged here.
    """
    bench, watch = _workbench(ref), Stopwatch()
    job, core, status_file = bench.job, bench.job.lattice.core(tile), bench.job.status_file(tile)
    if store.is_mapped(status_file, bench.maps, core):
        return MapReport(0, watch.seconds)
    blocks = needed_blocks(job.lattice, tile, job.region, halo_px=job.halo_px)
    slide, recognizer = bench.tools(in_place=around_damage)
    halos = [block.expand(recognizer.halo_px) for block in blocks]
    try:
        images = _read_blocks(slide, job, halos, around_damage=around_damage)
    except UnreadableSlideError:
        if slide.path == job.task.slide:
            raise
        slide, _ = bench.tools(in_place=True)  # a copy on a fast disk may be lost while the slide is well
        images = _read_blocks(slide, job, halos, around_damage=around_damage)
    watch.lap("read")
    maps = np.zeros((len(CHANNELS), *core.shape), np.uint8)
    with limited_threads(1):
        there = [(block, image) for block, image in zip(blocks, images, strict=True) if image is not None]
        found = recognizer.blocks([image for _, image in there])
        for (block, _), result in zip(there, found, strict=True):
            inside = block.intersect(core)  # a block may cross the edge of the grid, a core does not
            maps[:, *inside.relative_to(core).slices] = result[:, *inside.relative_to(block).slices]
    watch.lap("network")
    store.write_core(bench.maps, core, maps)
    missing = tuple(block for block, image in zip(blocks, images, strict=True) if image is None)
    _drop_outdated(job, tile, missing)
    store.write_status(status_file, bench.maps, core, missing)
    watch.lap("store")
    return MapReport(len(missing), watch.seconds)


def _read_blocks(slide: Slide, job: Job, boxes: list[Box], *, around_damage: bool) -> list[Image | None]:
    """Pixels of boxes that lie close together, mirrored beyond the edge; None for one that is damaged and may be."""
    if not around_damage:
        hull = _hull(boxes)
        image = slide.read_mirrored(hull, job.grid)
        return [image[box.relative_to(hull).slices] for box in boxes]
    images: list[Image | None] = []
    for box in boxes:
        try:
            images.append(slide.read_mirrored(box, job.grid))
        except UnreadableSlideError:
            images.append(None)
    return images


def _drop_outdated(job: Job, tile: Tile, missing: tuple[Box, ...]) -> None:
    """Remove cells found around a tile by an earlier run that had other blocks missing."""
    file = job.status_file(tile)
    status = store.read_status(file)
    if file.exists() and (status is None or status.missing != missing):
        for near in tile.neighbourhood():
            job.tile_file(near).unlink(missing_ok=True)


def recognise_tile(ref: JobRef, tile: Tile) -> TileReport:
    """Find, outline and measure the cells that a tile owns, and store them with the labels of its core.

    A cell that depends on a block that could not be read is left out, whichever tile the block belongs to.
    """
    bench, watch = _workbench(ref), Stopwatch()
    job, core, path = bench.job, bench.job.lattice.core(tile), bench.job.tile_file(tile)
    if path.exists():
        try:
            return TileReport(scratch.load_counts(path), watch.seconds)
        except OutputError:  # a disk that failed: the tile is made again
            path.unlink()
    window = core.expand(job.halo_px)
    maps = dict(zip(CHANNELS, store.read_window(bench.maps, window), strict=True))
    watch.lap("load")
    evidence = maps["evidence"]
    found = labels.instances(evidence, evidence >= DECISION, mpp=job.grid.mpp, config=job.config.instance_rules)
    watch.lap("labels")
    anchors_xy = labels.anchors(found) + np.array([window.x0, window.y0])
    owned = core.contains_points(anchors_xy)
    statuses = [status for near in tile.neighbourhood() if (status := store.read_status(job.status_file(near)))]
    for block in (block for status in statuses for block in status.missing):
        owned &= ~block.expand(job.halo_px).contains_points(anchors_xy)
    owned[owned] = job.region.contains_l0(job.grid.to_l0(anchors_xy[owned] + 0.5))
    ids = anchors_xy[:, 1] * job.grid.width + anchors_xy[:, 0]
    measured = cells.measure_cells(found, maps, window=window, grid=job.grid, keep=owned, config=job.config.cells)
    watch.lap("cells")
    scratch.save_tile(path, measured, labels=found[core.relative_to(window).slices], ids=ids)
    watch.lap("store")
    return TileReport(Counts(len(measured.cells), measured.unsimplified, measured.dropped), watch.seconds)


class _Workbench:
    """What a worker keeps open between tiles of one slide; slide and network only where maps are made."""

    def __init__(self, ref: JobRef) -> None:
        self.job = ref.load()
        self.maps = store.open_maps(self.job.maps_folder)
        self._lock = threading.Lock()
        self._tools: tuple[Slide, Recognizer] | None = None

    def tools(self, *, in_place: bool = False) -> tuple[Slide, Recognizer]:
        """Open slide and loaded network, once however many threads ask; from then on in place, if one asks that."""
        with self._lock:
            slide, recognizer = self._tools or (None, None)
            if slide is None or (in_place and slide.path != self.job.task.slide):
                slide = self.job.task.open(in_place=in_place)
                weakref.finalize(self, slide.close)  # not earlier: a thread may read while the bench is let go
            if recognizer is None:
                recognizer = load_recognizer(self.job.fit_file, device=pick_device(self.job.task.device))
            self._tools = slide, recognizer
            return self._tools


_ONE_AT_A_TIME = threading.Lock()


def _workbench(ref: JobRef) -> _Workbench:
    with _ONE_AT_A_TIME:
        return _kept_workbench(ref)


@functools.lru_cache(maxsize=2)
def _kept_workbench(ref: JobRef) -> _Workbench:
    return _Workbench(ref)


def _hull(boxes: list[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )
