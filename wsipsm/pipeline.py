"""The main job: slides in, cells out.

::

    slide -> tissue -> tiles -> activation map -> pseudo mask -> labels -> cells -> Zarr, Parquet, GeoJSON

`run` walks the archive; `prepare` does the first three arrows for one slide, `stages` the middle ones on the workers,
`finish` the last.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import shapely
import shapely.affinity

from wsipsm import store
from wsipsm.annotations import read_regions
from wsipsm.archive import Archive, Prepared, Reporter, SlideState
from wsipsm.config import Config
from wsipsm.errors import CheckpointError, WsipsmError
from wsipsm.finish import outputs_complete
from wsipsm.geometry import Box
from wsipsm.job import Job
from wsipsm.models import shipped_model
from wsipsm.nets.device import gpu_count, pick_device
from wsipsm.provenance import file_hash, make_folder, result_hash
from wsipsm.recognizer import CHANNELS
from wsipsm.region import Region, region_from_roi, region_from_tissue
from wsipsm.schedule import connect, run_stream
from wsipsm.slide import Slide, open_slide, qupath_origin, slide_paths
from wsipsm.tables import TableKeeper
from wsipsm.tiles import TilePlan, plan_tiles
from wsipsm.tissue import tissue_mask, tissue_polygons
from wsipsm.train.fit import load_encoder, load_segmenter

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
        GeoJSON polygons in the frame of QuPath; only inside them cells are wanted.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    scheduler : str, optional
        Address or file of a Dask scheduler.
    checkpoint : Path, optional
        Of a segmenter or, for the pseudo mask, an encoder; or the fit of an earlier run.
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
    checkpoint: Path | None = None
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
    states = _states(slide_paths(request.inputs, skip=request.out))
    _check(request)
    out = make_folder(request.out)
    gpus = 0 if request.device == "cpu" else gpu_count()
    with connect(request.config.schedule, scheduler=request.scheduler, gpus=gpus) as pool:
        told = TableKeeper(out, states, reporter)
        try:
            run_stream(pool, Archive(states, lambda state: prepare(state, request), told))
        finally:
            told.write()
    return states


def estimate(request: Request) -> list[Estimate]:
    """What `run` would do, slide by slide; nothing is written."""
    _check(request)
    return [_estimate(path, request) for path in slide_paths(request.inputs, skip=request.out)]


def prepare(state: SlideState, request: Request) -> Prepared | None:
    """Open a slide, find where to look and plan its tiles; None when its results are already there."""
    with open_slide(state.slide, mpp=request.slide_mpp) as slide:
        job, plan = plan_slide(slide, state.slide_id, request)
        fingerprint = slide.fingerprint()
        facts = {
            "slide": fingerprint,
            "slide_mpp": request.slide_mpp,
            "region": hashlib.sha256(shapely.to_wkb(job.region.polygons)).hexdigest(),
            "checkpoint": _checkpoint_hash(request),
        }
    digest = result_hash(request.config, **facts)
    if _taken(request.out / state.slide_id, state.slide, fingerprint):
        state.slide_id = _long_id(state.slide)
        job = replace(job, slide_id=state.slide_id)
    job = job.at(out=request.out.absolute() / state.slide_id, digest=digest)
    if not request.fresh and _already_done(job, state):
        return None
    _make_room(job, fresh=request.fresh)
    if plan.tiles and not job.maps_folder.exists():
        store.create_maps(job.maps_folder, CHANNELS, job.grid, job.config.tiles)
    return Prepared(job, plan)


def plan_slide(slide: Slide, slide_id: str, request: Request) -> tuple[Job, TilePlan]:
    """Job of an open slide, without its folders yet, and the tiles that its region needs."""
    config = request.config
    grid = slide.grid(config.grid.mpp)
    offset = qupath_origin(slide) if config.output.origin == "qupath" else (0, 0)
    job = Job(
        slide=slide.path.absolute(),
        slide_mpp=request.slide_mpp,
        slide_id=slide_id,
        config=config,
        grid=grid,
        region=_region(slide, request),
        offset_l0=offset,
        work=Path(),
        out=Path(),
        device=request.device,
        given=request.checkpoint.absolute() if request.checkpoint else None,
    )
    return job, plan_tiles(job.lattice, job.region, config.tiles, halo_px=job.halo_px, seed=config.encoder.seed)


def _region(slide: Slide, request: Request) -> Region:
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    if request.roi is not None:
        origin = qupath_origin(slide)  # regions are drawn in QuPath, whatever frame the cells are written in
        drawn = [shapely.affinity.translate(polygon, *origin) for polygon in read_regions(request.roi)]
        return region_from_roi(drawn, whole)
    tissue = request.config.tissue
    thumbnail, downsample = slide.thumbnail(tissue.mpp)
    mask = tissue_mask(thumbnail, mpp=slide.mpp_l0 * downsample, config=tissue)
    return region_from_tissue(tissue_polygons(mask, downsample), whole)


def _estimate(path: Path, request: Request) -> Estimate:
    try:
        with open_slide(path, mpp=request.slide_mpp) as slide:
            job, plan = plan_slide(slide, path.stem, request)
    except (WsipsmError, OSError) as error:
        return Estimate(path, error=str(error))
    mpx = sum(core.width * core.height for core in map(job.lattice.core, plan.tiles)) / 1e6
    workers = request.config.schedule.workers or os.cpu_count() or 1
    learns = request.config.recognizer.method == "psm" and request.checkpoint is None
    fit = FIT_SECONDS if plan.tiles and learns else 0.0
    seconds = fit + mpx * SECONDS_PER_MPX / workers
    return Estimate(path, job.region_mm2, len(plan.tiles), mpx, seconds, mpx * BYTES_PER_MPX / 1e9)


def _check(request: Request) -> None:
    _check_checkpoint(request)
    if request.scheduler is None:
        pick_device(request.device)
    if request.roi is not None:
        read_regions(request.roi)


def _check_checkpoint(request: Request) -> None:
    path, stain, device = request.checkpoint, request.config.recognizer.stain, pick_device("cpu")
    try:
        if request.config.recognizer.method == "segmenter":
            path = path or shipped_model(stain)
            load_segmenter(path, mpp=request.config.grid.mpp, stain=stain, device=device)
        elif path is not None:
            load_encoder(path, stain=stain, device=device)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


def _checkpoint_hash(request: Request) -> str | None:
    if request.checkpoint is not None:
        return file_hash(request.checkpoint)
    recognizer = request.config.recognizer
    return file_hash(shipped_model(recognizer.stain)) if recognizer.method == "segmenter" else None


def _states(paths: list[Path]) -> list[SlideState]:
    stems = Counter(path.stem for path in paths)
    return [SlideState(path, path.stem if stems[path.stem] == 1 else _long_id(path)) for path in paths]


def _long_id(path: Path) -> str:
    """Stem and a hash of the path: a folder of its own for one of several slides of one stem."""
    return f"{path.stem}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:6]}"


def _taken(folder: Path, slide: Path, fingerprint: str) -> bool:
    """Whether another slide's results, or its unfinished ones, lie in a folder."""
    for record in (folder / "run.json", *folder.glob(".work-*/job.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            owner = orjson.loads(record.read_bytes())["slide"]
            path, known = (owner["path"], owner["fingerprint"]) if isinstance(owner, dict) else (owner, None)
            if Path(path).resolve() != slide.resolve() and known != fingerprint:
                return True
    return False


def _already_done(job: Job, state: SlideState) -> bool:
    try:
        record = orjson.loads((job.out / "run.json").read_bytes())
        same = record["digest"] == job.digest
        same &= record["config"]["output"] == job.config.output.model_dump(mode="json")
        status, counts = record["status"], record["counts"]
        tiles, cells, mm2 = counts["tiles"], counts["cells"], counts["mm2"]
    except (OSError, ValueError, KeyError, TypeError):  # no record, or one that somebody changed
        return False
    if not same or status not in {"done", "empty"} or not outputs_complete(job.out):
        return False
    state.status, state.cells, state.mm2, state.tiles_total, state.tiles_done = status, cells, mm2, tiles, tiles
    return True


def _make_room(job: Job, *, fresh: bool) -> None:
    """Keep the scratch of this very job, drop what earlier ones left."""
    make_folder(job.out)
    for old in job.out.glob(".*-*"):
        if fresh or old != job.work:
            shutil.rmtree(old, ignore_errors=True)
