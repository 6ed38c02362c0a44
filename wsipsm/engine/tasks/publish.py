"""Publish a slide: write its record and its report, and give all its files their final names, ``run.json`` last."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import OutputError, describe_error
from wsipsm.core.files import flush_tree, is_disk_full, write_json
from wsipsm.core.lock import locked
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.pages import UNREPORTED, report_or_why
from wsipsm.engine.reports import CellsReport, LabelsReport, OutputReport
from wsipsm.engine.resume import index_of, remove_drafts, warnings_of
from wsipsm.engine.tasks.draft import published_by
from wsipsm.engine.tasks.write_labels import LABELS_FILE
from wsipsm.results.folder import missing_outputs, move_outputs, remove_outputs

PUBLISH_SECONDS = 600
"""Time limit for another worker that publishes the same slide, s."""

_MOVING = ".moving"
"""File of a draft that is whole, while its files get their final names: where that is interrupted, it goes on."""


def publish(ref: JobRef, cells: CellsReport, labels: LabelsReport, seconds: float) -> OutputReport:
    """Publish what `assemble` and `write_labels` made, once a run; who comes later, or again, finds it done or goes on.

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
        Another run has taken over, or the slide is over.
    OutputError
        A draft is not whole any more.
    LockedError
        Another worker takes too long to publish the slide.
    """
    start, job = time.perf_counter(), ref.load()
    out, draft = job.task.out, job.task.out / cells.draft
    with locked(Path(ref.work), wait_seconds=PUBLISH_SECONDS):
        ref.load()  # whoever took over meanwhile publishes its own
        if published_by(out) != ref.token:
            if not (draft / _MOVING).exists():
                _move_labels(out / labels.draft, draft)
                _write_record(job, draft, cells, labels, seconds + time.perf_counter() - start)
                flush_tree(draft)
                remove_outputs(out)
                (draft / _MOVING).touch()
            move_outputs(draft, out)
        remove_drafts(job.task)
    record = _record_in(out)
    return OutputReport(record["counts"]["cells"], warnings_of(record), index_of(record))


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
    # Without what a worker said that died after it.
    record["warnings"] = [text for text in record["warnings"] if not text.startswith(UNREPORTED)]
    write_json(draft / "run.json", record)
    if unwritten := cells.unreported or _report(job, draft, cells.figures):
        write_json(draft / "run.json", record | {"warnings": [*record["warnings"], unwritten]})


def _report(job: Job, draft: Path, figures: bytes) -> str:
    """Write the report; returns why there is none, empty where there is, or none is asked for."""
    if not figures:
        return ""
    try:
        with job.open() as slide:
            return report_or_why(draft, slide, lambda: pickle.loads(figures))
    except Exception as error:
        if is_disk_full(error):
            raise
        # A slide that is out of reach by now must not cost its cells.
        return f"{UNREPORTED}: {describe_error(error)}"


def _record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads((folder / "run.json").read_bytes())
    return record
