"""Progress of a run or a training: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wsipsm.core.events import Event, Observer, SlideState

LINE_SECONDS = 5.0
"""Least time between two plain lines of one slide or stage."""

SPEED_SECONDS = 5.0
"""Time from the first tile or step until a speed is shown; the first tiles come in a burst."""


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Observer]:
    """Observer that shows a run or a training as suits the console."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        yield Bars(bars)


class Bars:
    """Observer with one bar for each slide under way, and one for each stage of a training."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._rows: dict[Path | str, tuple[TaskID, _Pace]] = {}

    def __call__(self, event: Event) -> None:
        """Open, move or close a bar; print above the bars what is to stay."""
        key = _key(event)
        if event.kind in {"started", "stage"}:
            self._open(key, event)
        elif event.kind == "ended" and key in self._rows:
            self._bars.remove_task(self._rows.pop(key)[0])
        elif key in self._rows:  # a calibration may report a step after its slide has ended
            row, pace = self._rows[key]
            self._bars.update(row, **_bar(event, pace))
        for line in _lasting(event):
            _print(self._bars.console, line)

    def _open(self, key: Path | str, event: Event) -> None:
        if event.slide is None:
            for row, _ in self._rows.values():  # a stage ends where the next begins
                self._bars.stop_task(row)
        if key in self._rows:  # a slide is started again where its first task was lost with a worker
            self._bars.remove_task(self._rows.pop(key)[0])
        pace = _Pace()
        self._rows[key] = self._bars.add_task(**_bar(event, pace)), pace


class Lines:
    """Observer that prints a line now and then, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._paces: dict[Path | str, _Pace] = {}

    def __call__(self, event: Event) -> None:
        """Print the event, unless its slide or stage had a line a moment ago."""
        key = _key(event)
        if event.kind in {"started", "stage"}:
            self._paces[key] = _Pace()
        for line in _lasting(event):
            _print(self._console, line)
        if key in self._paces and (line := _line(event, self._paces[key])):
            _print(self._console, line)


def summary(state: SlideState) -> str:
    """One line on how a slide ended.

    Examples
    --------
    >>> summary(SlideState(Path("a.svs"), "a", status="failed", error="no resolution"))
    'a: failed: no resolution'
    """
    if state.status == "failed":
        return f"{state.slide_id}: failed: {state.error}"
    if state.status == "empty":
        return f"{state.slide_id}: no tissue found, no cells"
    facts = f"{state.cells:,} cells in {state.mm2:.2f} mm²"
    if state.status == "partial":
        return f"{state.slide_id}: {facts}, but {state.error}"
    return f"{state.slide_id}: {facts}" + (", already done" if state.found_done else f", {state.seconds:.0f} s")


class _Pace:
    """Speed of a slide or a stage from its first tile or step on, and when its next line is due."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last_line = -LINE_SECONDS

    def per_second(self, done: int) -> float | None:
        """Tiles or steps a second; None at the beginning."""
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        return (done - first) / (now - start) if done > first and now - start >= SPEED_SECONDS else None

    def line_due(self, *, last: bool = False) -> bool:
        """Whether a line is due now; the last one always is."""
        now = time.monotonic()
        if not last and now - self._last_line < LINE_SECONDS:
            return False
        self._last_line = now
        return True


def _key(event: Event) -> Path | str:
    return event.text if event.slide is None else event.slide.out


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lasting(event: Event) -> Iterator[str]:
    """Lines that are always printed, and stay."""
    if event.kind == "message":
        yield event.text
    if event.kind == "started" and event.slide and event.slide.note:
        yield f"{event.slide.slide_id}: {event.slide.note}"
    if event.kind == "ended" and event.slide:
        yield summary(event.slide)
        yield from (f"{event.slide.slide_id}: warning: {warning}" for warning in event.slide.warnings)


def _bar(event: Event, pace: _Pace) -> dict[str, Any]:
    """Text and length of the bar of a slide or a stage."""
    if (state := event.slide) is None:
        return {"description": escape(event.text), "total": event.steps, "completed": event.step, "facts": _step(event)}
    name = escape(state.slide_id)
    if event.kind == "started":
        return {"description": f"{name}: calibrate", "total": None, "facts": f"{state.mm2:.2f} mm²"}
    if event.kind == "calibrating":
        return {"total": event.steps, "completed": event.step, "facts": f"step {event.step}/{event.steps}"}
    if event.kind == "tile":
        length = {"total": state.tiles_total, "completed": state.tiles_done}
        return {"description": f"{name}: tiles", **length, "facts": _tiles(state, pace)}
    return {"description": f"{name}: write", "facts": f"{state.cells:,} cells"}


def _line(event: Event, pace: _Pace) -> str:
    """Line on what a slide or a stage has come to; empty where none is due."""
    if (state := event.slide) is None:
        due = event.kind == "step" and pace.line_due(last=event.step == event.steps)
        return f"{event.text}: {_step(event)}{_left(event, pace)}" if due else ""
    match event.kind:
        case "started":
            done = f", {state.tiles_done} of them done" if state.tiles_done else ""
            return f"{state.slide_id}: {state.mm2:.2f} mm², {state.tiles_total} tiles{done}"
        case "calibrating" if pace.line_due():
            return f"{state.slide_id}: calibrating, step {event.step} of {event.steps}"
        case "tile" if pace.line_due(last=state.tiles_done == state.tiles_total):
            return f"{state.slide_id}: {state.tiles_done} of {state.tiles_total} tiles, {_tiles(state, pace)}"
        case "assembling":
            return f"{state.slide_id}: writing the results of {state.cells} cells"
    return ""


def _tiles(state: SlideState, pace: _Pace) -> str:
    """Cells, speed and time left."""
    speed = pace.per_second(state.tiles_done)
    if speed is None:
        return f"{state.cells:,} cells"
    left = (state.tiles_total - state.tiles_done) / speed
    return f"{state.cells:,} cells, {state.mm2 * speed / state.tiles_total:.3f} mm²/s, {left:.0f} s left"


def _step(event: Event) -> str:
    return f"{event.step}/{event.steps}" + ("" if event.loss is None else f", loss {event.loss:.4f}")


def _left(event: Event, pace: _Pace) -> str:
    speed, steps = pace.per_second(event.step), event.steps - event.step
    return f", {steps / speed:.0f} s left" if speed and steps else ""
