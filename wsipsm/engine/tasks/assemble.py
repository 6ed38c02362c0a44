"""Assemble a slide: from the results of its tiles to its output files.

Everything is written into a draft folder and moved to its final name at the end, ``run.json`` last. While labels are
still written, the pictures are drawn, and beside both the figures of the report are made of the cell table.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from wsipsm.cells.table import Cells
from wsipsm.core.behind import Behind
from wsipsm.core.files import file_hash, file_mark, flush_tree, make_folder, write_json
from wsipsm.core.geometry import Box
from wsipsm.core.lock import locked
from wsipsm.core.versions import versions
from wsipsm.engine import scratch
from wsipsm.engine.doubts import doubts
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.no_cells import why_no_cells
from wsipsm.engine.pages import report_or_why
from wsipsm.engine.reports import OutputReport, Tally
from wsipsm.engine.resume import index_of
from wsipsm.engine.tasks.judge import Judge, done_tiles
from wsipsm.engine.tasks.write_cells import labels_writer, write_cells
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.results.folder import replace_outputs
from wsipsm.results.index.slide import HOT_SPOTS_FILE, SlideIndex
from wsipsm.results.overview.gather import Density, save_overview
from wsipsm.results.report import TableFigures, table_figures
from wsipsm.slide import Slide, qupath_origin
from wsipsm.slide.annotations import write_regions

TISSUE_COLOR = (60, 180, 75)

LABELS_WAIT = 16
"""Cores whose labels may wait to be compressed, a megabyte each, while cells are written and pictures drawn."""

PUBLISH_SECONDS = 60
"""Time limit for another worker that moves the same slide's files to their final names, s."""


def assemble(ref: JobRef, tally: Tally) -> OutputReport:
    """Write all outputs of a slide and move them to their final names; the scratch stays."""
    start, job = time.perf_counter(), ref.load()
    draft = make_folder(job.task.out / f"{job.drafts}{uuid.uuid4().hex[:8]}")
    try:
        with (
            job.open() as slide,
            labels_writer(job, draft) as arrays,
            Behind(LABELS_WAIT) as behind,
            ThreadPoolExecutor(1, thread_name_prefix="figures") as beside,
        ):
            density, judge = Density.over(job.grid), Judge(job)
            index = SlideIndex(job.grid, job.region, judge.rule)
            classes = write_cells(
                job,
                draft,
                arrays,
                counters=(density.add, index.add),
                judge=judge,
                fingerprint=slide.fingerprint(),
                behind=behind,
            )
            behind.call(_flush_cells, draft)
            _write_annotations(job, draft, index, offset_l0=qupath_origin(slide))
            record = _record(job, slide, tally, judge, classes) | {
                "classes": judge.rule.to_dict() if judge.rule else None,
                "index": index.record(map_um=density.bin_um),
                "calibration": _calibration(job),
                "refused_examples": judge.sample.record(),
            }
            figures = beside.submit(table_figures, draft, record) if job.config.output.report else None
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
            warnings = (*warnings, blank) if blank else warnings
            if record["calibration"]:
                shutil.copyfile(job.calibration_file, draft / "calibration.pt")
            seconds = time.perf_counter() - start
            record["seconds"] = _seconds(tally, seconds)
            warnings = _write_record(draft, record, warnings, slide, figures)
        _publish(draft, ref)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return OutputReport(sum(classes.values()), seconds, warnings, index_of(record))


def _flush_cells(draft: Path) -> None:
    """Wait until cells and labels are on the disk, so that the end has less to wait for."""
    for path in (*draft.glob("cells*"), draft / "labels.ome.zarr"):
        flush_tree(path)


def _warnings(job: Job, tally: Tally, judge: Judge, record: dict[str, Any]) -> tuple[str, ...]:
    cells = record["counts"]["cells"]
    warnings = (*job.said, *why_no_cells(job, cells=cells, failed=bool(tally.failed)))
    return (*warnings, *doubts(job, record["calibration"], written=cells, refused=judge.refused))


def _write_record(
    draft: Path,
    record: dict[str, Any],
    warnings: tuple[str, ...],
    slide: Slide,
    figures: Future[TableFigures] | None,
) -> tuple[str, ...]:
    """Write ``run.json``, and from it and the other files the report, if it has figures; returns all warnings."""
    write_json(draft / "run.json", record | {"warnings": list(warnings)})
    if figures is not None and (unwritten := report_or_why(draft, slide, figures.result)):
        warnings = (*warnings, unwritten)
        write_json(draft / "run.json", record | {"warnings": list(warnings)})
    return warnings


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


def _record(job: Job, slide: Slide, tally: Tally, judge: Judge, classes: dict[str, int]) -> dict[str, Any]:
    """Content of ``run.json``, as far as it is known before the pictures are drawn."""
    return {
        "status": "partial" if tally.failed else "done" if tally.tiles else "empty",
        "run": job.task.token,
        "digest": job.digest,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "slide": _slide_facts(job, slide),
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
        "seconds": {},
        "failed_tiles": tally.failed,
        "config": job.config.model_dump(mode="json"),
    }


def _seconds(tally: Tally, own_seconds: float) -> dict[str, Any]:
    """Seconds of the run; ``own_seconds`` are those of the assembly so far."""
    stages = {name: round(value, 3) for name, value in tally.stage_seconds.items()}
    return {
        "wall": round(tally.seconds + own_seconds, 3),
        "workers": stages | {"assemble": round(own_seconds, 3)},
    }


def _slide_facts(job: Job, slide: Slide) -> dict[str, Any]:
    known = ("vendor", "reader", "width_l0", "height_l0", "mpp_l0", "mpp_source")
    return {
        "path": str(job.task.slide),
        "file_mark": file_mark(slide.path),  # of a staged copy too, which keeps the time of change
        "fingerprint": slide.fingerprint(),
        **{name: getattr(slide, name) for name in known},
    }


def _publish(draft: Path, ref: JobRef) -> None:
    """Move a draft's files to their final names; what an earlier run left goes first, its ``run.json`` before all.

    One at a time, and once a run: a worker that was taken for lost may be assembling the same slide.
    """
    out = ref.load().task.out
    flush_tree(draft)
    with locked(Path(ref.work), wait_seconds=PUBLISH_SECONDS):
        ref.load()  # whoever took over meanwhile publishes its own
        if _published_by(out) == ref.token:
            return
        replace_outputs(draft, out)


def _published_by(out: Path) -> str:
    """Token of the run whose results lie in a folder; empty where there are none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(orjson.loads((out / "run.json").read_bytes())["run"])
    return ""
