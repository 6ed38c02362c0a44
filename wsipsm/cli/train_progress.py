"""Progress of a training: one live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 5.0
"""Least time between two plain lines of one stage."""


@contextlib.contextmanager
def train_watcher(console: Console) -> Iterator[BarWatcher | PlainWatcher]:
    """Give a watcher that suits the console."""
    if not console.is_terminal:
        yield PlainWatcher(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        yield BarWatcher(bars)


class BarWatcher:
    """One bar, of the stage under way."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._row: TaskID | None = None
        self._total = 0

    def began(self, stage: str, total: int) -> None:
        """Open the bar of a stage."""
        if self._row is not None:
            self._bars.stop_task(self._row)
        self._total, self._row = total, self._bars.add_task(escape(stage), total=total, facts=f"0/{total}")

    def moved(self, done: int, loss: float | None = None) -> None:
        """Move the bar."""
        if self._row is not None:
            self._bars.update(self._row, completed=done, facts=_facts(done, self._total, loss))

    def said(self, line: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


class PlainWatcher:
    """One line now and then, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage, self._total = "", 0
        self._first: tuple[int, float] | None = None
        self._last = 0.0

    def began(self, stage: str, total: int) -> None:
        """Take note of a stage; its first line comes with its first step."""
        self._stage, self._total, self._first, self._last = stage, total, None, -LINE_SECONDS

    def moved(self, done: int, loss: float | None = None) -> None:
        """Say how far the stage is, and how long it may take."""
        now = time.monotonic()
        self._first = self._first or (done, now)
        if done < self._total and now - self._last < LINE_SECONDS:
            return
        self._last = now
        steps, seconds = done - self._first[0], now - self._first[1]
        left = f", {(self._total - done) * seconds / steps:.0f} s left" if steps and done < self._total else ""
        self.said(f"{self._stage}: {_facts(done, self._total, loss)}{left}")

    def said(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _facts(done: int, total: int, loss: float | None) -> str:
    return f"{done}/{total}" + ("" if loss is None else f", loss {loss:.4f}")
