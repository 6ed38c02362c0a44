"""Map a tile: read its pixels, run the frozen network on those that are there, store the maps of its core."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.core.maps import CHANNELS
from wsipsm.engine import maps as store
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.reports import MapReport
from wsipsm.engine.tasks.workbench import Stopwatch, workbench
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.recognizer import Recognizer
from wsipsm.slide import Slide
from wsipsm.tissue.tiles import Tile, needed_blocks


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
    bench, watch = workbench(ref), Stopwatch()
    job, core, status_file = bench.job, bench.job.lattice.core(tile), bench.job.status_file(tile)
    if store.is_mapped(status_file, job.maps, core):
        return MapReport(0, watch.seconds)
    blocks = needed_blocks(job.lattice, tile, job.region, halo_px=job.halo_px)
    slide, recognizer = bench.tools(in_place=around_damage)
    read = partial(_read_blocks, job=job, halo_px=recognizer.halo_px, around_damage=around_damage)
    try:
        maps, missing = _mapped(core, blocks, partial(read, slide), recognizer, watch)
    except UnreadableSlideError:
        if slide.path == job.task.slide:
            raise
        in_place = bench.tools(in_place=True)[0]  # a copy on a fast disk may be lost while the slide is well
        maps, missing = _mapped(core, blocks, partial(read, in_place), recognizer, watch)
    store.write_core(job.maps, core, maps)
    _drop_outdated(job, tile, missing)
    store.write_status(status_file, job.maps, core, missing)
    watch.lap("store")
    return MapReport(len(missing), watch.seconds)


def _mapped(
    core: Box,
    blocks: list[Box],
    read: Callable[[list[Box]], dict[Box, Image]],
    recognizer: Recognizer,
    watch: Stopwatch,
) -> tuple[npt.NDArray[np.uint8], tuple[Box, ...]]:
    """Maps of a core, (channel, y, x), and the blocks that could not be read, where they are 0.

    While the network works on a row of blocks, the next row is read.
    """
    maps, missing = np.zeros((len(CHANNELS), *core.shape), np.uint8), list[Box]()
    rows = [list(row) for _, row in groupby(blocks, key=lambda block: block.y0)]
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        ahead = [reader.submit(read, row) for row in rows[:1]]
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            images = ahead.pop().result()
            watch.lap("read")
            if following is not None:
                ahead.append(reader.submit(read, following))
            _map_blocks(maps, core, images, recognizer)
            missing += [block for block in row if block not in images]
            watch.lap("network")
    return maps, tuple(missing)


def _read_blocks(slide: Slide, blocks: list[Box], *, job: Job, halo_px: int, around_damage: bool) -> dict[Box, Image]:
    """Pixels of blocks with their halos, mirrored beyond the slide's edge; around damage, of those that can be read."""
    halos = {block: block.expand(halo_px) for block in blocks}
    if not around_damage:
        hull = _hull(list(halos.values()))
        image = slide.read_mirrored(hull, job.grid)
        return {block: image[halo.relative_to(hull).slices] for block, halo in halos.items()}
    images: dict[Box, Image] = {}
    for block, halo in halos.items():
        with contextlib.suppress(UnreadableSlideError):
            images[block] = slide.read_mirrored(halo, job.grid)
    return images


def _map_blocks(maps: npt.NDArray[np.uint8], core: Box, images: dict[Box, Image], recognizer: Recognizer) -> None:
    """Write the maps of blocks, from their pixels with halos, into those of their core (channel, y, x)."""
    with limited_threads(1) if recognizer.net.by_torch else contextlib.nullcontext():
        for block, found in zip(images, recognizer.blocks(list(images.values())), strict=True):
            inside = block.intersect(core)  # a block may cross the edge of the grid, a core does not
            maps[:, *inside.relative_to(core).slices] = found[:, *inside.relative_to(block).slices]


def _drop_outdated(job: Job, tile: Tile, missing: tuple[Box, ...]) -> None:
    """Remove cells found around a tile by an earlier run that had other blocks missing."""
    file = job.status_file(tile)
    status = store.read_status(file)
    if file.exists() and (status is None or status.missing != missing):
        for near in tile.neighbourhood():
            job.tile_file(near).unlink(missing_ok=True)


def _hull(boxes: list[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )
