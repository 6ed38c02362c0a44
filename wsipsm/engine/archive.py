"""The slides of a run and what is to be done next for each: the source of the stream of tasks.

A slide goes through fitting, its tiles and the finishing pass. A later slide starts as soon as the earlier ones have no
task to give, so that the end of a slide leaves no worker idle.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from wsipsm.core.errors import OutputError, UnreadableSlideError, describe_error
from wsipsm.core.files import is_disk_full
from wsipsm.engine.calls import export, finish, fit, map_tile, prepare, recognise_tile
from wsipsm.engine.cluster import Failure, Stop, Task
from wsipsm.engine.job import JobRef, SlideTask
from wsipsm.engine.reports import Counts, FinishReport, MapReport, Prepared, Seconds, Tally, TileReport
from wsipsm.engine.resume import has_tiles, put_aside, remove
from wsipsm.engine.state import Reporter, SlideState, Status
from wsipsm.tissue.tiles import Tile


class SlideRun:
    """The tasks of one slide, in an order that its dependencies allow."""

    def __init__(self, task: SlideTask, state: SlideState) -> None:
        self.task, self.state = task, state
        self._start = time.perf_counter()
        self._ref = JobRef("", "")
        self._to_map, self._around_damage, self._ready = deque[Tile](), deque[Tile](), deque[Tile]()
        self._missing: dict[Tile, set[Tile]] = {}
        self._failed: dict[Tile, str] = {}
        self._damaged: dict[Tile, str] = {}
        self._seconds: Seconds = {}
        self._unsimplified = self._dropped = 0
        self._phase: Literal["export", "prepare", "fit", "tiles", "finish", "over"]
        self._phase = "export" if task.remake else "prepare"
        self._issued = False
        state.status = "running"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._phase == "over"

    @property
    def finishing(self) -> bool:
        """Whether only the finishing pass is left."""
        return self._phase == "finish"

    def next_task(self) -> Task | None:
        """Task that can start now; finding cells goes before making more maps."""
        if self._phase == "tiles":
            if self._ready:
                return self._tile_task("recognise", recognise_tile, self._ready.popleft())
            if self._around_damage:
                tile = self._around_damage.popleft()
                return Task(f"{self._key('around')}-{tile.name}", map_tile, (self._ref, tile, True), gpu=True)
            return self._tile_task("map", map_tile, self._to_map.popleft(), gpu=True) if self._to_map else None
        if self.over or self._issued:
            return None
        self._issued = True
        if self._phase == "export":
            return Task(self._key("export"), export, (self.task,))
        if self._phase == "prepare":
            return Task(self._key("prepare"), prepare, (self.task,))
        if self._phase == "fit":
            return Task(self._key("fit"), fit, (self._ref,), gpu=True, progress=True)
        return Task(self._key("finish"), finish, (self._ref, self._tally()))

    def done(self, task: Task, result: Any) -> None:
        """Take a result and open what it makes possible."""
        if isinstance(result, FinishReport):
            whole: Status = "done" if self.state.tiles_total else "empty"
            self._end("partial" if self._failed or self._damaged else whole, result)
        elif isinstance(result, Prepared):
            self._prepared(result)
        elif isinstance(result, TileReport):
            self._book(result.seconds)
            self._count(result.counts)
            self._tile_over()
        elif isinstance(result, MapReport):
            self._book(result.seconds)
            if not result.unreadable:
                self._damaged.pop(task.args[1], None)
            self._mapped(task.args[1])
        else:
            self._book(result)
            self._begin_tiles()

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure: of a tile, it costs the cells that depend on it; of anything else, the slide.

        Where stored cells cannot be read, they are found again.
        """
        reason = describe_error(failure.error)
        if task.call is export and type(failure.error) is OutputError:  # not one of a folder that another has
            self._begin_afresh(f"outputs cannot be made from stored cells ({reason}): begun afresh")
            return
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

    def stopped(self) -> None:
        """Note that the run stops before the slide is over."""
        self.state.status, self.state.seconds = "stopped", time.perf_counter() - self._start

    def _prepared(self, found: Prepared) -> None:
        self._ref = found.ref
        self.state.mm2, self.state.tiles_total = found.mm2, len(found.plan.tiles)
        if found.begun_afresh and not self.state.note:
            self.state.note = "what was unfinished is of another configuration or slide: begun afresh"
        for counts in found.recognised.values():
            self._count(counts)
            self.state.tiles_done += 1
        self._missing = {
            tile: set(found.plan.needs(tile)) - found.mapped
            for tile in found.plan.tiles
            if tile not in found.recognised
        }
        self._to_map = deque(tile for tile in found.plan.tiles if tile not in found.mapped)
        if found.fitted:
            self._begin_tiles()
        else:
            self._phase, self._issued = "fit" if found.plan.tiles else "finish", False

    def _begin_afresh(self, why: str) -> None:
        self.state.note, self.state.cells, self.state.tiles_done = why, 0, 0
        self._phase, self._issued = "prepare", False

    def _begin_tiles(self) -> None:
        whole = [tile for tile, needs in self._missing.items() if not needs]
        for tile in whole:
            del self._missing[tile]
            self._ready.append(tile)
        self._phase = "tiles"
        self._finish_if_last()

    def _count(self, counts: Counts) -> None:
        self.state.cells += counts.cells
        self._unsimplified += counts.unsimplified
        self._dropped += counts.dropped

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
        self._finish_if_last()

    def _finish_if_last(self) -> None:
        if self.state.tiles_done == self.state.tiles_total:
            everything_failed = bool(self._failed) and len(self._failed) == self.state.tiles_total
            self._phase, self._issued = "finish", False
            if everything_failed:
                self._end("failed")

    def _end(self, status: Status, report: FinishReport | None = None) -> None:
        self._phase, self.state.status = "over", status
        self.state.seconds = time.perf_counter() - self._start
        if report is not None:
            self.state.cells = report.cells
        if status in {"done", "empty"}:
            self.state.error = self.state.traceback = ""  # what a second try mended
        if status == "partial":
            bad = len(self._failed | self._damaged)
            self.state.error = f"{bad} of {self.state.tiles_total} tiles failed in part or whole: {self.state.error}"

    def _tally(self) -> Tally:
        failed = {tile.name: reason for tile, reason in sorted((self._failed | self._damaged).items())}
        seconds = time.perf_counter() - self._start
        return Tally(dict(self._seconds), seconds, self.state.tiles_total, failed, self._unsimplified, self._dropped)

    def _book(self, seconds: Seconds) -> None:
        for name, value in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value

    def _key(self, name: str) -> str:
        return f"{name}-{self.state.slide_id}-{self.task.token}"

    def _tile_task(self, name: str, call: Callable[..., Any], tile: Tile, *, gpu: bool = False) -> Task:
        return Task(f"{self._key(name)}-{tile.name}", call, (self._ref, tile), gpu=gpu)


class Stager(Protocol):
    """Who copies slides to a fast disk ahead of their turn."""

    def copy_of(self, number: int) -> tuple[bool, Path | None]:
        """Tell whether a slide's turn may come, and where its copy lies; None where it is read in place."""

    def release(self, number: int) -> None:
        """Take back the room of a slide that is over."""


@dataclass
class Archive:
    """All slides of a run, as a source of tasks.

    Attributes
    ----------
    work : sequence of (SlideTask, SlideState)
        Slides that are to be done, in the order given.
    reporter : Reporter
        Told of every step.
    stop : Stop
        Asked to stop where going on is of no use.
    stager : Stager, optional
        Where slides are copied before they are read.
    on_tick : callable
        Called now and then.
    """

    work: Sequence[tuple[SlideTask, SlideState]]
    reporter: Reporter
    stop: Stop = field(default_factory=Stop)
    stager: Stager | None = None
    on_tick: Callable[[], None] = lambda: None
    _waiting: deque[tuple[int, tuple[SlideTask, SlideState]]] = field(init=False)
    _active: dict[SlideRun, int] = field(init=False, default_factory=dict)
    _owner: dict[str, SlideRun] = field(init=False, default_factory=dict)
    _cleaner: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = deque(enumerate(self.work))
        self._cleaner = ThreadPoolExecutor(1, thread_name_prefix="cleaner")

    def next_task(self) -> Task | None:
        """Task of the earliest slide that has one; else the next slide is begun.

        A finishing pass is one worker's: once no slide is left to begin, they wait for all tiles, and the last ones go
        side by side.
        """
        active = self._active if self._waiting else sorted(self._active, key=lambda run: run.finishing)
        for run in active:
            if (task := run.next_task()) is not None:
                return self._given(task, run)
        return self._begun()

    def over(self) -> bool:
        """Whether every slide is over."""
        return not self._waiting and not self._active

    def done(self, task: Task, result: Any) -> None:
        """Take a result."""
        if (run := self._run_of(task)) is not None:
            run.done(task, result)
            if isinstance(result, Prepared):
                self.reporter.started(run.state)
            if isinstance(result, FinishReport) and result.warning:
                self.reporter.said(f"{run.state.slide_id}: {result.warning}")
            self._after(run, tile=isinstance(result, TileReport))

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure; a full disk stops the run, for every other slide would fail too."""
        if is_disk_full(failure.error):
            self.stop.ask(f"no space is left to write results ({describe_error(failure.error)})")
        elif (run := self._run_of(task)) is not None:
            run.failed(task, failure)
            self._after(run, tile=task.call in {map_tile, recognise_tile})

    def said(self, text: str) -> None:
        """Pass a word on the run as a whole on."""
        self.reporter.said(text)

    def told(self, message: dict[str, Any]) -> None:
        """Take progress of a fit; called from another thread."""
        for run in list(self._active):
            if run.task.token == message["token"]:
                self.reporter.fitting(run.state, message["step"], message["steps"])

    def tick(self) -> None:
        """Keep the tables fresh."""
        self.on_tick()

    def close(self) -> None:
        """Note what is left undone; what is still to be removed is left to the next run where this one stops."""
        for run in self._active:
            run.stopped()
        self._cleaner.shutdown(cancel_futures=self.stop.asked)

    def _given(self, task: Task, run: SlideRun) -> Task:
        self._owner[task.key] = run
        if task.call is export:
            self.reporter.started(run.state)
        if task.call in {export, finish}:
            self.reporter.finishing(run.state)
        return task

    def _begun(self) -> Task | None:
        if not self._waiting:
            return None
        number, (slide_task, state) = self._waiting[0]
        copied, copy = self.stager.copy_of(number) if self.stager else (True, None)
        if not copied:
            return None
        self._waiting.popleft()
        run = SlideRun(replace(slide_task, staged=copy, token=uuid.uuid4().hex[:12]), state)
        self._active[run] = number
        task = run.next_task()
        return self._given(task, run) if task is not None else None

    def _run_of(self, task: Task) -> SlideRun | None:
        """Run of a task; None where the slide failed as a whole while the task was in flight."""
        run = self._owner.pop(task.key)
        return run if run in self._active else None

    def _after(self, run: SlideRun, tile: bool) -> None:
        if tile:
            self.reporter.advanced(run.state)
        if run.over:
            number = self._active.pop(run)
            if self.stager:
                self.stager.release(number)
            if run.state.status != "partial":  # now, as a retry of the last task must still find its job
                aside = put_aside(run.task.out, has_tiles if run.state.status == "failed" else lambda _: False)
                # Thousands of files: elsewhere, or no task would be given meanwhile.
                self._cleaner.submit(remove, aside)
            self.reporter.ended(run.state)
