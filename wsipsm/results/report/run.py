"""``OUT/report.html``: what was found on all slides of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsipsm.core.errors import OutputError
from wsipsm.core.files import write_bytes
from wsipsm.results import html
from wsipsm.results.report.marker import index_table
from wsipsm.results.report.pictures import thumbnail
from wsipsm.results.report.provenance import settings_table, versions_line
from wsipsm.results.report.slide import REPORT_FILE
from wsipsm.results.report.words import (
    STATUS,
    class_table,
    counted,
    document,
    fact_strip,
    pairs_table,
    paragraph,
    per_mm2,
    refused_table,
    section,
    warning_box,
)
from wsipsm.results.result import Result

MOST_SLIDES, MOST_THUMBNAILS = 1000, 60
"""Slides with a line of their own, and with a thumbnail; of all others the report says that they are left out."""


@dataclass(frozen=True, slots=True)
class SlideRow:
    """A slide of a run.

    Attributes
    ----------
    slide, name : str
        Path of its file, and name of its folder.
    status : str
        See `wsipsm.core.events.Status`.
    cells : int
        Cells found.
    mm2 : float
        Area searched, square millimetres.
    folder : Path
        Its output folder.
    error, warnings : str
        Why it failed; what a reader must know. Else empty.
    """

    slide: str
    name: str
    status: str
    cells: int
    mm2: float
    folder: Path
    error: str = ""
    warnings: str = ""


@dataclass(frozen=True, eq=False)
class _Entry:
    """A slide and its record; None where it has no results."""

    row: SlideRow
    record: Mapping[str, Any] | None


def write_run_report(out: Path, rows: Sequence[SlideRow]) -> Path:
    """Write the report of a run's output folder; returns the file.

    Parameters
    ----------
    out : Path
        The output folder.
    rows : sequence of SlideRow
        Its slides. Of the first `MOST_SLIDES` the records are read.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    entries = [_entry(row) for row in rows[:MOST_SLIDES]]
    exact = [*(one.row for one in entries), *rows[MOST_SLIDES:]]
    path = out / REPORT_FILE
    write_bytes(path, _page(out, exact, entries).encode())
    return path


def _entry(row: SlideRow) -> _Entry:
    """A slide with its record, and with its cells and area as they stand there: the table rounds them."""
    record = _record_of(row)
    if record is None:
        return _Entry(row, None)
    counts = record["counts"]
    return _Entry(replace(row, cells=sum(counted(counts).values()), mm2=float(counts["mm2"])), record)


def _record_of(row: SlideRow) -> Mapping[str, Any] | None:
    if row.status not in {"done", "empty", "partial"}:
        return None
    try:
        record = Result(row.folder).record
        record["counts"]["by_class"].items(), record["config"].items(), record["versions"]["wsipsm"]
        float(record["counts"]["mm2"])
    except (OutputError, LookupError, TypeError, ValueError, AttributeError):
        return None
    return record


def _page(out: Path, rows: Sequence[SlideRow], entries: Sequence[_Entry]) -> str:
    records = [one.record for one in entries if one.record is not None]
    versions = sorted({record["versions"]["wsipsm"] for record in records})
    parts = [
        "<h1>Report of a run</h1>",
        f"<p class=sub>{escape(_subtitle(rows, records))}</p>",
        fact_strip(_facts(rows)),
        warning_box(_warnings(rows), none="All slides are complete, and none has a warning."),
        section("Slides", _slides(out, entries), _left_out(rows)),
        section("Thumbnails", *_thumbnails(entries)),
        section("Cells by class, all slides", _classes(records)),
        section("Positive and negative cells", _index(entries)),
        section("What was refused, all slides", _refused(records)),
        section("Failed, incomplete, and slides with warnings", _problems(rows)),
        section("Provenance", *_provenance(records)),
    ]
    return document("Cells of a run", parts, version=", ".join(versions) or "of an unknown version")


def _subtitle(rows: Sequence[SlideRow], records: Sequence[Mapping[str, Any]]) -> str:
    days = sorted({str(record.get("finished", ""))[:10] for record in records} - {""})
    when = " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "nothing finished yet"
    return f"Cells in {len(rows):,} whole-slide images · {when}"


def _facts(rows: Sequence[SlideRow]) -> list[tuple[str, str]]:
    cells, mm2 = sum(row.cells for row in rows), sum(row.mm2 for row in rows)
    complete = sum(row.status in {"done", "empty"} for row in rows)
    return [
        (f"{complete:,} of {len(rows):,}", "slides complete"),
        (f"{cells:,}", "cells"),
        (f"{mm2:,.2f} mm²", "area searched"),
        (per_mm2(cells, mm2), "cells per mm²"),
    ]


def _warnings(rows: Sequence[SlideRow]) -> list[str]:
    counts = Counter(row.status for row in rows)
    said = [
        f"{counts[status]:,} of {len(rows):,} slides: {words}"
        for status, words in STATUS.items()
        if status != "done" and counts[status]
    ]
    warned = sum(bool(row.warnings) for row in rows)
    return [*said, f"{warned:,} slides have warnings, see below"] if warned else said


def _slides(out: Path, entries: Sequence[_Entry]) -> str:
    most = max((one.row.cells / one.row.mm2 for one in entries if one.row.mm2), default=0.0)
    lines = [[_link(out, one.row), *_line(one.row, most)] for one in entries]
    return html.table(["Slide", "Status", "mm²", "Cells", "Cells per mm²"], lines)


def _link(out: Path, row: SlideRow) -> str:
    inside = row.folder.is_relative_to(out) and (row.folder / REPORT_FILE).is_file()
    if not inside:
        return row.name
    place = quote(f"{row.folder.relative_to(out).as_posix()}/{REPORT_FILE}")
    return html.Raw(f"<a href='{place}'>{escape(row.name)}</a>")


def _line(row: SlideRow, most: float) -> list[str]:
    density = row.cells / row.mm2 if row.mm2 else 0.0
    bar = f"<span class=bar style='width:{90 * density / most if most else 0:.0f}px'></span>"
    padded = f"<span style='display:inline-block;width:98px;text-align:left'>{bar}</span>"
    return [
        STATUS.get(row.status, row.status).split(":")[0],
        f"{row.mm2:.2f}",
        f"{row.cells:,}",
        html.Raw(f"{per_mm2(row.cells, row.mm2)}{padded}"),
    ]


def _left_out(rows: Sequence[SlideRow]) -> str:
    more = len(rows) - MOST_SLIDES
    if more <= 0:
        return ""
    words = f"{more:,} more slides are left out here; slides.csv lists them all. Totals at the top are of all slides"
    return paragraph(f"{words}, tables below of the {MOST_SLIDES:,} that are shown.", "note")


def _thumbnails(entries: Sequence[_Entry]) -> list[str]:
    known = [one.row for one in entries if one.record is not None]
    shown = [(row, thumbnail(row.folder)) for row in known[:MOST_THUMBNAILS]]
    figures = [
        f"<figure>{html.image(content, 'image/jpeg', row.name)}<figcaption>{escape(row.name)}<br>"
        f"{row.cells:,} cells</figcaption></figure>"
        for row, content in shown
        if content is not None
    ]
    if not figures:
        return []
    more = len(known) - len(figures)
    note = [paragraph(f"{more:,} more slides have no thumbnail here, to keep this file small.", "note")] if more else []
    words = "The slide with the region that was searched for cells (green)."
    return [paragraph(words, "note"), f"<div class=thumbs>{''.join(figures)}</div>", *note]


def _classes(records: Sequence[Mapping[str, Any]]) -> str:
    total = Counter[str]()
    for record in records:
        total.update(counted(record["counts"]))
    return class_table(total, sum(record["counts"]["mm2"] for record in records)) if total else ""


def _index(entries: Sequence[_Entry]) -> str:
    rows = [(one.row.name, one.record["index"]["slide"]) for one in entries if one.record and one.record.get("index")]
    return index_table(rows) if rows else ""


def _refused(records: Sequence[Mapping[str, Any]]) -> str:
    total = Counter[str]()
    for record in records:
        total.update(record["counts"].get("refused") or {})
    written = sum(sum(counted(record["counts"]).values()) for record in records)
    return refused_table(total, written) if total.total() else ""


def _problems(rows: Sequence[SlideRow]) -> str:
    bad = [row for row in rows if row.error or row.warnings]
    lines = [[row.name, STATUS.get(row.status, row.status), row.error or row.warnings] for row in bad[:MOST_SLIDES]]
    return html.table(["Slide", "Status", "Why"], lines, numbers=False) if lines else ""


def _provenance(records: Sequence[Mapping[str, Any]]) -> list[str]:
    if not records:
        return []
    first = records[0]
    alike = all(_settings(record) == _settings(first) for record in records)
    words = "All slides have the same settings." if alike else f"Settings differ among slides; those of {_name(first)}:"
    return [
        pairs_table(
            [
                ("wsipsm", ", ".join(sorted({record["versions"]["wsipsm"] for record in records}))),
                ("Packages", versions_line(first["versions"])),
                ("Platform", first["versions"].get("platform")),
                ("Seed", first["config"].get("encoder", {}).get("seed")),
            ]
        ),
        "<h3>Settings that differ from the defaults</h3>",
        paragraph(words, "note"),
        settings_table(first["config"]),
    ]


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: keys for name, keys in record["config"].items() if name not in {"training", "schedule"}}


def _name(record: Mapping[str, Any]) -> str:
    return Path(record["slide"]["path"]).name
