"""Rows that ``wsipsm run`` prints, of results and of ``--dry-run``. Heavy imports stay inside the functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wsipsm.cli.common import EXIT_NOTHING, EXIT_SOME, print_json

if TYPE_CHECKING:
    from wsipsm.engine.estimate import Estimate
    from wsipsm.results.result import Result


def result_row(result: Result) -> dict[str, Any]:
    """Row of ``wsipsm run --json``.

    Parameters
    ----------
    result : Result
        Of one slide, whatever its status.

    Returns
    -------
    dict
        ``slide``, ``folder``, ``status``, ``error``, ``cells``, ``mm2`` (null where it failed), ``warnings``.
    """
    counts = result.record["counts"] if result.status != "failed" else {}
    facts = {"slide": result.name, "folder": str(result.folder), "status": result.status, "error": result.error}
    return facts | {"cells": counts.get("cells"), "mm2": counts.get("mm2"), "warnings": result.warnings}


def print_estimate(slides: list[str], out: Path, asked: dict[str, Any], *, as_json: bool) -> None:
    """Print what a run would do; exit codes as those of the run.

    Parameters
    ----------
    slides, out, asked
        As ``wsipsm.run`` takes them.
    as_json : bool
        Print a list, a slide each.
    """
    from wsipsm.api import request_of
    from wsipsm.engine.estimate import estimate

    rows = estimate(request_of(slides, out, **asked))
    if as_json:
        print_json([asdict(row) | {"slide": str(row.slide)} for row in rows])
    else:
        _print_rows(rows)
    if bad := sum(bool(row.error) for row in rows):
        raise typer.Exit(EXIT_SOME if bad < len(rows) else EXIT_NOTHING)


def _print_rows(rows: Sequence[Estimate]) -> None:
    for row in rows:
        if row.error:
            print(f"{row.slide}: cannot be processed: {row.error}")
        else:
            print(
                f"{row.slide}: {row.mm2:.2f} mm² of tissue, {row.tiles} tiles ({row.mpx:.1f} Mpx), "
                f"about {row.seconds:.0f} s and {row.gigabytes:.2f} GB"
            )
    good = [row for row in rows if not row.error]
    print(
        f"{len(good)} of {len(rows)} slides, {sum(row.mm2 for row in good):.2f} mm², {sum(row.tiles for row in good)} "
        f"tiles, about {sum(row.seconds for row in good) / 60:.1f} min and {sum(row.gigabytes for row in good):.2f} GB"
    )
