"""The main job: slides in, cells out.

::

    slide -> tissue -> tiles -> activation map -> pseudo mask -> labels -> cells -> Zarr, Parquet, GeoJSON

`run` walks the archive: `ledger` says what is done already, `prepare` does the first two arrows for one slide, `stages`
the middle ones, `finish` the last; all of these on the workers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from wsipsm.cells.instances import halo_px
from wsipsm.config import Config, RecipeConfig, RecognizerConfig, load_config
from wsipsm.core.errors import (
    CheckpointError,
    ConfigError,
    DiskFullError,
    StoppedError,
    WsipsmError,
    describe_error,
    how_to_go_on,
)
from wsipsm.core.files import file_hash, make_folder
from wsipsm.core.gpus import gpu_count
from wsipsm.core.lock import locked_trees, why_unseen
from wsipsm.engine.archive import Archive, Stager
from wsipsm.engine.cluster import Stop, connect, run_stream
from wsipsm.engine.ledger import Entry, Finished, is_owner, long_id, look_up
from wsipsm.engine.order import Order
from wsipsm.engine.state import Reporter, SlideState
from wsipsm.engine.tables import TableKeeper
from wsipsm.nuclei.models import SHIPPED_MPP, fits_resolution, shipped_model
from wsipsm.slide import open_slide, slide_paths
from wsipsm.slide.annotations import read_regions
from wsipsm.slide.manifest import Row, is_manifest, read_manifest
from wsipsm.slide.staging import staged
from wsipsm.tissue.tiles import refuse_small_cores

SECONDS_PER_MPX = 2.0
"""Worker seconds for a megapixel of grid, measured on one core of a 2-core EPYC machine; for estimates only."""
FIT_SECONDS = 40.0
"""Seconds to fit the activation network to a slide on the same machine; for estimates only."""
BYTES_PER_MPX = 4_000_000
"""Scratch and results of a megapixel of dense tissue; for estimates only."""
LOCK_SECONDS = 1.0
"""How long another run on the output folder is waited for: one that is about to end may let go."""
LEDGER_THREADS = 8
"""Threads that look up what is there of slides: it is waiting for file systems."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for.

    Attributes
    ----------
    inputs : sequence of str
        Slides, folders, globs or manifests.
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
    recipe : RecipeConfig, optional
        Workers to ask of a cluster's manager, where no scheduler is given.
    checkpoint : Path, optional
        Of a segmenter or, for the pseudo mask, an encoder; or the fit of an earlier run.
    fresh : bool
        Drop what earlier runs left.
    settings : sequence of str
        ``section.key=value``, that hold for the configurations of a manifest too.
    stage_dir : Path, optional
        Folder on a fast disk that slides are copied to ahead of their turn.
    stage_gb : float
        Budget of these copies, 10^9 bytes each.
    """

    inputs: Sequence[str]
    out: Path
    config: Config
    slide_mpp: float | None = None
    roi: Path | None = None
    device: str = "auto"
    scheduler: str | None = None
    recipe: RecipeConfig | None = None
    checkpoint: Path | None = None
    fresh: bool = False
    settings: Sequence[str] = ()
    stage_dir: Path | None = None
    stage_gb: float = 50.0


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
    StoppedError
        A signal asked to stop: what was under way has ended or is left for the next run.
    DiskFullError
        No space is left for results.
    LockedError
        Another run works on the output folder.
    WsipsmError
        Nothing can be done at all: no slide, a bad manifest or checkpoint, an output folder that cannot be written, no
        scheduler.
    """
    orders, stop = orders_of(request), Stop()
    states = [SlideState(order.slide, order.slide_id, order.out) for order in orders]
    name = uuid.uuid4().hex[:12]
    with stop.on_signals(), locked_trees(_folders(request, orders), run=name, wait_seconds=LOCK_SECONDS) as roots:
        orders = _of_run(orders, name, roots)
        told = TableKeeper(request.out, states, reporter)
        try:
            left = _look_up(orders, states, told, stop)
            if left and not stop.asked:
                _work(request, left, told, stop)
        finally:
            told.write(ended=True)
    _say_stop(stop, how_to_go_on(fresh=request.fresh))
    return states


def _folders(request: Request, orders: Sequence[Order]) -> set[Path]:
    """Folders that slides' folders are made in; those outside the output folder are made and proven here."""
    out = make_folder(request.out.absolute())
    beyond = {order.out.parent for order in orders if out not in order.out.parents}
    return {out, *map(make_folder, beyond), *(order.out.parent for order in orders)}


def _of_run(orders: Sequence[Order], name: str, roots: set[Path]) -> list[Order]:
    """Orders that know their run, and the folder that it holds for them."""

    @cache
    def root_of(parent: Path) -> Path | None:
        real = Path(os.path.realpath(parent))
        root = next((folder for folder in (real, *real.parents) if folder in roots), None)
        # As the user wrote it, where that leads there: a worker may reach it by the same links, to another place.
        return next((folder for folder in (parent, *parent.parents) if Path(os.path.realpath(folder)) == root), root)

    host = socket.gethostname()
    return [replace(order, run=name, root=root_of(order.out.parent), host=host) for order in orders]


def estimate(request: Request) -> list[Estimate]:
    """What `run` would do, slide by slide; nothing is written."""
    return [_estimate(order) for order in orders_of(request)]


def orders_of(request: Request) -> list[Order]:
    """What is wanted of each slide, in the order given.

    Raises
    ------
    WsipsmError
        A path, a manifest, a region, a configuration or a checkpoint that cannot be used.
    """
    _refuse_small_cores(request.config)
    if request.roi is not None:
        read_regions(request.roi)
    if request.device == "cuda" and request.scheduler is None and request.recipe is None and not gpu_count():
        raise ConfigError("--device cuda: no CUDA device is visible; use --device auto or cpu")

    @cache
    def config_of(name: str) -> Config:
        config = load_config(name, tuple(request.settings))
        _refuse_small_cores(config)
        return config

    @cache
    def checkpoint_hash(recognizer: RecognizerConfig, mpp: float) -> str | None:
        return _check_checkpoint(request.checkpoint, recognizer, mpp)

    def check_config(name: str) -> None:
        config = config_of(name)
        checkpoint_hash(config.recognizer, config.grid.mpp)

    orders, named = list[Order](), set[int]()
    for row in _rows(request, check_config):
        if row.id:
            named.add(len(orders))
        config = config_of(row.config) if row.config else request.config
        name = row.id or row.slide.stem
        parent = request.out.absolute() / row.out if row.out else request.out.absolute()
        orders.append(
            Order(
                slide=row.slide.absolute(),
                slide_id=name,
                out=parent / name,
                config=config,
                slide_mpp=row.mpp or request.slide_mpp,
                roi=(row.roi or request.roi or Path()).absolute() if row.roi or request.roi else None,
                device=request.device,
                given=request.checkpoint.absolute() if request.checkpoint else None,
                checkpoint_sha256=checkpoint_hash(config.recognizer, config.grid.mpp),
                fresh=request.fresh,
            )
        )
    return _apart(orders, named)


def _refuse_small_cores(config: Config) -> None:
    refuse_small_cores(config.tiles.core_px, halo_px(config.instance_rules, config.grid.mpp))


def _rows(request: Request, check_config: Callable[[str], None]) -> list[Row]:
    """Rows of manifests, and one for each slide that is named otherwise; a slide without an id once."""
    found: list[Row] = []
    for given in request.inputs:
        if is_manifest(given):
            found += read_manifest(Path(given), check_config, out=request.out)
        else:
            found += [Row(path) for path in slide_paths([given], skip=request.out)]
    return list({(os.path.realpath(row.slide), row.id, row.out): row for row in reversed(found)}.values())[::-1]


def _apart(orders: list[Order], named: set[int]) -> list[Order]:
    """Give slides that would share a folder one each; whoever has it by name, or by results in it, keeps it."""
    places = Counter(order.out for order in orders)
    shared = [(number, order) for number, order in enumerate(orders) if places[order.out] > 1]
    keepers = {order.out: number for number, order in shared if is_owner(order)}
    keepers |= {order.out: number for number, order in shared if number in named}
    return [
        order
        if places[order.out] == 1 or keepers.get(order.out) == number
        else replace(order, slide_id=long_id(order.slide), out=order.out.parent / long_id(order.slide))
        for number, order in enumerate(orders)
    ]


def _look_up(
    orders: Sequence[Order], states: Sequence[SlideState], told: TableKeeper, stop: Stop
) -> list[tuple[Order, SlideState]]:
    """Slides that are left to do; the others are told of. Ends early where the run is to stop."""
    left = []
    with ThreadPoolExecutor(LEDGER_THREADS) as threads:
        for entry, state in zip(threads.map(_entry, orders), states, strict=True):
            if stop.asked:
                threads.shutdown(wait=False, cancel_futures=True)
                break
            if isinstance(entry, Exception):
                state.status, state.error = "failed", describe_error(entry)
                state.traceback = state.error
                told.ended(state)
                continue
            state.slide_id, state.out, state.note = entry.order.slide_id, entry.order.out, entry.note
            if entry.finished is not None:
                _take_over(state, entry.finished)
            if entry.finished is None or entry.order.remake:
                left.append((entry.order, state))
                continue
            state.status, state.found_done = entry.finished.status, True
            told.ended(state)
    return left


def _take_over(state: SlideState, found: Finished) -> None:
    state.cells, state.mm2, state.seconds = found.cells, found.mm2, found.seconds
    state.tiles_total = state.tiles_done = found.tiles


def _entry(order: Order) -> Entry | Exception:
    try:
        return look_up(order)
    except (OSError, WsipsmError) as error:
        return error


def _work(request: Request, left: Sequence[tuple[Order, SlideState]], told: TableKeeper, stop: Stop) -> None:
    """Start or join a cluster and do what is left."""
    gpus = 0 if request.device == "cpu" else gpu_count()
    cluster = partial(connect, request.config.schedule, scheduler=request.scheduler, recipe=request.recipe, gpus=gpus)
    roots = sorted({order.root for order, _ in left if order.root is not None})
    seen = partial(why_unseen, roots, left[0][0].run, left[0][0].host)
    with _staged(request, left, told) as stager, cluster(check=seen) as pool:
        if pool.dashboard:
            told.said(f"Dask dashboard: {pool.dashboard}")
        archive = Archive(left, told, stop, stager, on_tick=told.tick)
        try:
            run_stream(pool, archive, stop)
        finally:
            archive.close()


@contextlib.contextmanager
def _staged(request: Request, left: Sequence[tuple[Order, SlideState]], told: TableKeeper) -> Iterator[Stager | None]:
    if request.stage_dir is None:
        yield None
        return
    slides = [order.slide for order, _ in left]
    with staged(slides, request.stage_dir.absolute(), gigabytes=request.stage_gb, tell=told.said) as stager:
        yield stager


def _say_stop(stop: Stop, advice: str) -> None:
    if stop.signal:
        raise StoppedError(f"{stop.reason}; {advice}", stop.signal)
    if stop.asked:
        raise DiskFullError(f"{stop.reason}; make room, then {advice}")


def _estimate(order: Order) -> Estimate:
    from wsipsm.engine.tasks.prepare import plan_slide

    try:
        with open_slide(order.slide, mpp=order.slide_mpp) as slide:
            job, plan = plan_slide(slide, order)
    except (WsipsmError, OSError) as error:
        return Estimate(order.slide, error=str(error))
    mpx = sum(core.width * core.height for core in map(job.lattice.core, plan.tiles)) / 1e6
    workers = order.config.schedule.workers or os.cpu_count() or 1
    learns = order.config.recognizer.method == "psm" and order.given is None
    fit = FIT_SECONDS if plan.tiles and learns else 0.0
    seconds = fit + mpx * SECONDS_PER_MPX / workers
    return Estimate(order.slide, job.region_mm2, len(plan.tiles), mpx, seconds, mpx * BYTES_PER_MPX / 1e9)


def _check_checkpoint(path: Path | None, recognizer: RecognizerConfig, mpp: float) -> str | None:
    """Hash of the checkpoint that a method takes; None where a network is learnt on each slide."""
    if recognizer.method == "psm" and path is None:
        return None
    model = path or shipped_model(recognizer.stain)
    if path is not None or not fits_resolution(mpp, SHIPPED_MPP):  # else it fits, and PyTorch takes a second to import
        _refuse_unfit(model, recognizer, mpp)
    return file_hash(model)


def _refuse_unfit(path: Path, recognizer: RecognizerConfig, mpp: float) -> None:
    from wsipsm.nuclei.calibrate import load_encoder, load_segmenter
    from wsipsm.nuclei.nets.device import pick_device

    device, stain = pick_device("cpu"), recognizer.stain
    try:
        if recognizer.method == "segmenter":
            load_segmenter(path, mpp=mpp, stain=stain, device=device)
        else:
            load_encoder(path, stain=stain, device=device)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
