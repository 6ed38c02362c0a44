"""Progress of a run: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wsipsm.engine.state import Reporter, SlideState

LINE_SECONDS = 5.0
"""Least time between two plain lines of one slide."""

SPEED_SECONDS = 5.0
"""How long tiles must have come before a speed is told; the first come in a burst."""


class Clock(Protocol):
    """Seconds that only grow."""

    def __call__(self) -> float:
        """Return the seconds."""


@contextlib.contextmanager
def reporter(console: Console) -> Iterator[Reporter]:
    """Give a reporter that suits the console."""
    if not console.is_terminal:
        yield PlainReporter(console)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        yield BarReporter(bars)


class BarReporter:
    """One bar a slide under way."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._rows: dict[Path, tuple[TaskID, _Speed]] = {}

    def said(self, text: str) -> None:
        """Leave one line."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def started(self, state: SlideState) -> None:
        """Open the slide's bar."""
        if state.note:
            self.said(f"{state.slide_id}: {state.note}")
        row = self._bars.add_task(escape(f"{state.slide_id}: learn"), total=None, facts=f"{state.mm2:.2f} mm²")
        self._rows[state.out] = row, _Speed(time.monotonic)

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Move the bar through self-supervision."""
        if state.out not in self._rows:  # told from another thread, a little early or late
            return
        row, _ = self._rows[state.out]
        self._bars.update(row, total=steps, completed=step, facts=f"step {step}/{steps}")

    def advanced(self, state: SlideState) -> None:
        """Move the bar by one tile."""
        row, speed = self._rows[state.out]
        self._bars.update(
            row,
            description=escape(f"{state.slide_id}: tiles"),
            total=state.tiles_total,
            completed=state.tiles_done,
            facts=speed.facts(state),
        )

    def finishing(self, state: SlideState) -> None:
        """Say that outputs are being written."""
        row, _ = self._rows[state.out]
        self._bars.update(row, description=escape(f"{state.slide_id}: write"), facts=f"{state.cells:,} cells")

    def ended(self, state: SlideState) -> None:
        """Close the bar and leave one line."""
        if state.out in self._rows:
            self._bars.remove_task(self._rows.pop(state.out)[0])
        self._bars.console.print(summary(state), markup=False, highlight=False, soft_wrap=True)


class PlainReporter:
    """One line now and then, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._speeds: dict[Path, _Speed] = {}
        self._last: dict[Path, float] = {}

    def said(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def started(self, state: SlideState) -> None:
        """Say what there is to do."""
        self._speeds[state.out] = _Speed(time.monotonic)
        goes_on = f", {state.tiles_done} of them done" if state.tiles_done else ""
        if state.note:
            self._say(f"{state.slide_id}: {state.note}")
        self._say(f"{state.slide_id}: {state.mm2:.2f} mm², {state.tiles_total} tiles{goes_on}")

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Say how far self-supervision is."""
        if self._due(state):
            self._say(f"{state.slide_id}: learning, step {step} of {steps}")

    def advanced(self, state: SlideState) -> None:
        """Say how many tiles are over."""
        if self._due(state) or state.tiles_done == state.tiles_total:
            facts = self._speeds[state.out].facts(state)
            self._say(f"{state.slide_id}: {state.tiles_done} of {state.tiles_total} tiles, {facts}")

    def finishing(self, state: SlideState) -> None:
        """Say that outputs are being written."""
        self._say(f"{state.slide_id}: writing the results of {state.cells} cells")

    def ended(self, state: SlideState) -> None:
        """Say how it ended."""
        self._say(summary(state))

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _due(self, state: SlideState) -> bool:
        now = time.monotonic()
        if now - self._last.get(state.out, -LINE_SECONDS) < LINE_SECONDS:
            return False
        self._last[state.out] = now
        return True


def summary(state: SlideState) -> str:
    """One line on how a slide ended.

    Examples
    --------
    >>> from pathlib import Path
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


class _Speed:
    def __init__(self, clock: Clock) -> None:
        self._clock, self._start, self._before = clock, clock(), -1

    def facts(self, state: SlideState) -> str:
        """Cells, speed and time left, counted from the first tile."""
        now = self._clock()
        if self._before < 0:
            self._start, self._before = now, state.tiles_done
        done, seconds = state.tiles_done - self._before, now - self._start
        if done <= 0 or seconds < SPEED_SECONDS:
            return f"{state.cells:,} cells"
        left = (state.tiles_total - state.tiles_done) * seconds / done
        speed = state.mm2 * done / state.tiles_total / seconds
        return f"{state.cells:,} cells, {speed:.3f} mm²/s, {left:.0f} s left"
