"""Events of a run as JSON lines, for programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.events import Event, Observer, SlideState


@contextlib.contextmanager
def event_log(path: Path) -> Iterator[Observer]:
    """Observer that appends one JSON object a line to a file, each event as it happens.

    Every line has ``time`` (UTC, ISO 8601) and ``event`` (`Event.kind`). Messages have ``text``; the others ``slide``,
    ``slide_id``, ``status``, ``tiles_done``, ``tiles_total``, ``cells``, ``mm2``, ``seconds`` and ``error``,
    ``calibrating`` also ``step`` and ``steps``, and ``ended`` also ``note`` and ``warnings`` (a list).

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None

    def write(event: Event) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event.kind, **_facts(event)}
        with contextlib.suppress(OSError):  # a full disk ends the run where results are written, not here
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    with file:
        yield write


def _facts(event: Event) -> dict[str, Any]:
    if event.slide is None:
        return {"text": event.text}
    facts = _slide_facts(event.slide)
    if event.kind == "calibrating":
        return facts | {"step": event.step, "steps": event.steps}
    ending = {"note": event.slide.note, "warnings": event.slide.warnings}
    return facts | ending if event.kind == "ended" else facts


def _slide_facts(state: SlideState) -> dict[str, Any]:
    facts = {name: getattr(state, name) for name in ("slide_id", "status", "tiles_done", "tiles_total", "cells")}
    numbers = {"mm2": round(state.mm2, 4), "seconds": round(state.seconds, 2), "error": state.error}
    return {"slide": str(state.slide)} | facts | numbers
