"""How a run stands, from the tables in its output folder: for people, and as JSON."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from wsipsm.errors import InputError
from wsipsm.lock import is_locked
from wsipsm.tables import RUN_FILE, SLIDES_FILE, read_rows

SILENT_SECONDS = 60
"""After how long without a word a run that did not end is taken for dead, where its lock cannot be seen."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How an output folder stands.

    Attributes
    ----------
    state : str
        ``running``, ``ended``, or ``interrupted``: killed, or stopped with slides left.
    slides : dict
        Number of slides by status.
    tiles_done, tiles_total : int
        Over slides whose tiles are planned.
    cells : int
        So far.
    mm2 : float
        Of slides whose tiles are planned.
    seconds_left : float or None
        Estimate of a running run, from its speed so far; None while nothing tells.
    rows : list of dict
        The table of slides.
    run : dict
        Host, process, version, and when the run began and last wrote.
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
        No run wrote into it.
    """
    if not (out / SLIDES_FILE).is_file():
        raise InputError(f"{out}: no {SLIDES_FILE} here: expected the output folder of wsipsm run")
    rows = [_typed(row) for row in read_rows(out / SLIDES_FILE)]
    run = _run_of(out)
    counts = Counter(str(row["status"]) for row in rows)
    open_slides = [row for row in rows if row["status"] in {"waiting", "running", "stopped"}]
    running = not run.get("ended", True) and _is_alive(out, run)
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
    """From the tiles that this run did so far; a slide that waits counts as the mean of those that are planned."""
    done = run.get("tiles", 0)
    planned = [row for row in rows if row["tiles_total"] and row["status"] != "waiting"]
    if not done or not planned:
        return None
    open_tiles = sum(row["tiles_total"] - row["tiles_done"] for row in planned if row["status"] == "running")
    waiting = sum(row["status"] == "waiting" for row in rows)
    left = open_tiles + waiting * sum(row["tiles_total"] for row in planned) / len(planned)
    elapsed = (datetime.fromisoformat(run["updated"]) - datetime.fromisoformat(run["began"])).total_seconds()
    return round(float(left * elapsed / done), 1)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    kinds = {"tiles_done": int, "tiles_total": int, "cells": int, "mm2": float, "seconds": float}
    return {name: kinds[name](value or 0) if name in kinds else value for name, value in row.items()}


def _run_of(out: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads((out / RUN_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _is_alive(out: Path, run: dict[str, Any]) -> bool:
    """Whether the run's process is there: by its lock, or, where that cannot be seen, by its words."""
    silence = (datetime.now(UTC) - datetime.fromisoformat(run["updated"])).total_seconds()
    try:
        if is_locked(out):
            return True
    except PermissionError:
        return silence < SILENT_SECONDS
    return run["host"] != socket.gethostname() and silence < SILENT_SECONDS
