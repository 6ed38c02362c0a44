"""The tables of an output folder: a row for each slide, and one for each that failed."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsipsm.archive import Reporter, SlideState
from wsipsm.provenance import write_csv

SLIDE_COLUMNS = ("slide", "slide_id", "status", "tiles_done", "tiles_total", "cells", "mm2", "seconds", "error")
FAILED_COLUMNS = ("slide", "slide_id", "error", "traceback")

WRITE_SECONDS = 2.0
"""Least time between two writes: at ten thousand slides a write is long."""


class TableKeeper:
    """A reporter that passes everything on and keeps ``slides.csv`` and ``failed.csv``.

    Rows of slides that earlier runs put into the folder stay, unless this run has them too.
    """

    def __init__(self, out: Path, states: Sequence[SlideState], reporter: Reporter) -> None:
        self._out, self._states, self._reporter = out, states, reporter
        self.started, self.fitting = reporter.started, reporter.fitting
        self.advanced, self.finishing = reporter.advanced, reporter.finishing
        mine = {str(state.slide) for state in states}
        self._slides, self._failed = (
            [row for row in _rows(out / name) if row.get("slide") not in mine] for name in ("slides.csv", "failed.csv")
        )
        self._last = 0.0

    def ended(self, state: SlideState) -> None:
        """Note that a slide is over."""
        if time.monotonic() - self._last > WRITE_SECONDS:
            self.write()
        self._reporter.ended(state)

    def write(self) -> None:
        """Write both tables."""
        rows = [{name: getattr(state, name) for name in (*SLIDE_COLUMNS, "traceback")} for state in self._states]
        for row in rows:
            row["mm2"], row["seconds"] = round(row["mm2"], 4), round(row["seconds"], 2)
        write_csv(self._out / "slides.csv", SLIDE_COLUMNS, [*self._slides, *rows])
        write_csv(self._out / "failed.csv", FAILED_COLUMNS, [*self._failed, *(row for row in rows if row["error"])])
        self._last = time.monotonic()


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []
