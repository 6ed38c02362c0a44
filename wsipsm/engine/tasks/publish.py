"""Publish a slide: write its record and its report, and give all its files their final names, ``run.json`` last."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.files import flush_tree, write_json
from wsipsm.core.lock import locked
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.pages import report_or_why
from wsipsm.engine.reports import CellsReport, LabelsReport, OutputReport
from wsipsm.engine.resume import index_of, warnings_of
from wsipsm.engine.tasks.write_labels import LABELS_FILE
from wsipsm.results.folder import missing_outputs, replace_outputs

PUBLISH_SECONDS = 60
"""Time limit for another worker that moves the same slide's files to their final names, s."""


def publish(ref: JobRef, cells: CellsReport, labels: LabelsReport, seconds: float) -> OutputReport:
    """Publish what `assemble` and `write_labels` made, once a run; whoever comes later finds it done.

    Parameters
    ----------
    ref : JobRef
        The job.
    cells : CellsReport
        Of the assembly.
    labels : LabelsReport
        Of the labels.
    seconds : float
        Wall seconds of the slide so far.

    Raises
    ------
    StaleError
        Another run has taken over.
    OutputError
        A draft is not whole any more.
    """
    start, job = time.perf_counter(), ref.load()
    out = job.task.out
    with locked(Path(ref.work), wait_seconds=PUBLISH_SECONDS):
        ref.load()  # whoever took over meanwhile publishes its own
        if _published_by(out) != ref.token:
            draft = out / cells.draft
            _move_labels(out / labels.draft, draft)
            _write_record(job, draft, cells, labels, seconds + time.perf_counter() - start)
            flush_tree(draft)
            replace_outputs(draft, out)
    for name in (cells.draft, labels.draft):
        shutil.rmtree(out / name, ignore_errors=True)
    record = _record_in(out)
    return OutputReport(record["counts"]["cells"], record["seconds"]["wall"], warnings_of(record), index_of(record))


def _move_labels(source: Path, draft: Path) -> None:
    """Move the labels to the other files, unless a worker that died did so; all must be there then."""
    if (source / LABELS_FILE).exists():
        with contextlib.suppress(FileNotFoundError):  # the draft, which is told of below
            os.replace(source / LABELS_FILE, draft / LABELS_FILE)
    if lacking := missing_outputs(draft):
        raise OutputError(f"{draft}: {', '.join(lacking)} of this run got lost; run again")


def _write_record(job: Job, draft: Path, cells: CellsReport, labels: LabelsReport, seconds: float) -> None:
    """Complete ``run.json``, and write from it and the other files the report, if one is asked for."""
    record = _record_in(draft)
    last = {"write_labels": labels.seconds, "assemble": cells.seconds}
    workers = {name: round(value, 3) for name, value in (record["seconds"]["workers"] | last).items()}
    record["seconds"] = {"wall": round(seconds, 3), "workers": workers}
    write_json(draft / "run.json", record)
    if unwritten := _report(job, draft, cells):
        write_json(draft / "run.json", record | {"warnings": [*record["warnings"], unwritten]})


def _report(job: Job, draft: Path, cells: CellsReport) -> str:
    """Write the report; returns why there is none, empty where there is, or none is asked for."""
    figures = cells.figures
    if figures is None or isinstance(figures, str):
        return figures or ""
    with job.open() as slide:
        return report_or_why(draft, slide, lambda: figures)


def _record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads((folder / "run.json").read_bytes())
    return record


def _published_by(out: Path) -> str:
    """Token of the run whose results lie in a folder; empty where there are none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(_record_in(out)["run"])
    return ""
