"""Assemble a slide: from the results of its tiles to its output files but the labels, which `write_labels` makes.

Everything is written into a draft folder, from which `publish` moves it. While the pictures are drawn, the figures of
the report are made of the cell table.
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from wsipsm.cells.table import Cells
from wsipsm.core.errors import describe_error
from wsipsm.core.files import file_hash, file_mark, flush_tree, is_disk_full, write_json
from wsipsm.core.geometry import Box
from wsipsm.core.versions import versions
from wsipsm.engine import scratch
from wsipsm.engine.doubts import doubts
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.no_cells import why_no_cells
from wsipsm.engine.pages import UNREPORTED
from wsipsm.engine.reports import CellsReport, Tally
from wsipsm.engine.tasks.draft import drafted
from wsipsm.engine.tasks.judge import Judge, done_tiles
from wsipsm.engine.tasks.write_cells import write_cells
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.results.index.slide import HOT_SPOTS_FILE, SlideIndex
from wsipsm.results.overview.gather import Density, save_overview
from wsipsm.results.report import table_figures
from wsipsm.slide import Slide, qupath_origin
from wsipsm.slide.annotations import write_regions

TISSUE_COLOR = (60, 180, 75)


def assemble(ref: JobRef, tally: Tally) -> CellsReport:
    """Write all outputs of a slide but labels and report into a draft; the scratch stays.

    Raises
    ------
    StaleError
        Another run has taken over, the slide is over, or another worker was faster.
    UnreadableSlideError
        The slide has changed.
    """
    start, job = time.perf_counter(), ref.load()
    with (
        drafted(ref, job) as draft,
        job.open() as slide,
        ThreadPoolExecutor(1, thread_name_prefix="figures") as beside,
    ):
        fingerprint = job.fingerprint(slide)
        density, judge = Density.over(job.grid), Judge(job)
        index = SlideIndex(job.grid, job.region, judge.rule)
        counters = (density.add, index.add)
        classes = write_cells(job, draft, counters=counters, judge=judge, fingerprint=fingerprint)
        _write_annotations(job, draft, index, offset_l0=qupath_origin(slide))
        record = _record(job, slide, tally, judge, classes, fingerprint) | {
            "classes": judge.rule.to_dict() if judge.rule else None,
            "index": index.record(map_um=density.bin_um),
            "calibration": _calibration(job),
            "refused_examples": judge.sample.record(),
        }
        figures = beside.submit(_figures_or_why, draft, record) if job.config.output.report else None
        warnings = _warnings(job, tally, judge, record)
        blank = save_overview(
            draft / "overview.png",
            slide=slide,
            grid=job.grid,
            region=job.region,
            density=density,
            cells_in=partial(_cells_in, job, judge),
            index=index,
            warnings=warnings,
        )
        if record["calibration"]:
            shutil.copyfile(job.calibration_file, draft / "calibration.safetensors")
        write_json(draft / "run.json", record | {"warnings": [*warnings, *([blank] if blank else [])]})
        flush_tree(draft)
        shown, why = figures.result() if figures else (b"", "")
        return CellsReport(draft.name, time.perf_counter() - start, shown, why)


def _figures_or_why(draft: Path, record: dict[str, Any]) -> tuple[bytes, str]:
    """What the report shows of the cell table, pickled; why there is none."""
    try:
        return pickle.dumps(table_figures(draft, record)), ""
    except Exception as error:
        if is_disk_full(error):
            raise
        # Whatever it is, a page to read must not cost the slide its cells.
        return b"", f"{UNREPORTED}: {describe_error(error)}"


def _warnings(job: Job, tally: Tally, judge: Judge, record: dict[str, Any]) -> tuple[str, ...]:
    cells = record["counts"]["cells"]
    warnings = (*job.said, *why_no_cells(job, cells=cells, failed=bool(tally.failed)))
    return (*warnings, *doubts(job, record["calibration"], written=cells, refused=judge.refused))


def _cells_in(job: Job, judge: Judge, box: Box) -> Iterator[Cells]:
    """Cells, refused ones too, of every tile that may own one in a box of grid px."""
    near = box.expand(job.halo_px)
    for tile in done_tiles(job):
        if not near.intersect(job.lattice.core(tile)).empty:
            yield judge.judged(tile, scratch.load_cells(job.tile_file(tile))[0])


def _write_annotations(job: Job, draft: Path, index: SlideIndex, *, offset_l0: tuple[int, int]) -> None:
    """Write the region searched and the hot spots."""
    tissue = job.region.polygons.geoms
    write_regions(tissue, draft / "tissue.geojson", name="Tissue", color=TISSUE_COLOR, offset_l0=offset_l0)
    index.write_hot_spots(draft / HOT_SPOTS_FILE, offset_l0=offset_l0)


def _calibration(job: Job) -> dict[str, Any]:
    """Constants of the slide as its calibration holds them; empty for a slide without tissue."""
    if not job.calibration_file.exists():
        return {}
    table = load_checkpoint(job.calibration_file).table
    return {name: table[name] for name in ("stats", "levels") if name in table}


def _checkpoint_hash(job: Job) -> str | None:
    if job.task.checkpoint is None and job.config.recognizer.method == "psm":
        return None
    return file_hash(job.model)


def _record(
    job: Job, slide: Slide, tally: Tally, judge: Judge, classes: dict[str, int], fingerprint: str
) -> dict[str, Any]:
    """Content of ``run.json``, as far as it is known before the pictures are drawn."""
    return {
        "status": "partial" if tally.failed else "done" if tally.tiles else "empty",
        "run": job.task.token,
        "digest": job.digest,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "slide": _slide_facts(job, slide, fingerprint),
        "grid": asdict(job.grid),
        "origin_l0": {
            "written": list(job.origin_l0),
            "level0": [0, 0],
            "qupath": list(qupath_origin(slide)),
        },
        "checkpoint": {
            "calibration_sha256": file_hash(job.calibration_file) if job.calibration_file.exists() else None,
            "recognizer": job.config.recognizer.method,
            "checkpoint": str(job.task.checkpoint) if job.task.checkpoint else None,
            "checkpoint_sha256": _checkpoint_hash(job),
        },
        "counts": {
            "cells": sum(classes.values()),
            "by_class": classes,
            "mm2": job.region_mm2,
            "tiles": tally.tiles,
            "outlines_unsimplified": tally.unsimplified,
            "cells_dropped": tally.dropped,
            "refused": judge.refused,
        },
        "seconds": {"wall": tally.seconds, "workers": tally.stage_seconds},
        "failed_tiles": tally.failed,
        "config": job.config.model_dump(mode="json"),
    }


def _slide_facts(job: Job, slide: Slide, fingerprint: str) -> dict[str, Any]:
    known = ("vendor", "reader", "width_l0", "height_l0", "mpp_l0", "mpp_source")
    return {
        "path": str(job.task.slide),
        "file_mark": file_mark(slide.path),  # of a staged copy too, which keeps the time of change
        "fingerprint": fingerprint,
        **{name: getattr(slide, name) for name in known},
    }
