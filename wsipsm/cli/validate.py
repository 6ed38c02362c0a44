"""The command ``wsipsm validate``. Heavy imports stay inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import EXIT_NOTHING, json_option, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(validate)


def validate(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="GeoJSON of any tool, a label store, or an output folder."),
    ],
    fix: Annotated[
        Path | None,
        typer.Option("--fix", metavar="OUT", help="Write a mended copy there, .geojson or .geojson.gz."),
    ] = None,
    as_json: Annotated[bool, json_option("a list, a file each: path, good, objects, findings.")] = False,
) -> None:
    """Say whether QuPath takes a GeoJSON file as it is meant, and whether label images agree with their cells.

    A line a kind of problem. abort: nothing of the file is imported; wrong: it is imported, but not as it is meant;
    minor: slow, or a part is skipped. Exit code 1 if anything is worse than minor. For example:

      wsipsm validate out/slide

      wsipsm validate cells_of_another_tool.geojson --fix mended.geojson.gz
    """
    from wsipsm.results.validate.paths import validate as reports_of

    reports = []
    for report in reports_of(path, fix=fix):
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        print_json([report.to_dict() for report in reports])
    if not all(report.good for report in reports):
        raise typer.Exit(EXIT_NOTHING)


def _print(report: Any) -> None:
    things = "objects" if report.kind == "geojson" else "labels"
    print(f"{report.path}: {'good' if report.good else 'BAD'}, {report.objects:,} {things}")
    for finding in report.sorted_findings:
        print(f"  {finding.line}")
    if report.written is not None:
        done = ", ".join(f"{what} ({count:,})" for what, count in report.mended.items()) or "nothing to mend"
        print(f"{report.written}: written; {done}; {report.dropped:,} dropped")
