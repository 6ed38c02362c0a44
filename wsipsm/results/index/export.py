"""Reports of the index as files: CSV, JSON, or annotations for QuPath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.files import write_bytes, write_csv
from wsipsm.results.index.report import SlideReport
from wsipsm.results.index.scores import Scores
from wsipsm.slide.annotations import write_annotations

FORMS = (".csv", ".json", ".geojson", ".geojson.gz")
CSV_COLUMNS = ("slide", "region", "kind", *(one.name for one in fields(Scores)))


def refuse_unknown(path: Path) -> None:
    """Refuse a file whose name says no form that is known.

    Raises
    ------
    OutputError
        It is none of ``FORMS``.
    """
    if not path.name.lower().endswith(FORMS):
        raise OutputError(f"{path}: expected a name that ends in {', '.join(FORMS)}")


def save_reports(path: Path, found: Sequence[SlideReport]) -> None:
    """Write reports as the name of the file says.

    Raises
    ------
    OutputError
        The name says nothing known, the file cannot be written, or annotations are asked for of several slides.
    """
    refuse_unknown(path)
    tables = [one.to_dict() for one in found]
    if path.name.lower().endswith(".csv"):
        rows = [{"slide": table["slide"], **row} for table in tables for row in table["regions"]]
        write_csv(path, CSV_COLUMNS, rows)
    elif path.name.lower().endswith(".json"):
        write_bytes(path, orjson.dumps(tables, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        _save_annotations(path, found)


def _save_annotations(path: Path, found: Sequence[SlideReport]) -> None:
    if len(found) > 1:
        raise OutputError(f"{path}: annotations are of one slide, got {len(found)} slides; give the folder of one")
    (one,) = found
    write_annotations([field.annotation() for field in one.fields], path, offset_l0=one.origin_l0)
