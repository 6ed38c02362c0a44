"""The commands ``wsipsm export`` and ``qupath``. Heavy imports stay inside them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import json_option, print_json


class Origin(StrEnum):
    """Frame of coordinates."""

    qupath = "qupath"
    level0 = "level0"


class Objects(StrEnum):
    """Geometry of GeoJSON."""

    polygons = "polygons"
    points = "points"
    cells = "cells"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (export, qupath):
        app.command()(command)


def export(
    folder: Annotated[Path, typer.Argument(metavar="OUT/SLIDE", help="Output folder of one slide.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="One of those above.")],
    target: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file or folder; its end must fit.")],
    roi: Annotated[
        Path | None,
        typer.Option(help="GeoJSON polygons; only cells with their centroid inside."),
    ] = None,
    where: Annotated[str, typer.Option(metavar="CONDITION", help="For example: area_um2 > 20.")] = "",
    min_confidence: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Only cells of this confidence or more.")
    ] = None,
    origin: Annotated[
        Origin | None, typer.Option(help="Frame; by default what the reader of the format shows.")
    ] = None,
    objects: Annotated[
        Objects | None,
        typer.Option(
            help="Of geojson: polygons (nuclei), points, or QuPath cells; of label images: polygons or cells. By "
            "default whole cells where the run has them (--expand-um), else nuclei."
        ),
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="Of png and ome-tiff: micrometres per pixel.")] = None,
    as_json: Annotated[bool, json_option("a list of the files written.")] = False,
) -> None:
    """Write the cells or labels of a finished slide in another format.

    FORMAT, ends of FILE, and who reads it:

      geojson          .geojson.gz, .geojson, a folder: QuPath, GIS programs
      csv              .csv, .tsv, .csv.gz: spreadsheets, R
      annotationstore  .db: TIAToolbox, TIAViz
      spatialdata      .zarr: squidpy, napari-spatialdata (extra spatialdata)
      dicom-ann        .dcm: DICOM viewers and archives (extra dicom)
      visium-hd        .geojson: --custom-segmentation-file of Space Ranger
      ngff-0.4         .ome.zarr: labels, for viewers without Zarr v3
      ome-tiff         .ome.tiff: labels, a pyramid
      png              .png: labels of a region or small slide

    cells.parquet (geopandas, DuckDB) and labels.ome.zarr (OME-Zarr 0.5) of OUT/SLIDE need no export. Of a run with
    --expand-um, csv, visium-hd, label images and cells of geojson have the outlines of whole cells, and spatialdata
    has those and nuclei. For example:

      wsipsm export out/slide --to csv -o cells.csv

      wsipsm export out/slide --to geojson -o large.geojson.gz --where "area_um2 > 60 and confidence > 0.5"

      wsipsm export out/slide --to png -o labels.png --roi region.geojson --mpp 0.25
    """
    from wsipsm.results.export import export as export_slide
    from wsipsm.results.export_source import ExportOptions

    chosen: dict[str, Any] = {"origin": origin and origin.value, "objects": objects and objects.value, "mpp": mpp}
    options = ExportOptions(roi=roi, where=where, min_confidence=min_confidence, **chosen)
    written = export_slide(folder, to, target, options)
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        print(path)


def qupath(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of wsipsm run.")],
    project: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a QuPath project of the run's slides there, a new folder."),
    ] = None,
) -> None:
    """Write a script that imports the cells of all slides of a run into the QuPath project that is open.

    Images are matched by the names of their files; running it again imports nothing twice. With --project there is a
    project too, in which the script stands under Automate > Project scripts. For example:

      wsipsm qupath out

      wsipsm qupath out --project my-project
    """
    from wsipsm.results.qupath import write_project_script
    from wsipsm.results.qupath_project import SCRIPT, write_project

    if project is None:
        path, count = write_project_script(out)
        print(f"{path}: open your project in QuPath and run it (Automate > Script editor); {count:,} slides have cells")
        return
    written = write_project(out, project)
    print(f"{written.path}: {written.slides:,} slides; drag it onto QuPath")
    print(f"Automate > Project scripts > {SCRIPT} then imports their cells")
    if written.missing:
        print(f"{written.missing:,} of the files are not where the run read them: QuPath asks for the new folder")
