"""Give the cells of a finished slide other classes in all of its files, so that a kill leaves nothing half."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wsipsm.config import OutputConfig, with_new_names
from wsipsm.core.errors import StoredResultsError
from wsipsm.core.files import flush_tree, make_folder, write_json
from wsipsm.results.export import export_cells
from wsipsm.results.folder import replace_outputs
from wsipsm.results.formats import FORMATS
from wsipsm.results.formats.geojson import GeoJsonWriter
from wsipsm.results.phenotypes.slides import StoredSlide
from wsipsm.results.report import REPORT_FILE, write_slide_report

DRAFT = ".draft-classify-"
"""Beginning of the name of a draft folder; the next run removes it too."""
INTERRUPTED = "interrupted"
"""Key of ``run.json`` below ``classify``: the files were being replaced; it holds how they are written."""


def replace_classes(
    slide: StoredSlide, write_table: Callable[[Path, Path], None], entry: dict[str, Any] | None
) -> dict[str, int]:
    """Replace ``cells.parquet`` and the GeoJSON of a slide, and note it in ``run.json``; its folder is locked.

    All is written into a draft folder first. While the files are being moved, ``run.json`` fits no configuration: after
    a kill, the next ``wsipsm classify`` does it again, and the next ``wsipsm run`` makes the GeoJSON again from
    whichever table it finds, which is whole.

    Parameters
    ----------
    slide : StoredSlide
        The slide.
    write_table : callable
        Writes the new table; takes the path of the old one and of the new one.
    entry : dict or None
        What ``run.json`` is to say under ``classify``; None: nothing.

    Returns
    -------
    dict of str to int
        Cells by class.

    Raises
    ------
    StoredResultsError
        What is stored cannot be read.
    DiskFullError, OutputError
        It cannot be written.
    """
    output = _output(slide)
    for left in slide.folder.glob(f"{DRAFT}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    draft = make_folder(slide.folder / f"{DRAFT}{uuid.uuid4().hex[:8]}")
    try:
        write_table(slide.table, draft / "cells.parquet")
        counts = _write_geojson(slide, draft, output)
        flush_tree(draft)
        _move(slide, draft, output, _record(slide, counts, output, entry))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if (slide.folder / REPORT_FILE).is_file():
        write_slide_report(slide.folder)  # it shows the classes
    return counts


def _output(slide: StoredSlide) -> OutputConfig:
    """How the slide's files are written; of interrupted ones, how they were."""
    path, output = slide.folder / "run.json", with_new_names(slide.record["config"]).get("output", {})
    if "origin" not in output:
        output = slide.record.get("classify", {}).get(INTERRUPTED, {})
    if "origin" not in output:  # as `wsipsm.engine.tasks.export` leaves it when it is killed
        raise StoredResultsError(f"{path}: a run was killed while it wrote the GeoJSON: run wsipsm run again first")
    try:
        return OutputConfig(**output)
    except (TypeError, ValidationError):
        raise StoredResultsError(f"{path}: its output options are not those of this wsipsm: run wsipsm run") from None


def _write_geojson(slide: StoredSlide, draft: Path, output: OutputConfig) -> dict[str, int]:
    record = slide.record
    x, y = record["origin_l0"][output.origin]
    stain = record["config"]["recognizer"]["stain"]
    with GeoJsonWriter(draft, config=output, offset_l0=(x, y), stain=stain) as geojson:
        return export_cells(draft, geojson, stain=stain)


def _record(
    slide: StoredSlide, counts: dict[str, int], output: OutputConfig, entry: dict[str, Any] | None
) -> dict[str, Any]:
    """Record of a slide whose files are all there."""
    record = slide.record | {
        "counts": slide.record["counts"] | {"by_class": counts},
        "config": slide.record["config"] | {"output": output.model_dump(mode="json")},
    }
    record.pop("classify", None)
    return record | ({"classify": entry} if entry else {})


def _move(slide: StoredSlide, draft: Path, output: OutputConfig, record: dict[str, Any]) -> None:
    path = slide.folder / "run.json"
    stale = {
        "config": record["config"] | {"output": {"arrays": list(output.arrays)}},
        "classify": {INTERRUPTED: output.model_dump(mode="json")},
    }
    write_json(path, slide.record | stale)
    os.replace(draft / "cells.parquet", slide.table)
    replace_outputs(draft, slide.folder, FORMATS["geojson"].files)
    write_json(path, record)
