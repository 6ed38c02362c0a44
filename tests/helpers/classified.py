"""Results of slides whose cells may have been given clusters."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

QUICK = ["schedule.workers=1", "schedule.processes=false", "tiles.core_px=128", "tiles.block_px=128"]
"""Settings of a run in this process, on small tiles."""


def table(folder: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(folder / "cells.parquet").drop_columns(["bbox"]).to_pandas()
    return frame


def classes(folder: Path) -> dict[str, str]:
    """Class of each cell by UUID."""
    cells = table(folder)
    return dict(zip(cells["uuid"], cells["class"], strict=True))


def features(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / "cells.geojson.gz") as file:
        return list(json.load(file)["features"])


def record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_bytes()))


def contents(out: Path) -> dict[str, bytes]:
    """Bytes of the files that a user sees, but for the table, whose encoding may differ."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".parquet"
    }


def with_class(folder: Path, rows: int, name: str) -> None:
    """Give the first cells another class, as if the run had."""
    path = folder / "cells.parquet"
    stored = pq.read_table(path)
    names = stored["class"].to_pylist()
    column = pa.array([name] * rows + names[rows:], pa.string())
    at = stored.column_names.index("class")
    pq.write_table(stored.set_column(at, stored.schema.field("class"), column), path)
