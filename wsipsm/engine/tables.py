"""Tables in an output folder: ``slides.csv``, ``failed.csv``, and the record of the run."""

from __future__ import annotations

import csv
import os
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wsipsm import __version__
from wsipsm.core.errors import OutputError
from wsipsm.core.events import Event, Observer, SlideState
from wsipsm.core.files import write_csv, write_json

SLIDES_FILE, FAILED_FILE, RUN_FILE = "slides.csv", "failed.csv", ".wsipsm.run.json"
INDEX_COLUMNS = ("positive_percent", "counted", "h_score")
"""Of slides whose cells have classes; empty for others."""
SLIDE_COLUMNS = (
    *("slide", "slide_id", "status", "tiles_done", "tiles_total", "cells", "mm2", "seconds"),
    *(*INDEX_COLUMNS, "error", "warnings", "out"),
)
FAILED_COLUMNS = ("slide", "slide_id", "error", "traceback", "out")

WRITE_SECONDS = 2.0
"""Least time between two writes; with many slides it grows, so that writing takes a twentieth of the time at most."""


class TableWriter:
    """Observer that keeps the tables of a run up to date.

    Rows of earlier runs stay, except those of folders that this run writes. Tables that cannot be written, as on a
    full disk, do not end the run: one message reports it, and they are written when that is possible again.

    Parameters
    ----------
    out : Path
        Output folder of the run.
    states : sequence of SlideState
        Slides of the run; read at each write.
    on_event : callable
        Receives the message that the tables cannot be written.
    """

    def __init__(self, out: Path, states: Sequence[SlideState], on_event: Observer) -> None:
        self._out, self._states, self._on_event = out, states, on_event
        self._earlier = {name: read_rows(out / name) for name in (SLIDES_FILE, FAILED_FILE)}
        self._tiles_before: dict[Path, int] = {}
        self._reported = False
        self._began = _now()
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Note the tiles that earlier runs did; write once a slide has ended."""
        if event.kind == "started" and event.slide is not None:
            self._tiles_before.setdefault(event.slide.out, event.slide.tiles_done)  # it may be started again
        elif event.kind == "ended":
            self.write_if_due()

    def write_if_due(self) -> None:
        """Write, unless that was a moment ago."""
        if time.monotonic() >= self._next:
            self.write()

    def write(self, *, ended: bool = False) -> None:
        """Write all tables; ``ended`` marks the run as over."""
        start = time.monotonic()
        try:
            self._write(ended)
            self._reported = False
        except OutputError as error:
            if not self._reported:
                self._on_event(Event("message", text=f"the tables cannot be written now: {error}"))
            self._reported = True
        took = time.monotonic() - start
        self._next = time.monotonic() + max(WRITE_SECONDS, 20 * took)

    def _write(self, ended: bool) -> None:
        rows = [_row(state) for state in self._states]
        failed = [row for row in rows if row["status"] in {"failed", "partial"}]
        write_csv(self._out / SLIDES_FILE, SLIDE_COLUMNS, [*self._kept(SLIDES_FILE), *rows])
        write_csv(self._out / FAILED_FILE, FAILED_COLUMNS, [*self._kept(FAILED_FILE), *failed])
        write_json(self._out / RUN_FILE, self._record(ended))

    def _kept(self, name: str) -> list[dict[str, Any]]:
        """Rows of earlier runs, of folders that this run does not write."""
        own = {str(state.out) for state in self._states}
        return [row for row in self._earlier[name] if row.get("out") not in own]

    def _record(self, ended: bool) -> dict[str, Any]:
        before = self._tiles_before
        return {
            "version": __version__,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": self._began,
            "updated": _now(),
            "ended": ended,
            "tiles": sum(state.tiles_done - before[state.out] for state in self._states if state.out in before),
        }


def _row(state: SlideState) -> dict[str, Any]:
    changed = {
        "mm2": round(state.mm2, 4),
        "seconds": round(state.seconds, 2),
        "warnings": "; ".join(state.warnings),
        **{name: getattr(state.index, name) for name in INDEX_COLUMNS},
    }
    plain = {*SLIDE_COLUMNS, "traceback"} - {*INDEX_COLUMNS}
    return {name: getattr(state, name) for name in plain} | changed


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table; empty where the file is missing."""
    try:
        # A spreadsheet program may have saved the table with a byte order mark or in an encoding of its own.
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            csv.field_size_limit(1 << 30)
            return list(csv.DictReader(file))
    except OSError:
        return []
