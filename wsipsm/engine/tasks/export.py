"""Export a finished slide again: files made from its stored cells, without computing any cell again."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import StoredResultsError
from wsipsm.core.files import flush_tree, make_folder, write_json
from wsipsm.core.lock import locked
from wsipsm.engine.job import SlideTask
from wsipsm.engine.reports import OutputReport
from wsipsm.engine.resume import index_of, require_folder, warnings_of
from wsipsm.results.export import export_cells
from wsipsm.results.folder import replace_outputs
from wsipsm.results.formats import FORMATS
from wsipsm.results.formats.geojson import GeoJsonWriter

LOCK_SECONDS = 60
"""Time limit for another worker that writes the same slide's files, s."""


def export(task: SlideTask) -> OutputReport:
    """Write the GeoJSON of a finished slide as the configuration asks for it now, from ``cells.parquet``.

    A run that is killed meanwhile leaves a ``run.json`` that fits no configuration, so that the next one does it again.

    Raises
    ------
    StoredResultsError
        What is stored cannot be read.
    StaleError
        Another run works on the output folder by now.
    UnseenError
        This machine does not see the output folder.
    """
    require_folder(task)
    with locked(task.out, wait_seconds=LOCK_SECONDS):
        require_folder(task)  # again, as the wait may have been long
        record = _read_record(task.out / "run.json")
        draft = make_folder(task.out / f".draft-{task.token}-{uuid.uuid4().hex[:8]}")
        try:
            classes = _write_geojson(task, draft, record)
            record["counts"]["by_class"] = classes  # a killed wsipsm classify may have left others
            _publish(task, draft, record)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return OutputReport(sum(classes.values()), warnings_of(record), index_of(record))


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = orjson.loads(path.read_bytes())
        record["origin_l0"], record["counts"], record["config"]["output"]["arrays"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StoredResultsError(f"{path}: cannot be read as the record of a run: {error}") from None
    return record


def _write_geojson(task: SlideTask, draft: Path, record: dict[str, Any]) -> dict[str, int]:
    """Write all cells; returns how many by class."""
    stain = task.config.recognizer.stain
    x, y = record["origin_l0"][task.config.output.origin]
    with GeoJsonWriter(draft, config=task.config.output, offset_l0=(x, y), stain=stain) as geojson:
        return export_cells(task.out, geojson, stain=stain)


def _publish(task: SlideTask, draft: Path, record: dict[str, Any]) -> None:
    """Move the files to their final names, and note in ``run.json`` what they are; arrays stay as they are stored."""
    output, path = task.config.output, task.out / "run.json"
    arrays = record["config"]["output"]["arrays"]
    flush_tree(draft)
    write_json(path, record | {"config": record["config"] | {"output": {"arrays": arrays}}})
    replace_outputs(draft, task.out, FORMATS["geojson"].files)
    made = {
        "config": record["config"] | {"output": output.model_dump(mode="json") | {"arrays": arrays}},
        "origin_l0": record["origin_l0"] | {"written": record["origin_l0"][output.origin]},
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(path, record | made)
