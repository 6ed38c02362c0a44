"""The command ``wsipsm index``. Heavy imports stay inside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import json_option, print_json

_COLUMNS = ("region", "cells", "positive", "95 %", "H-score", "Allred", "mm²", "pos./mm²")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(index)


def index(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a run, or of one slide in it.")],
    roi: Annotated[
        Path | None, typer.Option(metavar="FILE", help="GeoJSON regions drawn in QuPath on this slide; a row each.")
    ] = None,
    hot_spot_mm2: Annotated[
        float | None,
        typer.Option(min=0.001, help="Area of a hot spot; by default what holds enough cells, 2 mm² at most."),
    ] = None,
    hot_spot_cells: Annotated[
        int, typer.Option(min=1, help="Fewest cells of a hot spot; without an area, it holds twice as many at most.")
    ] = 500,
    tile_um: Annotated[
        float | None, typer.Option(min=8, help="Also list square tiles of this side, micrometres (with -o or --json).")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--file", metavar="FILE", help="Also write .csv, .json, or .geojson for QuPath."),
    ] = None,
    as_json: Annotated[bool, json_option("a list, a slide each: slide, warnings, regions with their figures.")] = False,
) -> None:
    """Show the index of slides with positive and negative cells: of the whole, of drawn regions, and of hot spots.

    Nothing is computed again: regions can be drawn after the run. For example:

      wsipsm index out

      wsipsm index out/slide --roi tumour.geojson -o tumour.csv
    """
    from wsipsm.results.index.export import refuse_unknown, save_reports
    from wsipsm.results.index.hot_spots import FieldRule
    from wsipsm.results.index.report import reports

    if file is not None:
        refuse_unknown(file)
    found = reports(out, roi=roi, rule=FieldRule(hot_spot_cells, hot_spot_mm2), tile_um=tile_um)
    if file is not None:
        save_reports(file, found)
    for warning in (warning for one in found for warning in one.warnings):
        print(f"wsipsm: warning: {warning}", file=sys.stderr)
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    _show(found)
    if file is not None:
        print(f"{file}: written")


def _show(found: Sequence[Any]) -> None:
    from rich.console import Console

    console = Console()
    for one in found:
        console.print(_table(one))
        if not any(field.kind == "hot spot" for field in one.fields):
            console.print("No hot spot: no field has enough cells, and a positive one among them.")


def _table(found: Any) -> Any:
    from rich.table import Table

    table = Table(title=found.slide, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "region" else "right", no_wrap=True)
    for field in found.fields:
        if field.kind != "tile":
            table.add_row(field.name, *_figures(field.scores))
    tiles = sum(field.kind == "tile" for field in found.fields)
    if tiles:
        table.caption = f"and {tiles} tiles, see -o or --json"
    return table


def _figures(scores: Any) -> list[str]:
    """Figures of a row as text; a dash for one that is not defined."""
    interval = "-"
    if scores.counted:
        interval = f"{scores.positive_percent_low:.1f}-{scores.positive_percent_high:.1f}"
    return [
        f"{scores.counted:,}",
        _text(scores.positive_percent, ".1f", " %"),
        interval,
        _text(scores.h_score, ".0f"),
        _text(scores.allred, "d"),
        f"{scores.mm2:.3f}",
        _text(scores.positive_per_mm2, ",.0f"),
    ]


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else format(value, form) + unit
