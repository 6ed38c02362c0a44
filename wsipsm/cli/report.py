"""The command ``wsipsm report``. Heavy imports stay inside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from wsipsm.cli.common import EXIT_NOTHING, EXIT_SOME


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(report)


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a run, or of one slide in it.")],
) -> None:
    """Write report.html, a page to read: for each finished slide, and for the run.

    It is made from what is stored, whether the run is over or not; a run writes it too, unless it is given --set
    output.report=false. Each page is one file that can be sent and printed. For example:

      wsipsm report out
    """
    from wsipsm.engine.pages import write_pages

    written = failed = 0
    for page in write_pages(out):
        if page.path is not None:
            written += 1
            print(page.path)
        else:
            failed += 1
            print(f"wsipsm: no report of {page.folder}: {page.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(EXIT_SOME if written else EXIT_NOTHING)
