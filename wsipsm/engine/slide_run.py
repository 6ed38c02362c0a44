"""The tasks of one slide: which can start now, and what a result makes possible."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from wsipsm.core.errors import StoredResultsError, UnreadableSlideError, describe_error
from wsipsm.core.events import SlideState, Status
from wsipsm.engine.cluster import Failure, Task
from wsipsm.engine.job import JobRef, SlideTask
from wsipsm.engine.reports import (
    CellsReport,
    Counts,
    LabelsReport,
    MapReport,
    OutputReport,
    Prepared,
    Seconds,
    Tally,
)
from wsipsm.tissue.tiles import Tile

TARGETS = {
    "prepare": "wsipsm.engine.tasks.prepare:prepare",
    "calibrate": "wsipsm.engine.tasks.calibrate:calibrate",
    "map": "wsipsm.engine.tasks.map_tile:map_tile",
    "map-around-damage": "wsipsm.engine.tasks.map_tile:map_tile",
    "find": "wsipsm.engine.tasks.find_cells:find_cells",
    "labels": "wsipsm.engine.tasks.write_labels:write_labels",
    "assemble": "wsipsm.engine.tasks.assemble:assemble",
    "publish": "wsipsm.engine.tasks.publish:publish",
    "export": "wsipsm.engine.tasks.export:export",
}
"""Functions by kind of task. Workers alone import them: the client has no use for PyTorch and the readers of pixels."""

LAST_KINDS = ("labels", "assemble")
"""Kinds of the tasks that write the results of a slide, side by side; they are published when both are done."""

TILE_KINDS = frozenset({"map", "map-around-damage", "find"})
"""Kinds of tasks on one tile, which is their second argument."""


class SlideRun:
    """The tasks of one slide, in an order that its dependencies allow."""

    def __init__(self, slide_task: SlideTask, state: SlideState) -> None:
        self.slide_task, self.state = slide_task, state
        self._start = time.perf_counter()
        self._ref = JobRef("", "")
        self._to_map, self._around_damage, self._ready = deque[Tile](), deque[Tile](), deque[Tile]()
        self._missing: dict[Tile, set[Tile]] = {}
        self._failed: dict[Tile, str] = {}
        self._damaged: dict[Tile, str] = {}
        self._seconds: Seconds = {}
        self._unsimplified = self._dropped = 0
        self._to_write = deque(LAST_KINDS)
        self._labels: LabelsReport | None = None
        self._cells: CellsReport | None = None
        self._phase: Literal["export", "prepare", "calibrate", "tiles", "assemble", "publish", "over"]
        self._phase = "export" if slide_task.remake else "prepare"
        self._issued = False
        state.status = "running"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._phase == "over"

    @property
    def assembling(self) -> bool:
        """Whether only the writing of the results is left."""
        return self._phase == "assemble"

    def next_task(self) -> Task | None:
        """Task that can start now, if there is one."""
        if self._phase == "tiles":
            return self._next_of_tiles()
        if self._phase == "assemble":
            return self._next_of_writing()
        if self._phase == "over" or self._issued:
            return None
        self._issued = True
        if self._phase == "calibrate":
            return self._new("calibrate", self._ref, gpu=True, progress=True)
        if self._phase == "publish":
            return self._new("publish", self._ref, self._cells, self._labels, self._elapsed())
        return self._new(self._phase, self.slide_task)

    def _next_of_writing(self) -> Task | None:
        kind = self._to_write.popleft() if self._to_write else None
        if kind is None:
            return None
        return self._new(kind, self._ref) if kind == "labels" else self._new(kind, self._ref, self._tally())

    def last_task(self) -> Task | None:
        """Task that publishes what is written, if it can start now."""
        return self.next_task() if self._phase == "publish" else None

    def _next_of_tiles(self) -> Task | None:
        """Task on a tile; finding cells goes before making more maps, and before those that workers were sent."""
        if self._ready:
            return self._new("find", self._ref, self._ready.popleft())
        if self._around_damage:
            return self._new("map-around-damage", self._ref, self._around_damage.popleft(), True, gpu=True)
        return self._new("map", self._ref, self._to_map.popleft(), gpu=True) if self._to_map else None

    def _new(self, kind: str, *args: Any, gpu: bool = False, progress: bool = False) -> Task:
        tile = f"-{args[1].name}" if kind in TILE_KINDS else ""
        key = f"{kind}-{self.state.slide_id}-{self.slide_task.token}{tile}"
        first = kind in {"find", "publish"}
        return Task(key, TARGETS[kind], args, kind=kind, gpu=gpu, progress=progress, first=first)

    def done(self, task: Task, result: Any) -> None:
        """Take the result of a task."""
        if task.kind == "prepare":
            self._prepared(result)
        elif task.kind == "calibrate":
            self._add_seconds(result)
            self._begin_tiles()
        elif task.kind == "find":
            self._add_seconds(result.seconds)
            self._count(result.counts)
            self._tile_over()
        elif task.kind in TILE_KINDS:
            self._mapped(task.args[1], result)
        elif task.kind in LAST_KINDS:
            self._written(result)
        else:
            whole: Status = "done" if self.state.tiles_total else "empty"
            self._end("partial" if self._failed or self._damaged else whole, result)

    def failed(self, task: Task, failure: Failure) -> None:
        """Take a failure: of a tile, it costs the cells that depend on it; of anything else, the slide.

        Where stored cells cannot be read, they are found again.
        """
        reason = describe_error(failure.error)
        if task.kind == "export" and isinstance(failure.error, StoredResultsError):
            self._begin_afresh(f"outputs cannot be made from stored cells ({reason}): begun afresh")
            return
        self.state.error, self.state.traceback = reason, failure.traceback
        if task.kind not in TILE_KINDS:
            self._end("failed")
        elif task.kind == "map" and isinstance(failure.error, UnreadableSlideError):
            self._damaged[task.args[1]] = reason
            self._around_damage.append(task.args[1])
        else:
            self._lose(task.args[1], mapped=task.kind == "find", reason=reason)

    def _lose(self, lost: Tile, *, mapped: bool, reason: str) -> None:
        """Give up the cells of a tile; where it is not mapped, those of all tiles that need its maps."""
        for tile in [lost] if mapped else [tile for tile, needs in self._missing.items() if lost in needs]:
            self._missing.pop(tile, None)
            self._failed[tile] = reason
            self._tile_over()

    def stopped(self) -> None:
        """Record that the run stops before the slide is over."""
        self.state.status, self.state.seconds = "stopped", self._elapsed()

    def _prepared(self, found: Prepared) -> None:
        self._ref = found.ref
        self.state.mm2, self.state.tiles_total = found.mm2, len(found.plan.tiles)
        if found.begun_afresh and not self.state.note:
            self.state.note = "what was unfinished is of another configuration or slide: begun afresh"
        for counts in found.done.values():
            self._count(counts)
            self.state.tiles_done += 1
        self._missing = {
            tile: set(found.plan.needs(tile)) - found.mapped for tile in found.plan.tiles if tile not in found.done
        }
        self._to_map = deque(tile for tile in found.plan.tiles if tile not in found.mapped)
        if found.calibrated:
            self._begin_tiles()
        else:
            self._phase, self._issued = "calibrate" if found.plan.tiles else "assemble", False

    def _begin_afresh(self, why: str) -> None:
        self.state.note, self.state.cells, self.state.tiles_done = why, 0, 0
        self._phase, self._issued = "prepare", False

    def _begin_tiles(self) -> None:
        self._open(list(self._missing))
        self._phase = "tiles"
        self._assemble_if_last()

    def _count(self, counts: Counts) -> None:
        self.state.cells += counts.cells
        self._unsimplified, self._dropped = self._unsimplified + counts.unsimplified, self._dropped + counts.dropped

    def _mapped(self, mapped: Tile, report: MapReport) -> None:
        self._add_seconds(report.seconds)
        if not report.unreadable:
            self._damaged.pop(mapped, None)
        near = [tile for tile in mapped.neighbourhood() if tile in self._missing]
        for tile in near:
            self._missing[tile].discard(mapped)
        self._open(near)

    def _open(self, tiles: Sequence[Tile]) -> None:
        """Let the cells be found in those tiles that miss no maps any more."""
        for tile in tiles:
            if not self._missing[tile]:
                del self._missing[tile]
                self._ready.append(tile)

    def _tile_over(self) -> None:
        self.state.tiles_done += 1
        self._assemble_if_last()

    def _assemble_if_last(self) -> None:
        if self.state.tiles_done == self.state.tiles_total:
            everything_failed = bool(self._failed) and len(self._failed) == self.state.tiles_total
            self._phase, self._issued = "assemble", False
            if everything_failed:
                self._end("failed")

    def _written(self, report: LabelsReport | CellsReport) -> None:
        if isinstance(report, LabelsReport):
            self._labels = report
        else:
            self._cells = report
        if self._labels is not None and self._cells is not None:
            self._phase, self._issued = "publish", False

    def _elapsed(self) -> float:
        return time.perf_counter() - self._start

    def _end(self, status: Status, report: OutputReport | None = None) -> None:
        self._phase, self.state.status = "over", status
        self.state.seconds = self._elapsed()
        if report is not None:
            self.state.cells, self.state.warnings, self.state.index = report.cells, report.warnings, report.index
        if status in {"done", "empty"}:
            self.state.error = self.state.traceback = ""  # of a try before the one that worked
        if status == "partial":
            bad = len(self._failed | self._damaged)
            self.state.error = f"{bad} of {self.state.tiles_total} tiles failed in part or whole: {self.state.error}"

    def _tally(self) -> Tally:
        failed = {tile.name: reason for tile, reason in sorted((self._failed | self._damaged).items())}
        return Tally(
            dict(self._seconds), self._elapsed(), self.state.tiles_total, failed, self._unsimplified, self._dropped
        )

    def _add_seconds(self, seconds: Seconds) -> None:
        for name, value in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value
