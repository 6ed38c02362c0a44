"""The command ``wsipsm classify``. Heavy imports stay inside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import json_option, print_json


class Method(StrEnum):
    """How clusters are fitted."""

    kmeans = "kmeans"
    gmm = "gmm"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(classify)


def classify(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of wsipsm run, or of one slide.")],
    fit: Annotated[
        Path | None,
        typer.Option("--fit", metavar="MODEL", help="Fit clusters to all slides of OUT; a new file."),
    ] = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="MODEL", help="Give the cells of OUT the clusters of a model.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Give the cells of OUT the classes of their run again.")] = False,
    clusters: Annotated[int, typer.Option(min=2, max=20, help="Clusters to fit.")] = 5,
    method: Annotated[Method, typer.Option(help="k-means, or a mixture of Gaussians.")] = Method.kmeans,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of a fit.")] = 0,
    as_json: Annotated[
        bool, json_option("of a fit: clusters, montage, sha256, notes; else slides with by_class, and notes.")
    ] = False,
) -> None:
    """Group cells into phenotype clusters by shape and stain: fit once over a cohort, apply to any slide of that stain.

    A fit leaves OUT as it is and writes MODEL with a montage of typical cells beside it (.png); look at that first.
    Applied, the clusters are the classes of the cells in cells.parquet and in QuPath. The same model on another slide
    means the same thing. For example:

      wsipsm classify out --fit clusters.json --clusters 5

      wsipsm classify out --apply clusters.json

      wsipsm classify out --undo
    """
    if (fit is not None) + (apply is not None) + undo != 1:
        raise typer.BadParameter("expected one of --fit MODEL, --apply MODEL and --undo")
    from rich.console import Console

    from wsipsm import api
    from wsipsm.cli.progress import progress

    with progress(Console(stderr=True)) as on_event:
        report = api.classify(
            out,
            fit=fit,
            apply=apply,
            undo=undo,
            clusters=clusters,
            method=method.value,
            seed=seed,
            on_event=on_event,
        )
    if as_json:
        print_json(report)
    else:
        _print_report(report)
        if fit is not None:
            print(f"{fit}: look at {report['montage']}, then wsipsm classify {out} --apply {fit}")
    for note in report.get("notes", ()):
        print(f"wsipsm: {note}", file=sys.stderr)


def _print_report(report: Mapping[str, Any]) -> None:
    if "clusters" not in report:
        for slide in report["slides"]:
            print(f"{slide['name']}: {', '.join(f'{count:,} {name}' for name, count in slide['by_class'].items())}")
        return
    print(f"{'cluster':<12}{'cells':>12}{'share':>8}   medians of the fit")
    for one in report["clusters"]:
        medians = ", ".join(f"{name} {value:.3g}" for name, value in one["medians"].items())
        print(f"{one['name']:<12}{one['cells']:>12,}{one['share']:>8.1%}   {medians}")
    print(f"{report['montage']}: typical cells of each cluster")
