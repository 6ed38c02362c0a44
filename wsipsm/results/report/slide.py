"""``OUT/<slide>/report.html``: what was found on one slide, to be read without the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from wsipsm.core.errors import StoredResultsError, short_reason
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Grid
from wsipsm.results import html
from wsipsm.results.report.distributions import Distribution, distributions, quantities
from wsipsm.results.report.examples import Example, Row, chosen_examples, refused_examples
from wsipsm.results.report.marker import compartment_of, marker_section, threshold_of
from wsipsm.results.report.pictures import CELL_UM, cell_pictures, open_slide_of, overview_picture
from wsipsm.results.report.provenance import provenance
from wsipsm.results.report.seam_words import seam_parts
from wsipsm.results.report.seams import SeamFigures, seam_figures
from wsipsm.results.report.words import (
    REFUSED,
    SHORTLY,
    STATUS,
    captioned,
    class_table,
    counted,
    document,
    fact_strip,
    number,
    paragraph,
    per_mm2,
    refused_table,
    section,
    warning_box,
)
from wsipsm.results.result import Result
from wsipsm.results.searched import searched_region
from wsipsm.slide import Slide

REPORT_FILE = "report.html"
"""Name of a report in its folder."""


@dataclass(frozen=True, eq=False)
class TableFigures:
    """What a page shows of the cell table.

    Attributes
    ----------
    distributions : sequence of Distribution
        Of the main measurements.
    typical : mapping
        Typical cells by class.
    least : tuple of Example
        The least confident cells.
    seams : SeamFigures
        What can be seen of the tiles.
    """

    distributions: Sequence[Distribution]
    typical: Mapping[str, tuple[Example, ...]]
    least: tuple[Example, ...]
    seams: SeamFigures


@dataclass(frozen=True, eq=False)
class _Found:
    """All that a page shows beside the record."""

    overview: bytes | None
    table: TableFigures
    rows: Sequence[tuple[Row, Sequence[bytes | None]]]
    unseen: str


def write_slide_report(
    folder: Path, *, slide: Slide | None = None, figures: Callable[[], TableFigures] | None = None
) -> Path:
    """Write the report of a slide from what its folder holds; returns the file.

    Parameters
    ----------
    folder : Path
        The slide's folder; ``run.json``, ``cells.parquet`` and ``tissue.geojson`` are needed.
    slide : Slide, optional
        The slide, open; by default it is opened where the run found it. Without it close-ups are left out, and the
        report says why.
    figures : callable, optional
        Gives those of the table, by default `table_figures`.

    Raises
    ------
    StoredResultsError
        What is stored cannot be read.
    OutputError
        There are no results, or the file cannot be written.
    """
    result = Result(folder)
    record = result.record
    try:
        table = figures() if figures is not None else table_figures(folder, record)
        text = _page(record, _gather(folder, record, slide, table), result.warnings)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise StoredResultsError(f"{folder / 'run.json'}: cannot be read: {short_reason(error)}; run again") from None
    path = folder / REPORT_FILE
    write_bytes(path, text.encode())
    return path


def seams_of(folder: Path, record: Mapping[str, Any]) -> SeamFigures:
    """Seam figures of a slide's folder; errors as `write_slide_report`."""
    return seam_figures(
        folder / "cells.parquet",
        grid=Grid(**record["grid"]),
        core_px=record["config"]["tiles"]["core_px"],
        region=searched_region(folder, record),
    )


def table_figures(folder: Path, record: Mapping[str, Any]) -> TableFigures:
    """Figures of a slide's cell table.

    Parameters
    ----------
    folder : Path
        The slide's folder; ``cells.parquet`` and ``tissue.geojson`` are needed.
    record : mapping
        Content of its ``run.json``, which need not be written yet.

    Raises
    ------
    StoredResultsError, RegionError
        A file cannot be read.
    LookupError, TypeError, ValueError
        The record is not that of a run.
    """
    table, stain = folder / "cells.parquet", record["config"]["recognizer"]["stain"]
    shown = distributions(table, quantities(stain, compartment_of(record)))
    return TableFigures(shown, *chosen_examples(table, stain), seams_of(folder, record))


def _gather(folder: Path, record: Mapping[str, Any], slide: Slide | None, table: TableFigures) -> _Found:
    rows = _rows(table.typical, table.least, refused_examples(record))
    opened, unseen = (slide, "") if slide is not None else open_slide_of(folder)
    try:
        shown = [(row, cell_pictures(opened, row.cells)) for row in rows] if opened is not None else []
    finally:
        if opened is not None and slide is None:
            opened.close()
    return _Found(overview_picture(folder), table, shown, unseen)


def _rows(
    typical: Mapping[str, tuple[Example, ...]], least: tuple[Example, ...], refused: Mapping[str, tuple[Example, ...]]
) -> list[Row]:
    middle = "nearest to the medians of area, solidity, nuclear stain and confidence of such cells on the slide"
    rows = [
        Row(f"Typical cells: {name}" if len(typical) > 1 else "Typical cells", f"Those {middle}.", cells)
        for name, cells in typical.items()
    ]
    rows.append(Row("Least confident cells", "Of all cells that were kept, those of the lowest confidence.", least))
    for reason, cells in refused.items():
        words = f"{REFUSED.get(reason, reason)}. Drawn by lot; not counted as cells."
        rows.append(Row(f"Refused: {SHORTLY.get(reason, reason)}", words, cells))
    return [row for row in rows if row.cells]


def _page(record: Mapping[str, Any], found: _Found, warnings: Sequence[str]) -> str:
    name = Path(record["slide"]["path"]).name
    counts, stain = record["counts"], record["config"]["recognizer"]["stain"]
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p class=sub>{escape(_subtitle(record))}</p>",
        fact_strip(_facts(record)),
        warning_box(warnings, none="No warnings. That does not prove the cells right: look at the pictures below."),
        _overview(record, found.overview),
        section("Cells by class", class_table(counted(counts), counts["mm2"])),
        marker_section(record),
        section("Measurements", _histograms(found.table.distributions, threshold_of(record, stain))),
        section("Close-ups", *_closeups(found)),
        section("What was refused", *_refused(record)),
        section("Tiles and seams", *seam_parts(found.table.seams)),
        section("Provenance", provenance(record)),
    ]
    return document(f"{name}: cells", parts, version=record["versions"]["wsipsm"])


def _subtitle(record: Mapping[str, Any]) -> str:
    stains = {"he": "haematoxylin and eosin", "ihc": "immunohistochemistry", "unknown": "two stains, estimated"}
    stain = record["config"]["recognizer"]["stain"]
    status = STATUS.get(record["status"], record["status"])
    return f"Cells in a whole-slide image · {stains.get(stain, stain)} · {status} · {record['finished'][:10]}"


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts, index = record["counts"], (record.get("index") or {}).get("slide")
    cells = sum(counted(counts).values())
    facts = [
        (f"{cells:,}", "cells"),
        (f"{counts['mm2']:.2f} mm²", "area searched"),
        (per_mm2(cells, counts["mm2"]), "cells per mm²"),
    ]
    if index:
        facts += [
            (number(index["positive_percent"], ".1f") + " %", "positive cells"),
            (number(index["h_score"], ".0f"), "H-score"),
        ]
    refused = counts.get("refused")
    return facts + ([(f"{sum(refused.values()):,}", "objects refused")] if refused is not None else [])


def _overview(record: Mapping[str, Any], picture: bytes | None) -> str:
    if picture is None:
        return section("Overview", paragraph("The stored overview cannot be read.", "note"))
    marked = "share of positive cells" if record.get("index") else "density of cells"
    caption = (
        f"Left, the slide with the region that was searched for cells (green). Right, the {marked} over it. "
        "Below, close-ups with the outlines of cells, framed by letter on the maps"
        + (" and hot spots by number." if (record.get("index") or {}).get("hot_spots") else ".")
    )
    shown = html.image(picture, "image/jpeg", "Overview of the slide and its cells")
    return section("Overview", f"<figure class=wide>{shown}{captioned(1, caption)}</figure>")


def _histograms(found: Sequence[Distribution], threshold: tuple[str, float] | None) -> str:
    if not found:
        return ""
    drawn = []
    for one in found:
        quantity, (q1, median, q3) = one.quantity, one.quartiles
        unit = f" {quantity.unit}" if quantity.unit else ""
        axis = f"{quantity.name.split(',')[0]}{f' ({quantity.unit})' if quantity.unit else ''}"
        mark = (threshold[1], "positive") if threshold and threshold[0] in quantity.columns else None
        svg = html.bars(one.counts.tolist(), (one.low, one.high), axis=axis, mark=mark)
        figures = f"Median {median:.3g}{unit}; half of the cells {q1:.3g} to {q3:.3g}."
        title = f"<h3>{escape(quantity.name)}</h3>"
        drawn.append(f"<figure>{title}{svg}<figcaption>{escape(figures)}</figcaption></figure>")
    words = (
        "Number of cells by measurement; refused objects are left out, and what lies beyond an axis counts in its "
        "outermost bar. OD: optical density. Circularity is 1 for a disk, solidity 1 without dents. Confidence says "
        "how much a cell looks like one whole nucleus, 0 to 1; it is no probability."
    )
    return f"<figure class=wide><div class=grid>{''.join(drawn)}</div>{captioned(2, words)}</figure>"


def _closeups(found: _Found) -> list[str]:
    if found.unseen:
        why = f"The slide itself could not be opened ({found.unseen}), so pictures are from the stored overview only."
        return [paragraph(why, "note")]
    parts = [_closeup_row(row, shown) for row, shown in found.rows]
    if not any(parts):
        return []
    wide = f"Each picture is {CELL_UM:.0f} µm wide"
    words = f"{wide}; below it stand the confidence and the area of the cell with the outline."
    return [f"<figure class=rows>{''.join(parts)}{captioned(3, words)}</figure>"]


def _closeup_row(row: Row, shown: Sequence[bytes | None]) -> str:
    cells = [
        f"<figure>{html.image(content, 'image/jpeg', row.title)}"
        f"<figcaption>{cell.confidence:.2f} · {cell.area_um2:.0f} µm²</figcaption></figure>"
        for cell, content in zip(row.cells, shown, strict=True)
        if content is not None
    ]
    if not cells:
        return paragraph(f"{row.title}: the slide cannot be read there.", "note")
    head = f"<h3>{escape(row.title)}</h3>{paragraph(row.words, 'note')}"
    return f"<div class=row>{head}<div class=cells>{''.join(cells)}</div></div>"


def _refused(record: Mapping[str, Any]) -> list[str]:
    counts = record["counts"]
    refused, kept = counts.get("refused"), record["config"]["cells"]["keep_doubtful"]
    if refused is None:
        return [paragraph("The run did not store what it refused.", "note")]
    many = sum(refused.values())
    if not many:
        return [paragraph("Nothing was refused: every object that was found counts as a cell.")]
    where = "have the class Doubtful in the files" if kept else "are in none of the files (--keep-doubtful keeps them)"
    words = f"{many:,} objects were found and not taken for cells. They {where} and count in no figure above."
    dropped = counts.get("cells_dropped")
    lost = [paragraph(f"{dropped:,} cells had no valid outline and were left out.")] if dropped else []
    return [paragraph(words), refused_table(refused, sum(counted(counts).values())), *lost]
