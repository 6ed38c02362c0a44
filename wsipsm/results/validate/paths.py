"""What there is to check at a path: a file, a label store, the folder of a slide or of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from wsipsm.core.errors import OutputError
from wsipsm.results.formats import FORMATS
from wsipsm.results.validate.geojson import check_geojson
from wsipsm.results.validate.labels import check_labels
from wsipsm.results.validate.report import Report, Rule, Severity

COUNT = Rule(
    "cells_missing",
    Severity.WRONG,
    "the GeoJSON holds another number of cells than cells.parquet",
    "run wsipsm run again",
)


def validate(path: Path, *, fix: Path | None = None) -> Iterator[Report]:
    """Check a GeoJSON file, a label store, or all of these in the output folder of a slide or a run.

    Parameters
    ----------
    path : Path
        File or folder.
    fix : Path, optional
        Write a mended copy of a GeoJSON file there.

    Yields
    ------
    Report
        One a file or store, as each is done.

    Raises
    ------
    OutputError
        There is nothing to check, something cannot be read, or ``fix`` goes with a folder.
    """
    if path.is_file():
        yield check_geojson(path, fix=fix)
        return
    if fix is not None:
        raise OutputError(f"{path}: --fix mends one GeoJSON file, expected a file")
    if not path.is_dir():
        raise OutputError(f"{path}: not found; expected a GeoJSON file, a label store or an output folder")
    if _is_store(path):
        yield check_labels(path)
        return
    folders = [path] if _is_slide(path) else sorted(one for one in path.iterdir() if one.is_dir() and _is_slide(one))
    if not folders:
        raise OutputError(f"{path}: holds no results; expected a GeoJSON file, a label store or an output folder")
    for folder in folders:
        yield from _slide(folder)


def _is_store(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs"))


def _is_slide(path: Path) -> bool:
    return any((path / name).exists() for name in ("run.json", "cells.parquet", "labels.ome.zarr"))


def _slide(folder: Path) -> Iterator[Report]:
    files = [file for pattern in FORMATS["geojson"].data for file in sorted(folder.glob(pattern))]
    reports = [check_geojson(file) for file in files]
    table = folder / "cells.parquet"
    if reports and table.exists():
        stored, found = pq.read_metadata(table).num_rows, sum(report.objects for report in reports)
        if stored != found:
            reports[-1].add(COUNT, f"{found:,} and {stored:,}")
    yield from reports
    if (folder / "labels.ome.zarr").exists():
        yield check_labels(folder / "labels.ome.zarr")
