"""Which slides an output folder holds, and how far each is; read again whenever it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wsipsm.core.errors import InputError, OutputError
from wsipsm.results.result import Result

Status = Callable[[], tuple[str, list[dict[str, Any]]]]
"""Gives the state of the run and the rows of ``slides.csv``."""

_TO_COME = frozenset({"waiting", "running", "stopped"})
"""Status of slides whose results may still come."""
_SHOWN = ("status", "tiles_done", "tiles_total", "cells", "mm2", "error", "warnings")


class Listing:
    """Slides of an output folder.

    Parameters
    ----------
    out : Path
        Output folder of a run, or of one slide in it.
    status : callable
        See `Status`; its state is ``running`` while a run works in the folder.

    Raises
    ------
    InputError
        The folder holds neither a run nor results.
    """

    def __init__(self, out: Path, status: Status) -> None:
        self.out, self._status = out.resolve(), status
        self._single = (out / "run.json").is_file()
        if not self.table()["slides"]:
            raise InputError(f"{out}: no slides here; expected the output folder of wsipsm run or of one slide")

    def table(self) -> dict[str, Any]:
        """State of the run and its slides, ready for JSON.

        ``version`` is empty where a slide has no results; ``unfinished`` says that they may still come.
        """
        state, rows = ("", []) if self._single else self._status()
        slides = [self._of_row(row) for row in rows] or self._found()
        return {"state": state, "folder": self.out.name, "slides": slides}

    def folder(self, slide_id: str) -> Path:
        """Folder of a finished slide.

        Raises
        ------
        InputError
            There is no such slide in the output folder, or it is not finished.
        """
        plain = Path(slide_id).name == slide_id and slide_id not in {"", ".", ".."}
        folder = (self.out if self._single and slide_id == self.out.name else self.out / slide_id).resolve()
        if not plain or not folder.is_relative_to(self.out) or not (folder / "run.json").is_file():
            raise InputError(f"{slide_id[:80]}: no results of a slide of this name here")
        return folder

    def version(self, slide_id: str) -> str:
        """Text that changes with the results of a slide; empty while there are none."""
        with contextlib.suppress(InputError, OSError):
            return format((self.folder(slide_id) / "run.json").stat().st_mtime_ns, "x")
        return ""

    def unfinished(self, slide_id: str) -> Path:
        """File of a slide whose results are still to come.

        Raises
        ------
        InputError
            There is no such slide in the output folder.
        """
        for row in [] if self._single else self._status()[1]:
            if Path(row["out"]).name == slide_id and row["status"] in _TO_COME:
                return Path(row["slide"])
        raise InputError(f"{slide_id[:80]}: no slide of this name here, or it has no results")

    def _of_row(self, row: dict[str, Any]) -> dict[str, Any]:
        # By the name of its folder: the table has the place where the run wrote, and the folder may have been moved.
        slide_id = Path(row["out"]).name
        shown = {"id": slide_id, "name": Path(row["slide"]).name, **{name: row[name] for name in _SHOWN}}
        version = self.version(slide_id)
        return shown | {"version": version, "unfinished": not version and row["status"] in _TO_COME}

    def _found(self) -> list[dict[str, Any]]:
        """Rows of the folders that hold results, where no table lists them."""
        records = [self.out / "run.json"] if self._single else sorted(self.out.glob("*/run.json"))
        found = []
        for path in records:
            with contextlib.suppress(OutputError, LookupError, TypeError, ValueError):
                found.append(self._of_result(Result(path.parent)))
        return found

    def _of_result(self, result: Result) -> dict[str, Any]:
        counts, tiles = result.record["counts"], int(result.record["counts"]["tiles"])
        return {
            "id": result.name,
            "name": Path(result.record["slide"]["path"]).name,
            "status": result.status,
            "tiles_done": tiles,
            "tiles_total": tiles,
            "cells": result.count,
            "mm2": float(counts["mm2"]),
            "error": "",
            "warnings": "; ".join(result.warnings),
            "version": self.version(result.name),
            "unfinished": False,
        }
