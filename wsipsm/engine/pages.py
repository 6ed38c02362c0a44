"""The reports to read of a run: ``report.html`` in its folder and in that of each slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsipsm.core.errors import OutputError, WsipsmError, describe_error
from wsipsm.core.files import is_disk_full
from wsipsm.engine.status import read_status
from wsipsm.engine.tables import SLIDES_FILE
from wsipsm.results.index.report import slide_folders
from wsipsm.results.report import REPORT_FILE, SlideRow, TableFigures, write_run_report, write_slide_report
from wsipsm.results.result import Result
from wsipsm.slide import Slide

UNREPORTED = "report.html was not written"
"""How the warning of a slide begins that has no report."""


@dataclass(frozen=True, slots=True)
class Page:
    """A report that was asked for.

    Attributes
    ----------
    folder : Path
        Of the slide or the run.
    path : Path or None
        Its file; None where it could not be written.
    error : str
        Why not; else empty.
    """

    folder: Path
    path: Path | None
    error: str = ""


def report_or_why(folder: Path, slide: Slide, figures: Callable[[], TableFigures]) -> str:
    """Write the report of a slide that is being finished; returns why there is none, empty where there is.

    Parameters
    ----------
    folder : Path
        Of the slide's files.
    slide : Slide
        Open.
    figures : callable
        Gives those of its cell table.

    Raises
    ------
    DiskFullError
        No space is left.
    """
    try:
        write_slide_report(folder, slide=slide, figures=figures)
    except Exception as error:
        if is_disk_full(error):
            raise
        # Whatever it is, a page to read must not cost the slide its cells.
        return f"{UNREPORTED}: {describe_error(error)}"
    return ""


def write_pages(out: Path) -> Iterator[Page]:
    """Write the reports of a run's output folder, or of one slide's, from what is stored; one after the other.

    Raises
    ------
    OutputError
        No slide has results there.
    """
    folders = slide_folders(out)
    for folder in folders:
        yield _page_of_slide(folder)
    if folders != [out]:
        yield _page_of_run(out)


def _page_of_slide(folder: Path) -> Page:
    try:
        return Page(folder, write_slide_report(folder))
    except WsipsmError as error:
        return Page(folder, None, str(error))


def _page_of_run(out: Path) -> Page:
    try:
        return Page(out, write_run_page(out))
    except WsipsmError as error:
        return Page(out, None, str(error))


def write_run_page(out: Path) -> Path:
    """Write the report of a run from its table, or, where there is none, from the records of its slides.

    Raises
    ------
    WsipsmError
        The table or the records cannot be read, or the file cannot be written.
    """
    if (out / SLIDES_FILE).is_file():
        return write_run_report(out, [_of_table(out, row) for row in read_status(out).rows])
    return write_run_report(out, [_of_record(folder) for folder in slide_folders(out)])


def refresh_run_page(out: Path) -> None:
    """Write the report of a run again where there is one; errors as `write_run_page`."""
    if (out / REPORT_FILE).is_file() and not (out / "run.json").exists():
        write_run_page(out)


def _of_table(out: Path, row: dict[str, Any]) -> SlideRow:
    """Slide of a row of ``slides.csv``; an output folder may have been moved since the run."""
    folder = out / Path(row["out"]).name if row["out"] else out / row["slide_id"]
    return SlideRow(
        slide=row["slide"],
        name=row["slide_id"],
        status=row["status"],
        cells=row["cells"],
        mm2=row["mm2"],
        folder=folder if (folder / "run.json").is_file() else Path(row["out"]),
        error=row["error"],
        warnings=row["warnings"],
    )


def _of_record(folder: Path) -> SlideRow:
    result = Result(folder)
    try:
        counts = result.record["counts"]
        mm2, slide = float(counts["mm2"]), str(result.record["slide"]["path"])
        return SlideRow(slide, folder.name, result.status, result.count, mm2, folder, "", "; ".join(result.warnings))
    except (LookupError, TypeError, ValueError) as error:
        raise OutputError(f"{folder / 'run.json'}: not the record of a run: {error}") from None
