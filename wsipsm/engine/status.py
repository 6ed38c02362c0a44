"""Status of a run, from the tables in its output folder."""

from __future__ import annotations

import contextlib
import math
import socket
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import InputError
from wsipsm.core.lock import is_locked
from wsipsm.engine.tables import INDEX_COLUMNS, RUN_FILE, SLIDE_COLUMNS, SLIDES_FILE, read_rows

SILENT_SECONDS = 60
"""Age of the record from which on an unfinished run counts as dead, where its lock cannot be seen."""

UNKNOWN = "unknown"
"""Status of an incomplete row, or one without numbers where they belong: the table was edited by hand."""

_NEW = ("warnings", *INDEX_COLUMNS)
"""Columns that tables of earlier versions lack."""
_NUMBERS = {"tiles_done": int, "tiles_total": int, "cells": int, "mm2": float, "seconds": float}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Status of an output folder.

    Attributes
    ----------
    state : str
        ``running``, ``ended``, or ``interrupted`` (killed, or stopped with slides left).
    slides : dict
        Number of slides by status; ``unknown`` where a row of the table cannot be read.
    tiles_done, tiles_total : int
        Of slides whose tiles are planned.
    cells : int
        Cells found so far.
    mm2 : float
        Area of slides whose tiles are planned, mm².
    seconds_left : float or None
        Estimate from the speed so far; None before the first tile, and for a run that is not running.
    rows : list of dict
        Rows of ``slides.csv``.
    run : dict
        Host, process, version, and when the run began and last wrote; empty where the record cannot be read.
    """

    state: str
    slides: dict[str, int]
    tiles_done: int
    tiles_total: int
    cells: int
    mm2: float
    seconds_left: float | None
    rows: list[dict[str, Any]]
    run: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def read_status(out: Path) -> RunStatus:
    """Status of an output folder.

    Raises
    ------
    InputError
        No run wrote into it, or its table cannot be read.
    """
    rows = [_typed(row) for row in _rows_of(out / SLIDES_FILE)]
    run = _run_of(out)
    counts = Counter(str(row["status"]) for row in rows)
    open_slides = [row for row in rows if row["status"] in {"waiting", "running", "stopped"}]
    running = not run.get("ended", False) and _is_alive(out, run)
    return RunStatus(
        state="running" if running else "interrupted" if open_slides else "ended",
        slides=dict(counts),
        tiles_done=sum(row["tiles_done"] for row in rows),
        tiles_total=sum(row["tiles_total"] for row in rows),
        cells=sum(row["cells"] for row in rows),
        mm2=round(sum(row["mm2"] for row in rows), 4),
        seconds_left=_seconds_left(rows, run) if running else None,
        rows=rows,
        run=run,
    )


def _seconds_left(rows: list[dict[str, Any]], run: dict[str, Any]) -> float | None:
    """Estimate from the tiles of this run; a slide that waits counts as the mean of those that are planned."""
    done = run.get("tiles", 0)
    planned = [row for row in rows if row["tiles_total"] and row["status"] != "waiting"]
    if not done or not planned:
        return None
    open_tiles = sum(row["tiles_total"] - row["tiles_done"] for row in planned if row["status"] == "running")
    waiting = sum(row["status"] == "waiting" for row in rows)
    left = open_tiles + waiting * sum(row["tiles_total"] for row in planned) / len(planned)
    elapsed = (datetime.fromisoformat(run["updated"]) - datetime.fromisoformat(run["began"])).total_seconds()
    return round(float(left * elapsed / done), 1)


def _rows_of(table: Path) -> list[dict[str, Any]]:
    if not table.is_file():
        raise InputError(f"{table.parent}: no {table.name} here: expected the output folder of wsipsm run")
    rows = read_rows(table)
    if not rows or (missing := [name for name in SLIDE_COLUMNS if name not in {*rows[0], *_NEW}]):
        got = f"no column {', '.join(missing)}" if rows else "no row"
        raise InputError(f"{table}: {got}: somebody changed the table; delete it, and wsipsm run writes it again")
    return rows


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Row with numbers as numbers; a row that cannot be read has zeros and the status ``unknown``."""
    texts = {name: row.get(name) or "" for name in SLIDE_COLUMNS}
    try:
        numbers = {name: kind(texts[name] or 0) for name, kind in _NUMBERS.items()}
        whole = None not in row.values() and all(map(math.isfinite, numbers.values()))
    except ValueError:
        whole = False
    return texts | (numbers if whole else {**dict.fromkeys(_NUMBERS, 0), "status": UNKNOWN})


def _run_of(out: Path) -> dict[str, Any]:
    """Record of the run; empty where it is missing or cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found: dict[str, Any] = orjson.loads((out / RUN_FILE).read_bytes())
        times = [datetime.fromisoformat(found[name]) for name in ("began", "updated")]
        if all(time.tzinfo for time in times) and isinstance(found["tiles"], int) and isinstance(found["host"], str):
            return found
    return {}


def _is_alive(out: Path, run: dict[str, Any]) -> bool:
    """Whether the process of the run lives: by its lock or, where that cannot be seen, by the age of its record."""
    try:
        if is_locked(out):
            return True
        elsewhere = bool(run) and run["host"] != socket.gethostname()
    except PermissionError:
        elsewhere = bool(run)
    return elsewhere and (datetime.now(UTC) - datetime.fromisoformat(run["updated"])).total_seconds() < SILENT_SECONDS
