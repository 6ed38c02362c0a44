"""The main job: slides in, cells out.

::

    slide -> tissue -> tiles -> activation map -> pseudo mask -> labels -> cells -> Zarr, Parquet, GeoJSON

`request` makes a task for each slide, `resume` finds what is done already, `archive` gives out what is left, and
workers do it: `tasks.prepare` and `tasks.calibrate` once a slide, `tasks.map_tile` and `tasks.find_cells` for each
tile; at the end `tasks.write_labels` beside `tasks.assemble`, and `tasks.publish`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from wsipsm.config import ScheduleConfig
from wsipsm.core.errors import DiskFullError, InputError, StoppedError, WsipsmError, describe_error, how_to_go_on
from wsipsm.core.events import Event, Observer, SlideState, combine, ignore
from wsipsm.core.files import make_folder
from wsipsm.core.gpus import gpu_count
from wsipsm.core.lock import locked_trees, why_unseen
from wsipsm.engine.archive import Archive
from wsipsm.engine.cluster.stop import Stop
from wsipsm.engine.early import start_workers_import
from wsipsm.engine.job import SlideTask
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.engine.resume import EarlierWork, Finished, look_up
from wsipsm.engine.tables import TableWriter
from wsipsm.slide.staging import Stager, staged

LOCK_SECONDS = 1.0
"""Time limit for another run on the output folder to release it, s; it may be about to end."""
SLOW_SECONDS, SLOW_START = 8.0, "workers are starting; the first run on a machine compiles, which takes some 20 s once"
"""Time after which a user is told why nothing happens yet, and the words."""
LOOK_UP_THREADS = 8
"""Threads that look up earlier work on slides; they wait for file systems most of the time."""


def run(request: Request, on_event: Observer = ignore, stop: Stop | None = None) -> list[SlideState]:
    """Process every slide; one that cannot be used never stops the others.

    Parameters
    ----------
    request : Request
        Slides, configuration, output folder.
    on_event : callable
        Receives the events of the run.
    stop : Stop, optional
        By which the caller can end the run early, from a signal handler or another thread; the run itself installs no
        signal handlers.

    Returns
    -------
    list of SlideState
        One a slide, in the order given; the same table is in ``slides.csv``.

    Raises
    ------
    StoppedError
        The caller asked to stop: what was under way has ended or is left for the next run.
    DiskFullError
        No space is left for results.
    LockedError
        Another run works on the output folder.
    WsipsmError
        Nothing can be done at all: no slide, a bad manifest or checkpoint, an output folder that cannot be written, no
        scheduler.
    """
    stop, on_event = stop or Stop(), combine(on_event)
    tasks = slide_tasks(request, lambda text: on_event(Event("message", text=text)))
    stop.awaited = True
    states = [SlideState(task.slide, task.slide_id, task.out) for task in tasks]
    name = uuid.uuid4().hex[:12]
    with locked_trees(_folders(request, tasks), run=name, wait_seconds=LOCK_SECONDS) as roots:
        tasks = _of_run(tasks, name, roots)
        tables = TableWriter(request.out, states, on_event)
        observer = combine(tables, on_event)
        try:
            left = _look_up(tasks, states, observer, stop)
            if left and not stop.asked:
                _work(request, left, observer, stop, on_poll=tables.write_if_due)
        finally:
            tables.write(ended=True)
        if request.config.output.report:
            _write_page(request.out, on_event)
    _raise_if_stopped(stop, how_to_go_on(fresh=request.fresh))
    return states


def _write_page(out: Path, on_event: Observer) -> None:
    """Write the report of the run; that it cannot be written ends no run."""
    from wsipsm.engine.pages import write_run_page

    try:
        write_run_page(out)
    except Exception as error:  # whatever it is, the slides are done
        on_event(Event("message", text=f"report.html of the run was not written: {describe_error(error)}"))


def _folders(request: Request, tasks: Sequence[SlideTask]) -> set[Path]:
    """Parents of the slides' folders; those outside the output folder are created and checked here."""
    out = make_folder(request.out.absolute())
    beyond = {task.out.parent for task in tasks if out not in task.out.parents}
    return {out, *map(make_folder, beyond), *(task.out.parent for task in tasks)}


def _of_run(tasks: Sequence[SlideTask], name: str, roots: set[Path]) -> list[SlideTask]:
    """Tasks with the name of their run, and the folder that it has locked for them."""

    @cache
    def root_of(parent: Path) -> Path | None:
        real = Path(os.path.realpath(parent))
        root = next((folder for folder in (real, *real.parents) if folder in roots), None)
        # As the user wrote it, where that leads there: a worker may reach it by the same links, to another place.
        return next((folder for folder in (parent, *parent.parents) if Path(os.path.realpath(folder)) == root), root)

    host = socket.gethostname()
    return [replace(task, run=name, root=root_of(task.out.parent), host=host) for task in tasks]


def _look_up(
    tasks: Sequence[SlideTask], states: Sequence[SlideState], on_event: Observer, stop: Stop
) -> list[tuple[SlideTask, SlideState]]:
    """Slides that are left to do; the others are reported as ended. Ends early where a stop is asked."""
    left = []
    with ThreadPoolExecutor(LOOK_UP_THREADS) as threads:
        for earlier, state in zip(threads.map(_earlier, tasks), states, strict=True):
            if stop.asked:
                threads.shutdown(wait=False, cancel_futures=True)
                break
            if isinstance(earlier, Exception):
                state.status, state.error = "failed", describe_error(earlier)
                state.traceback = state.error
                on_event(Event("ended", state))
                continue
            state.slide_id, state.out, state.note = earlier.task.slide_id, earlier.task.out, earlier.note
            if earlier.finished is not None:
                _take_over(state, earlier.finished)
            if earlier.finished is None or earlier.task.remake:
                left.append((earlier.task, state))
                continue
            state.status, state.found_done = earlier.finished.status, True
            on_event(Event("ended", state))
    return left


def _take_over(state: SlideState, found: Finished) -> None:
    state.cells, state.mm2, state.seconds = found.cells, found.mm2, found.seconds
    state.warnings, state.index = found.warnings, found.index
    state.tiles_total = state.tiles_done = found.tiles


def _earlier(task: SlideTask) -> EarlierWork | Exception:
    if task.refused:
        return InputError(task.refused)
    try:
        return look_up(task)
    except (OSError, WsipsmError) as error:
        return error


def _work(
    request: Request,
    left: Sequence[tuple[SlideTask, SlideState]],
    on_event: Observer,
    stop: Stop,
    *,
    on_poll: Callable[[], None],
) -> None:
    """Start or join a cluster and do what is left."""
    local = request.scheduler is None and request.recipe is None
    if local and request.config.schedule.processes:
        psm = request.config.recognizer.method == "psm"
        start_workers_import(psm=psm)  # now that there is work: what else takes time goes on beside it
    from wsipsm.engine import pages  # noqa: F401 - not first at the end, when nothing goes on beside it
    from wsipsm.engine.cluster import Machine, connect, run_stream  # Dask, whose import takes time

    gpus = 0 if request.device == "cpu" else gpu_count()
    schedule = _enough(request.config.schedule, left, gpus) if local else request.config.schedule
    cluster = partial(connect, schedule, scheduler=request.scheduler, recipe=request.recipe, gpus=gpus)
    roots = sorted({task.root for task, _ in left if task.root is not None})
    seen = partial(why_unseen, roots, left[0][0].run, left[0][0].host)
    if local and (note := Machine().note(schedule, gpus)):
        on_event(Event("message", text=note))
    slow = threading.Timer(SLOW_SECONDS, on_event, [Event("message", text=SLOW_START)])
    with _staged(request, left, on_event) as stager, _running(slow), cluster(check=seen) as pool:
        slow.cancel()
        if pool.dashboard:
            on_event(Event("message", text=f"Dask dashboard: {pool.dashboard}"))
        archive = Archive(left, on_event, stop, stager, on_poll=on_poll)
        try:
            run_stream(pool, archive, stop)
        finally:
            archive.close()


def _enough(config: ScheduleConfig, left: Sequence[tuple[SlideTask, SlideState]], gpus: int) -> ScheduleConfig:
    """Settings with no more workers than tiles can keep busy, unless somebody said how many."""
    from wsipsm.engine.cluster import Machine
    from wsipsm.engine.estimate import tiles_at_most

    if config.workers or gpus:
        return config
    most = Machine().workers(config, gpus)
    tiles = max(1, tiles_at_most([task for task, _ in left], most))
    return config.model_copy(update={"workers": tiles}) if tiles < most else config


@contextlib.contextmanager
def _staged(
    request: Request, left: Sequence[tuple[SlideTask, SlideState]], on_event: Observer
) -> Iterator[Stager | None]:
    if request.stage_dir is None:
        yield None
        return
    slides, folder = [task.slide for task, _ in left], request.stage_dir.absolute()

    def log(text: str) -> None:
        on_event(Event("message", text=text))

    with staged(slides, folder, gigabytes=request.stage_gb, log=log) as stager:
        yield stager


@contextlib.contextmanager
def _running(timer: threading.Timer) -> Iterator[None]:
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _raise_if_stopped(stop: Stop, advice: str) -> None:
    if stop.disk_full and not stop.signal:
        raise DiskFullError(f"{stop.reason}; make room, then {advice}")
    if stop.asked:
        raise StoppedError(f"{stop.reason}; {advice}", stop.signal)
