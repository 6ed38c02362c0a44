"""The slides of a run and what is to be done next for each: the source of the stream of tasks.

A slide goes through fitting, its tiles and the finishing pass. A later slide starts as soon as the earlier ones have no
task to give, so that the end of a slide leaves no worker idle.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from wsipsm.errors import UnreadableSlideError, WsipsmError
from wsipsm.finish import FinishReport, Tally, finish
from wsipsm.job import Job
from wsipsm.schedule import Failure, Task
from wsipsm.stages import MapReport, Seconds, TileReport, fit, map_tile, recognise_tile
from wsipsm.tiles import Tile, TilePlan

Status = Literal["waiting", "running", "done", "empty", "partial", "failed"]


@dataclass
class SlideState:
    """Where one slide stands; a row of ``slides.csv``."""

    slide: Path
    slide_id: str
    status: Status = "waiting"
    tiles_total: int = 0
    tiles_done: int = 0
    cells: int = 0
    mm2: float = 0.0
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""


class Reporter(Protocol):
    """Who is told how the run goes."""

    def started(self, state: SlideState) -> None:
        """Tell that a slide's tiles are planned."""

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Tell how far self-supervision is."""

    def advanced(self, state: SlideState) -> None:
        """Tell that one more tile of a slide is over."""

    def finishing(self, state: SlideState) -> None:
        """Tell that outputs are being written."""

    def ended(self, state: SlideState) -> None:
        """Tell that a slide is over, well or not."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slide that can be worked on."""

    job: Job
    plan: TilePlan


class SlideRun:
    """The tasks of one prepared slide, in an order that its dependencies allow."""

    def __init__(self, prepared: Prepared, state: SlideState) -> None:
        self.job, self.state = prepared.job, state
        self.ref = prepared.job.save()
        self._start = time.perf_counter()
        self._around_damage = deque[Tile]()
        self._to_map, self._ready = deque(prepared.plan.tiles), deque[Tile]()
        self._missing = {tile: set(prepared.plan.needs(tile)) for tile in prepared.plan.tiles}
        self._failed: dict[Tile, str] = {}
        self._damaged: dict[Tile, str] = {}
        self._seconds: Seconds = {}
        self._mended = self._lost = 0
        self._phase: Literal["fit", "tiles", "finish", "over"] = "fit" if self._missing else "finish"
        self._issued = False
        state.status, state.tiles_total = "running", len(self._missing)
        state.mm2 = prepared.job.region_mm2

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._phase == "over"

    def next_task(self) -> Task | None:
        """Task that can start now; finding cells goes before making more maps."""
        if self._phase == "tiles":
            if self._ready:
                return self._tile_task("recognise", recognise_tile, self._ready.popleft())
            if self._around_damage:
                tile = self._around_damage.popleft()
                return Task(f"{self._key('around')}-{tile.name}", map_tile, (self.ref, tile, True), gpu=True)
            return self._tile_task("map", map_tile, self._to_map.popleft(), gpu=True) if self._to_map else None
        if self.over or self._issued:
            return None
        self._issued = True
        if self._phase == "fit":
            return Task(self._key("fit"), fit, (self.ref,), gpu=True, progress=True, retry=False)
        return Task(self._key("finish"), finish, (self.ref, self._tally()))

    def done(self, task: Task, result: Any) -> None:
        """Take a result and open what it makes possible."""
        if isinstance(result, FinishReport):
            whole: Status = "done" if self.state.tiles_total else "empty"
            self._end("partial" if self._failed or self._damaged else whole, result)
        elif isinstance(result, TileReport):
            self._book(result.seconds)
            self.state.cells += result.cells
            self._mended, self._lost = self._mended + result.outlines_mended, self._lost + result.cells_lost
            self._tile_over()
        elif isinstance(result, MapReport):
            self._book(result.seconds)
            if not result.unreadable:
                self._damaged.pop(task.args[1], None)
            self._mapped(task.args[1])
        else:
            self._book(result)
            self._phase = "tiles"

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure: of a tile, it costs the cells that depend on it; of anything else, the slide."""
        reason = describe_error(failure.error)
        self.state.error, self.state.traceback = reason, failure.traceback
        if task.call is recognise_tile:
            self._failed[task.args[1]] = reason
            self._tile_over()
        elif task.call is map_tile and isinstance(failure.error, UnreadableSlideError) and len(task.args) == 2:
            self._damaged[task.args[1]] = reason
            self._around_damage.append(task.args[1])
        elif task.call is map_tile:
            for tile in [tile for tile, needs in self._missing.items() if task.args[1] in needs]:
                del self._missing[tile]
                self._failed[tile] = reason
                self._tile_over()
        else:
            self._end("failed")

    def _mapped(self, mapped: Tile) -> None:
        for tile in mapped.neighbourhood():
            needs = self._missing.get(tile)
            if needs is not None:
                needs.discard(mapped)
                if not needs:
                    del self._missing[tile]
                    self._ready.append(tile)

    def _tile_over(self) -> None:
        self.state.tiles_done += 1
        if self.state.tiles_done == self.state.tiles_total:
            everything_failed = len(self._failed) == self.state.tiles_total
            self._phase, self._issued = "finish", False
            if everything_failed:
                self._end("failed")

    def _end(self, status: Status, report: FinishReport | None = None) -> None:
        self._phase, self.state.status = "over", status
        self.state.seconds = time.perf_counter() - self._start
        if report is not None:
            self.state.cells = report.cells
        if status in {"done", "empty"}:  # here and not on the worker: a retry of the last task must still find its job
            shutil.rmtree(self.job.work, ignore_errors=True)
            self.state.error = self.state.traceback = ""  # what a second try mended
        if status == "partial":
            bad = len(self._failed | self._damaged)
            self.state.error = f"{bad} of {self.state.tiles_total} tiles failed in part or whole: {self.state.error}"

    def _tally(self) -> Tally:
        failed = {tile.name: reason for tile, reason in sorted((self._failed | self._damaged).items())}
        seconds = time.perf_counter() - self._start
        return Tally(dict(self._seconds), seconds, self.state.tiles_total, failed, self._mended, self._lost)

    def _book(self, seconds: Seconds) -> None:
        for name, value in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value

    def _key(self, name: str) -> str:
        return f"{name}-{self.state.slide_id}-{self.ref.token[:8]}"

    def _tile_task(self, name: str, call: Callable[..., Any], tile: Tile, *, gpu: bool = False) -> Task:
        return Task(f"{self._key(name)}-{tile.name}", call, (self.ref, tile), gpu=gpu)


@dataclass
class Archive:
    """All slides of a run, as a source of tasks.

    Attributes
    ----------
    states : list of SlideState
        One a slide, in the order given.
    prepare : callable
        Opens a slide when its turn comes and plans its tiles; returns None when its results are already there.
    reporter : Reporter
        Told of every step.
    """

    states: Sequence[SlideState]
    prepare: Callable[[SlideState], Prepared | None]
    reporter: Reporter
    _waiting: deque[SlideState] = field(init=False)
    _active: list[SlideRun] = field(init=False, default_factory=list)
    _owner: dict[str, SlideRun] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = deque(self.states)

    def next_task(self) -> Task | None:
        """Task of the earliest slide that has one; else the next slide is prepared."""
        for run in self._active:
            if (task := run.next_task()) is not None:
                self._owner[task.key] = run
                if task.call is finish:
                    self.reporter.finishing(run.state)
                return task
        while self._waiting:
            if self._start(self._waiting.popleft()):
                return self.next_task()
        return None

    def done(self, task: Task, result: Any) -> None:
        """Take a result."""
        if (run := self._run_of(task)) is not None:
            run.done(task, result)
            self._after(run, isinstance(result, TileReport))

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure."""
        if (run := self._run_of(task)) is not None:
            run.failed(task, failure)
            self._after(run, tile=task.call is not fit)

    def told(self, message: dict[str, Any]) -> None:
        """Take progress of a fit; called from another thread."""
        for run in list(self._active):
            if run.state.slide_id == message["slide"]:
                self.reporter.fitting(run.state, message["step"], message["steps"])

    def _run_of(self, task: Task) -> SlideRun | None:
        """Run of a task; None where the slide failed as a whole while the task was in flight."""
        run = self._owner.pop(task.key)
        return run if run in self._active else None

    def _start(self, state: SlideState) -> bool:
        run = None
        try:
            prepared = self.prepare(state)
            run = SlideRun(prepared, state) if prepared is not None else None
        except Exception as error:  # whatever a damaged file provokes, the other slides go on; the traceback is kept
            state.status, state.error, state.traceback = "failed", describe_error(error), traceback.format_exc()
        if run is None:
            self.reporter.ended(state)
            return False
        self._active.append(run)
        self.reporter.started(state)
        return True

    def _after(self, run: SlideRun, tile: bool) -> None:
        if tile:
            self.reporter.advanced(run.state)
        if run.over:
            self._active.remove(run)
            self.reporter.ended(run.state)


def describe_error(error: BaseException) -> str:
    """One line that says what went wrong; an error that is not ours is named by its class."""
    text = " ".join(str(error).split())
    return text if isinstance(error, WsipsmError) else f"{type(error).__name__}: {text}"
