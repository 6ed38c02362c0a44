"""The tables of an output folder: a row for each slide, one for each that failed, and how the run itself stands."""

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
from wsipsm.core.files import write_csv, write_json
from wsipsm.engine.state import Reporter, SlideState

SLIDES_FILE, FAILED_FILE, RUN_FILE = "slides.csv", "failed.csv", ".wsipsm.run.json"
SLIDE_COLUMNS = ("slide", "slide_id", "status", "tiles_done", "tiles_total", "cells", "mm2", "seconds", "error", "out")
FAILED_COLUMNS = ("slide", "slide_id", "error", "traceback", "out")

WRITE_SECONDS = 2.0
"""Least time between two writes; a write takes at most a twentieth of the time, however many slides there are."""


class TableKeeper:
    """A reporter that passes everything on and keeps ``slides.csv``, ``failed.csv`` and the state of the run.

    Rows that earlier runs put into the tables stay, unless this run has their folders too. Tables that cannot be
    written now, as on a full disk, do not end the run: that is said once, and they are written when they can be.
    """

    def __init__(self, out: Path, states: Sequence[SlideState], reporter: Reporter) -> None:
        self._out, self._states, self._reporter = out, states, reporter
        self.fitting, self.said = reporter.fitting, reporter.said
        self.advanced, self.finishing = reporter.advanced, reporter.finishing
        self._earlier = {name: read_rows(out / name) for name in (SLIDES_FILE, FAILED_FILE)}
        self._tiles_before: dict[Path, int] = {}
        self._silent = False
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._next = 0.0

    def started(self, state: SlideState) -> None:
        """Note what earlier runs did of a slide that this one goes on with."""
        self._tiles_before[state.out] = state.tiles_done
        self._reporter.started(state)

    def ended(self, state: SlideState) -> None:
        """Note that a slide is over."""
        self.tick()
        self._reporter.ended(state)

    def tick(self) -> None:
        """Write, if that was long ago."""
        if time.monotonic() >= self._next:
            self.write()

    def write(self, *, ended: bool = False) -> None:
        """Write all tables."""
        start = time.monotonic()
        rows = [{name: getattr(state, name) for name in (*SLIDE_COLUMNS, "traceback")} for state in self._states]
        for row in rows:
            row["mm2"], row["seconds"] = round(row["mm2"], 4), round(row["seconds"], 2)
        bad = [row for row in rows if row["status"] in {"failed", "partial"}]
        try:
            write_csv(self._out / SLIDES_FILE, SLIDE_COLUMNS, [*self._others(SLIDES_FILE), *rows])
            write_csv(self._out / FAILED_FILE, FAILED_COLUMNS, [*self._others(FAILED_FILE), *bad])
            write_json(self._out / RUN_FILE, self._run_state(ended))
            self._silent = False
        except OutputError as error:
            if not self._silent:
                self.said(f"the tables cannot be written now: {error}")
            self._silent = True
        took = time.monotonic() - start
        self._next = time.monotonic() + max(WRITE_SECONDS, 20 * took)

    def _others(self, name: str) -> list[dict[str, Any]]:
        """Rows of earlier runs for folders that are none of this run's."""
        mine = {str(state.out) for state in self._states}
        return [row for row in self._earlier[name] if row.get("out") not in mine]

    def _run_state(self, ended: bool) -> dict[str, Any]:
        return {
            "version": __version__,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": self._began,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "ended": ended,
            "tiles": sum(
                state.tiles_done - self._tiles_before[state.out]
                for state in self._states
                if state.out in self._tiles_before
            ),
        }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table; none where there is no such file."""
    try:
        # What a spreadsheet program made of the table must not end a run: a mark at its begin, letters in its own code.
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            csv.field_size_limit(1 << 30)
            return list(csv.DictReader(file))
    except OSError:
        return []
