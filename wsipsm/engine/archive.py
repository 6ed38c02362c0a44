"""The slides of a run and what is to be done next for each: the source of the stream of tasks.

A later slide starts as soon as the earlier ones have no task to give, so that the end of a slide leaves no worker idle.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from wsipsm.core.errors import describe_error
from wsipsm.core.events import Event, Observer, SlideState
from wsipsm.core.files import is_disk_full
from wsipsm.engine.cluster import Failure, Stop, Task
from wsipsm.engine.job import SlideTask
from wsipsm.engine.reports import Prepared, TileReport
from wsipsm.engine.resume import has_tiles, put_aside, remove, remove_drafts
from wsipsm.engine.slide_run import LAST_KINDS, TILE_KINDS, SlideRun
from wsipsm.slide.staging import Stager


@dataclass
class Archive:
    """All slides of a run, as a source of tasks.

    Attributes
    ----------
    work : sequence of (SlideTask, SlideState)
        Slides that are to be done, in the order given.
    on_event : callable
        Receives the events of the slides.
    stop : Stop
        Asked to stop where going on is of no use.
    stager : Stager, optional
        Where slides are copied before they are read.
    on_poll : callable
        Called now and then.
    """

    work: Sequence[tuple[SlideTask, SlideState]]
    on_event: Observer
    stop: Stop = field(default_factory=Stop)
    stager: Stager | None = None
    on_poll: Callable[[], None] = lambda: None
    _waiting: deque[tuple[int, tuple[SlideTask, SlideState]]] = field(init=False)
    _active: dict[SlideRun, int] = field(init=False, default_factory=dict)
    _owner: dict[str, SlideRun] = field(init=False, default_factory=dict)
    _cleaner: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = deque(enumerate(self.work))
        self._cleaner = ThreadPoolExecutor(1, thread_name_prefix="cleaner")

    def next_task(self) -> Task | None:
        """Task of the earliest slide that has one; else the next slide is begun.

        Few workers can write the results of a slide: once no slide is left to begin, that waits for all tiles, and
        the last ones are written side by side.
        """
        active = self._active if self._waiting else sorted(self._active, key=lambda run: run.assembling)
        for run in active:
            if (task := run.next_task()) is not None:
                return self._issued(task, run)
        return self._begun()

    def last_task(self) -> Task | None:
        """Task that publishes a slide whose results are written, unless no space is left."""
        for run in () if self.stop.disk_full else self._active:
            if (task := run.last_task()) is not None:
                return self._issued(task, run)
        return None

    def over(self) -> bool:
        """Whether every slide is over."""
        return not self._waiting and not self._active

    def done(self, task: Task, result: Any) -> None:
        """Take a result."""
        if (run := self._run_of(task)) is not None:
            run.done(task, result)
            if isinstance(result, Prepared):
                self.on_event(Event("started", run.state))
            self._after(run, tile=isinstance(result, TileReport))

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure; a full disk stops the run, for every other slide would fail too."""
        if is_disk_full(failure.error):
            self.stop.ask(f"no space is left to write results ({describe_error(failure.error)})", disk_full=True)
        elif (run := self._run_of(task)) is not None:
            run.failed(task, failure)
            self._after(run, tile=task.kind in TILE_KINDS)

    def log(self, text: str) -> None:
        """Report a message."""
        self.on_event(Event("message", text=text))

    def progress(self, message: dict[str, Any]) -> None:
        """Report a step of a calibration; called from another thread."""
        for run in list(self._active):
            if run.slide_task.token == message["token"]:
                self.on_event(Event("calibrating", run.state, step=message["step"], steps=message["steps"]))

    def poll(self) -> None:
        """Keep the tables fresh."""
        self.on_poll()

    def close(self) -> None:
        """Mark unfinished slides as stopped; where a stop is asked, removal of scratch is left to the next run."""
        for run in self._active:
            run.stopped()
            remove_drafts(run.slide_task)
        self._cleaner.shutdown(cancel_futures=self.stop.asked)

    def _issued(self, task: Task, run: SlideRun) -> Task:
        self._owner[task.key] = run
        if task.kind == "export":
            self.on_event(Event("started", run.state))
        if task.kind in {"export", "labels"}:  # the first of those that write
            self.on_event(Event("assembling", run.state))
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
        return self._issued(task, run) if task is not None else None

    def _run_of(self, task: Task) -> SlideRun | None:
        """Run of a task; None where the slide failed as a whole while the task was in flight."""
        run = self._owner.pop(task.key)
        if run in self._active:
            return run
        if task.kind in LAST_KINDS:  # what it has written, nobody will publish
            self._cleaner.submit(remove_drafts, run.slide_task)
        return None

    def _after(self, run: SlideRun, tile: bool) -> None:
        if tile:
            self.on_event(Event("tile", run.state))
        if run.over:
            number = self._active.pop(run)
            if self.stager:
                self.stager.release(number)
            if run.state.status != "partial":  # now, as a retry of the last task must still find its job
                aside = put_aside(run.slide_task.out, has_tiles if run.state.status == "failed" else lambda _: False)
                # Thousands of files: in a thread, or no task would be given out meanwhile.
                self._cleaner.submit(remove, aside)
            self.on_event(Event("ended", run.state))
