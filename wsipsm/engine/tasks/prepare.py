"""Prepare a slide: open it, find its tissue, plan its tiles, and see which of them an earlier run has done."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import shapely.affinity

from wsipsm.core.errors import OutputError, UnreadableSlideError
from wsipsm.core.geometry import Box
from wsipsm.engine import maps as store
from wsipsm.engine import scratch
from wsipsm.engine.job import Job, SlideTask
from wsipsm.engine.reports import Counts, Prepared
from wsipsm.engine.resume import make_room, require_folder
from wsipsm.slide import Slide, qupath_origin
from wsipsm.slide.annotations import read_regions
from wsipsm.tissue.find import Tissue, find_black_ground, find_tissue
from wsipsm.tissue.region import region_from_roi
from wsipsm.tissue.tiles import Tile, TilePlan, plan_tiles

_SAME_MPP = 0.02
"""Pixel sizes that differ by less, relatively, are the same."""


def prepare(task: SlideTask) -> Prepared:
    """Save the job of a slide; returns its tiles and which of them are done.

    Raises
    ------
    StaleError
        Another run works on the output folder by now.
    UnseenError
        This machine does not see the output folder.
    """
    with task.open() as slide:
        job, plan = plan_slide(slide, task)
        job = replace(job, digest=task.digest(slide.fingerprint()))
        require_folder(task)
        dropped = make_room(job)
        ref = job.save()
        if plan.tiles:
            slide.keep_pixels(job.pixels_file)
    mapped = _mapped(job, plan)
    done = {tile: counts for tile in plan.tiles if (counts := _counts(job, plan, tile, mapped)) is not None}
    return Prepared(ref, plan, job.region_mm2, job.calibration_file.exists(), mapped, done, dropped and not task.fresh)


def plan_slide(slide: Slide, task: SlideTask) -> tuple[Job, TilePlan]:
    """Job of an open slide, without a digest yet, and the tiles that its region needs."""
    config = task.config
    origin_l0 = qupath_origin(slide) if config.output.origin == "qupath" else (0, 0)
    tissue, said = _tissue(slide, task)
    said = (*_overruled(slide), *said)
    job = Job(
        task,
        slide.grid(config.grid.mpp),
        tissue.region,
        origin_l0,
        why_empty=tissue.why_empty,
        said=said,
        black_ground=slide.black_ground,
    )
    return job, plan_tiles(job.lattice, job.region, config.tiles, halo_px=job.halo_px, seed=config.encoder.seed)


def _overruled(slide: Slide) -> tuple[str, ...]:
    stated = slide.overruled
    if stated is None or abs(stated.mpp / slide.mpp_l0 - 1) < _SAME_MPP:
        return ()
    return (
        f"the file states {stated.mpp:.4g} um per pixel ({stated.source}), {slide.mpp_l0:.4g} were used as --slide-mpp "
        "or the manifest says: leave that out for this slide unless the file is wrong",
    )


def _tissue(slide: Slide, task: SlideTask) -> tuple[Tissue, tuple[str, ...]]:
    """Where cells are sought, and what a reader must know of that."""
    if task.roi is None:
        return find_tissue(slide, task.config.tissue), ()
    with contextlib.suppress(UnreadableSlideError):  # the levels for pictures may be damaged, and cells still be found
        find_black_ground(slide, task.config.tissue)
    origin = qupath_origin(slide)  # regions are drawn in QuPath, whatever frame the cells are written in
    regions = read_regions(task.roi)
    drawn = [shapely.affinity.translate(area, *origin) for area in regions.areas]
    found = Tissue(region_from_roi(drawn, Box(0, 0, slide.width_l0, slide.height_l0)))
    return found, (f"--roi {regions.note}",) if regions.note else ()


def _mapped(job: Job, plan: TilePlan) -> frozenset[Tile]:
    return frozenset(
        tile for tile in plan.tiles if store.is_mapped(job.status_file(tile), job.maps, job.lattice.core(tile))
    )


def _counts(job: Job, plan: TilePlan, tile: Tile, mapped: frozenset[Tile]) -> Counts | None:
    """Counts of a tile that is done: its cells are stored, and so are the maps that they depend on; else None."""
    if not mapped.issuperset(plan.needs(tile)):
        return None
    try:
        return scratch.load_counts(job.tile_file(tile))
    except OutputError:
        return None
