"""A run as JSON lines, for programs: one event a line, written as it happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.engine.state import Reporter, SlideState


class EventLog:
    """A reporter that passes everything on and appends events to a file.

    Every line is an object with ``time`` (UTC, ISO 8601), ``event`` (``said``, ``started``, ``fitting``, ``tile``,
    ``finishing`` or ``ended``), and for the last five ``slide``, ``slide_id``, ``status``, ``tiles_done``,
    ``tiles_total``, ``cells``, ``mm2``, ``seconds`` and ``error``.
    """

    def __init__(self, file: BinaryIO, reporter: Reporter) -> None:
        self._file, self._reporter = file, reporter

    def said(self, text: str) -> None:
        """Note what is said of the run as a whole."""
        self._write("said", text=text)
        self._reporter.said(text)

    def started(self, state: SlideState) -> None:
        """Note that a slide's tiles are planned."""
        self._of("started", state)
        self._reporter.started(state)

    def fitting(self, state: SlideState, step: int, steps: int) -> None:
        """Note how far self-supervision is."""
        self._of("fitting", state, step=step, steps=steps)
        self._reporter.fitting(state, step, steps)

    def advanced(self, state: SlideState) -> None:
        """Note that one more tile is over."""
        self._of("tile", state)
        self._reporter.advanced(state)

    def finishing(self, state: SlideState) -> None:
        """Note that outputs are being written."""
        self._of("finishing", state)
        self._reporter.finishing(state)

    def ended(self, state: SlideState) -> None:
        """Note that a slide is over."""
        self._of("ended", state, note=state.note)
        self._reporter.ended(state)

    def _of(self, event: str, state: SlideState, **more: Any) -> None:
        facts = {name: getattr(state, name) for name in ("slide_id", "status", "tiles_done", "tiles_total", "cells")}
        numbers = {"mm2": round(state.mm2, 4), "seconds": round(state.seconds, 2), "error": state.error}
        self._write(event, slide=str(state.slide), **facts, **numbers, **more)

    def _write(self, event: str, **facts: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with contextlib.suppress(OSError):  # a full disk ends the run where results are written, not here
            self._file.write(orjson.dumps({"time": now, "event": event, **facts}, option=orjson.OPT_APPEND_NEWLINE))


@contextlib.contextmanager
def logged(path: Path | None, reporter: Reporter) -> Iterator[Reporter]:
    """Reporter that also appends to a file, where one is named.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    if path is None:
        yield reporter
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    with file:
        yield EventLog(file, reporter)
