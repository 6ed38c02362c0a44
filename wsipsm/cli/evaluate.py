"""The command ``wsipsm evaluate``. Heavy imports stay inside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import json_option, print_json

SHOWN = 10
"""Most names in a note on the screen; the report has all."""

DROPPED_FIRST = ("px IoU", "SQ", "recall", "precision", "DQ", "obj. Dice", "AJI+")
"""Columns to drop in a narrow window, in this order."""


class Protocol(StrEnum):
    """What is scored."""

    full = "full"
    paper = "paper"


class XmlConvention(StrEnum):
    """Which pixels an outline of an XML truth covers."""

    vertex = "vertex"
    centre = "centre"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(help="Output folder of wsipsm run, label images (PNG, TIFF, .npy) or GeoJSON; points also CSV."),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Areas: Aperio XML as of MoNuSeg, label images, GeoJSON. Points: folder of BCData, JSON of SHIDC, "
            "CSV of image,x,y,class, GeoJSON. A file or folder."
        ),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the report as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Folder for a PNG an image: hits, misses, false alarms.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, to draw on and to know their size.")
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(help="paper adds the scorer of the authors' code: middle 512 px, touching nuclei as one."),
    ] = Protocol.full,
    groups: Annotated[Path | None, typer.Option(help="CSV of name,group: means per group, e.g. organ.")] = None,
    outlines: Annotated[
        bool, typer.Option("--outlines", help="Of a run take the outlines (cells.parquet), not the labels.")
    ] = False,
    downsample: Annotated[
        float, typer.Option(help="Truth pixels per pixel of predicted label images; a run knows its own.")
    ] = 1.0,
    xml_convention: Annotated[
        XmlConvention,
        typer.Option(help="XML outlines cover pixels by vertex (as MoNuSeg was drawn) or by centre (as QuPath does)."),
    ] = XmlConvention.vertex,
    radius_um: Annotated[
        float | None, typer.Option(help="Points: greatest distance of a match, micrometres; by default 6.")
    ] = None,
    truth_mpp: Annotated[
        float | None,
        typer.Option(help="Points: micrometres per pixel of the truth, where the run does not say (0.25 = 40x)."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out truths without a prediction, and say so.")
    ] = False,
    as_json: Annotated[
        bool, json_option("the report, as --out writes it: kind, images, means, missing, unused.")
    ] = False,
) -> None:
    """Score predictions against ground truth: AJI, PQ, Dice, IoU, F1 an image, mean and 95 % interval.

    Where the truth is of points: precision, recall and F1 of positive, negative and all cells, errors of their number
    and of the percentage of positive ones. Everything is compared in the pixels of the truth's image; files are paired
    by name. For example:

      wsipsm evaluate out labels/ -o report.json

      wsipsm evaluate cells.geojson truth.xml --picture pictures --images images/

      wsipsm evaluate out annotations/test --radius-um 6
    """
    from wsipsm import api
    from wsipsm.core.files import write_json

    report = api.evaluate(
        predictions,
        truth,
        images=images,
        pictures=picture,
        groups=groups,
        outlines=outlines,
        downsample=downsample,
        xml_convention=xml_convention.value,
        allow_missing=allow_missing,
        paper=protocol is Protocol.paper,
        radius_um=radius_um,
        truth_mpp=truth_mpp,
    )
    report["command"] = ["wsipsm", *sys.argv[1:]]
    if out is not None:
        write_json(out, report)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    for note in [note for image in report["images"] for note in image.get("notes", [])][:SHOWN]:
        print(f"wsipsm: {note}", file=sys.stderr)
    _print_notes(report["missing"], report["unused"])


def _print_report(report: Mapping[str, Any]) -> None:
    if report["kind"] == "areas":
        from wsipsm.evaluation.report import table_rows

        _print_table(*table_rows(report))
        return
    from wsipsm.evaluation.detection_table import DROPPED_FIRST as DROPPED_OF_POINTS
    from wsipsm.evaluation.detection_table import agreement_table, notes, score_table

    _print_table(*score_table(report), dropped=DROPPED_OF_POINTS)
    print()
    _print_table(*agreement_table(report))
    for note in notes(report):
        print(f"wsipsm: {note}", file=sys.stderr)


def _print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, dropped: Sequence[str] = DROPPED_FIRST
) -> None:
    if not sys.stdout.isatty():
        # No frame and no cut to a width: what goes into a file or a pipe is read by tools.
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False)  # a name may hold brackets
    shown = _fitting(headings, rows, console.width, dropped)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number in shown:
        if number == 0:
            table.add_column(headings[number], overflow="fold")
        else:
            table.add_column(headings[number], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[number] for number in shown))
    console.print(table)
    if hidden := [heading for number, heading in enumerate(headings) if number not in shown]:
        print(f"The window is too narrow for {', '.join(hidden)}; --out and --json have all.")


def _fitting(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, dropped: Sequence[str] = DROPPED_FIRST
) -> list[int]:
    """Indices of the columns that fit a window; those of ``dropped`` go first, in its order."""
    widths = [max(map(len, column)) + 2 for column in zip(headings, *rows, strict=True)]
    shown = list(range(len(headings)))
    for heading in dropped:
        if sum(widths[number] for number in shown) > width and heading in headings:
            shown.remove(headings.index(heading))
    return shown


def _print_notes(missing: Sequence[str], unused: Sequence[str]) -> None:
    for names, lack in ((missing, "prediction"), (unused, "ground truth")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            note = f"{len(names)} left out without a {lack}: {', '.join(names[:SHOWN])}{more}"
            print(f"wsipsm: {note}", file=sys.stderr)
