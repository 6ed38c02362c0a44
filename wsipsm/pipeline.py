"""The main job: slides in, cells out.

::

    slide -> tissue -> tiles -> activation map -> pseudo mask -> labels -> cells -> Zarr, Parquet, GeoJSON

`run` walks the archive; `prepare` does the first three arrows for one slide, `stages` the middle ones on the workers,
`finish` the last.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import shapely
import shapely.affinity

from wsipsm import store
from wsipsm.annotations import read_regions
from wsipsm.archive import Archive, Prepared, Reporter, SlideState
from wsipsm.config import Config
from wsipsm.errors import WsipsmError
from wsipsm.geometry import Box
from wsipsm.job import Job
from wsipsm.nets.checkpoint import load_checkpoint
from wsipsm.nets.device import gpu_count
from wsipsm.provenance import file_hash, make_folder, result_hash, write_csv
from wsipsm.recognizer import CHANNELS
from wsipsm.region import Region, region_from_roi, region_from_tissue
from wsipsm.schedule import connect, run_stream
from wsipsm.slide import Slide, open_slide, slide_paths
from wsipsm.tiles import TilePlan, plan_tiles
from wsipsm.tissue import tissue_mask, tissue_polygons

SLIDE_COLUMNS = ("slide", "slide_id", "status", "tiles_done", "tiles_total", "cells", "mm2", "seconds", "error")
FAILED_COLUMNS = ("slide", "slide_id", "error", "traceback")

SECONDS_PER_MPX = 2.0
"""Worker seconds for a megapixel of grid, measured on one core of a 2-core EPYC machine; for estimates only."""
FIT_SECONDS = 40.0
"""Seconds to fit the activation network to a slide on the same machine; for estimates only."""
BYTES_PER_MPX = 4_000_000
"""Scratch and results of a megapixel of dense tissue; for estimates only."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    Attributes
    ----------
    inputs : sequence of str
        Slides, folders or globs.
    out : Path
        Output folder.
    config : Config
        The configuration.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, instead of what the slides say.
    roi : Path, optional
        GeoJSON polygons in the frame of the GeoJSON output; only inside them cells are wanted.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    scheduler : str, optional
        Address or file of a Dask scheduler.
    encoder : Path, optional
        Checkpoint to use instead of fitting one.
    fresh : bool
        Drop what earlier runs left.
    """

    inputs: Sequence[str]
    out: Path
    config: Config
    slide_mpp: float | None = None
    roi: Path | None = None
    device: str = "auto"
    scheduler: str | None = None
    encoder: Path | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run of one slide would do.

    Attributes
    ----------
    slide : Path
        The slide.
    mm2 : float
        Area of tissue or of the region of interest.
    tiles : int
        Tiles with such an area.
    mpx : float
        Megapixels of grid to compute.
    seconds : float
        Rough wall time on the local cores.
    gigabytes : float
        Rough disk space while it runs.
    error : str
        Why it could not be processed, or empty.
    """

    slide: Path
    mm2: float = 0.0
    tiles: int = 0
    mpx: float = 0.0
    seconds: float = 0.0
    gigabytes: float = 0.0
    error: str = ""


def run(request: Request, reporter: Reporter) -> list[SlideState]:
    """Process every slide; one that cannot be used never stops the others.

    Returns
    -------
    list of SlideState
        One a slide, in the order given; the same table is in ``slides.csv``.

    Raises
    ------
    WsipsmError
        Nothing can be done at all: no slide, a bad checkpoint, an output folder that cannot be written, no scheduler.
    """
    states = _states(slide_paths(request.inputs))
    _check(request)
    out = make_folder(request.out)
    gpus = 0 if request.device == "cpu" else gpu_count()
    with connect(request.config.schedule, scheduler=request.scheduler, gpus=gpus) as pool:
        told = _TableKeeper(out, states, reporter)
        run_stream(pool, Archive(states, lambda state: prepare(state, request), told))
    return states


def estimate(request: Request) -> list[Estimate]:
    """What `run` would do, slide by slide; nothing is written."""
    _check(request)
    return [_estimate(path, request) for path in slide_paths(request.inputs)]


def prepare(state: SlideState, request: Request) -> Prepared | None:
    """Open a slide, find where to look and plan its tiles; None when its results are already there."""
    with open_slide(state.slide, mpp=request.slide_mpp) as slide:
        job, plan = _plan(slide, state.slide_id, request)
        facts = {
            "slide": slide.fingerprint(),
            "slide_mpp": request.slide_mpp,
            "region": hashlib.sha256(shapely.to_wkb(job.region.polygons)).hexdigest(),
            "encoder": file_hash(request.encoder) if request.encoder else None,
        }
    digest = result_hash(request.config, **facts)
    job = job.at(out=request.out.absolute() / state.slide_id, digest=digest)
    if not request.fresh and _already_done(job, state):
        return None
    _make_room(job, fresh=request.fresh)
    if plan.tiles and not job.maps_folder.exists():
        store.create_maps(job.maps_folder, CHANNELS, job.grid, job.config.tiles)
    return Prepared(job, plan)


def _plan(slide: Slide, slide_id: str, request: Request) -> tuple[Job, TilePlan]:
    config = request.config
    grid = slide.grid(config.grid.mpp)
    bounds = slide.bounds_l0 if config.output.origin == "qupath" else None
    offset = (bounds.x0, bounds.y0) if bounds else (0, 0)
    job = Job(
        slide=slide.path.absolute(),
        slide_mpp=request.slide_mpp,
        slide_id=slide_id,
        config=config,
        grid=grid,
        region=_region(slide, request, offset),
        offset_l0=offset,
        work=Path(),
        out=Path(),
        device=request.device,
        encoder=request.encoder.absolute() if request.encoder else None,
    )
    return job, plan_tiles(job.lattice, job.region, config.tiles, halo_px=job.halo_px, seed=config.encoder.seed)


def _region(slide: Slide, request: Request, offset: tuple[int, int]) -> Region:
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    if request.roi is not None:
        drawn = [shapely.affinity.translate(polygon, *offset) for polygon in read_regions(request.roi)]
        return region_from_roi(drawn, whole)
    tissue = request.config.tissue
    thumbnail, downsample = slide.thumbnail(tissue.mpp)
    mask = tissue_mask(thumbnail, mpp=slide.mpp_l0 * downsample, config=tissue)
    return region_from_tissue(tissue_polygons(mask, downsample), whole)


def _estimate(path: Path, request: Request) -> Estimate:
    try:
        with open_slide(path, mpp=request.slide_mpp) as slide:
            job, plan = _plan(slide, path.stem, request)
    except (WsipsmError, OSError) as error:
        return Estimate(path, error=str(error))
    mpx = sum(core.width * core.height for core in map(job.lattice.core, plan.tiles)) / 1e6
    workers = request.config.schedule.workers or os.cpu_count() or 1
    fit = FIT_SECONDS if plan.tiles and request.encoder is None else 0.0
    seconds = fit + mpx * SECONDS_PER_MPX / workers
    return Estimate(path, job.region_mm2, len(plan.tiles), mpx, seconds, mpx * BYTES_PER_MPX / 1e9)


def _check(request: Request) -> None:
    if request.encoder is not None:
        load_checkpoint(request.encoder)
    if request.roi is not None:
        read_regions(request.roi)


def _states(paths: list[Path]) -> list[SlideState]:
    stems = Counter(path.stem for path in paths)
    return [SlideState(path, _slide_id(path, unique=stems[path.stem] == 1)) for path in paths]


def _slide_id(path: Path, *, unique: bool) -> str:
    # The suffix comes from the path alone, so that a slide keeps its folder whatever else is in the run.
    return path.stem if unique else f"{path.stem}-{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:6]}"


def _already_done(job: Job, state: SlideState) -> bool:
    try:
        record = orjson.loads((job.out / "run.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    same = record["digest"] == job.digest
    same &= record["config"]["output"] == job.config.output.model_dump(mode="json")
    if not same or record["status"] not in {"done", "empty"}:
        return False
    state.status, state.cells, state.mm2 = record["status"], record["counts"]["cells"], record["counts"]["mm2"]
    state.tiles_total = state.tiles_done = record["counts"]["tiles"]
    return True


def _make_room(job: Job, *, fresh: bool) -> None:
    """Keep the scratch of this very job, drop what earlier ones left."""
    make_folder(job.out)
    for old in job.out.glob(".*-*"):
        if fresh or old != job.work:
            shutil.rmtree(old, ignore_errors=True)


class _TableKeeper:
    """Passes everything on, and keeps ``slides.csv`` and ``failed.csv`` as slides end."""

    def __init__(self, out: Path, states: Sequence[SlideState], reporter: Reporter) -> None:
        self._out, self._states, self._reporter = out, states, reporter
        self.started, self.fitting = reporter.started, reporter.fitting
        self.advanced, self.finishing = reporter.advanced, reporter.finishing

    def ended(self, state: SlideState) -> None:
        rows = [{name: getattr(state, name) for name in (*SLIDE_COLUMNS, "traceback")} for state in self._states]
        for row in rows:
            row["mm2"], row["seconds"] = round(row["mm2"], 4), round(row["seconds"], 2)
        write_csv(self._out / "slides.csv", SLIDE_COLUMNS, rows)
        write_csv(self._out / "failed.csv", FAILED_COLUMNS, [row for row in rows if row["error"]])
        self._reporter.ended(state)
