"""Slides of an output folder, as the cells to be clustered."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.core.errors import OutputError, StoredResultsError
from wsipsm.core.geometry import Mask
from wsipsm.core.lock import locked_trees
from wsipsm.results.phenotypes.features import Scale, features_of, scale_of, straightened
from wsipsm.results.result import Result
from wsipsm.results.stored_cells import Columns, measured_columns, of_class, read_column, read_groups

PLACE = ("label", "centroid_x", "centroid_y")
"""Columns that say which cell it is, and where."""
LOCK_SECONDS = 1.0
"""Time limit for a run on the output folder to release it, s."""


@dataclass(frozen=True, eq=False)
class StoredSlide:
    """Cells of one slide and the record of its run."""

    folder: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of its output folder."""
        return self.folder.name

    @property
    def table(self) -> Path:
        """Its cells."""
        return self.folder / "cells.parquet"

    @property
    def fingerprint(self) -> str:
        """Of the slide's file."""
        return str(self.record["slide"]["fingerprint"])

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of its table that cells are compared by."""
        return features_of(measured_columns(self.table))

    @cached_property
    def trusted(self) -> Mask:
        """Which cells are no doubtful ones; (N,)."""
        return ~of_class(self.table, CLASSES.names[DOUBTFUL])

    def scales(self, columns: Sequence[str]) -> dict[str, Scale]:
        """Scale of each column over the slide's cells that are not doubtful; one column is in memory at a time."""
        return {name: scale_of(straightened(name, read_column(self.table, name)[self.trusted])) for name in columns}

    def drawn(self, most: int, *, seed: int) -> Columns:
        """Features and places of at most so many cells that are not doubtful, drawn at random by slide and seed."""
        digest = hashlib.sha256(self.fingerprint.encode()).digest()
        rng = np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])
        rows = np.flatnonzero(self.trusted)
        wanted = np.zeros(len(self.trusted), bool)
        wanted[rng.permutation(rows)[:most]] = True
        parts, start = [], 0
        for group in read_groups(self.table, [*self.columns, *PLACE]):
            chosen = wanted[start : (start := start + len(group["label"]))]
            parts.append({name: values[chosen] for name, values in group.items()})
        return {
            name: np.concatenate([part[name] for part in parts]) if parts else np.zeros(0, np.float32)
            for name in (*self.columns, *PLACE)
        }


@contextmanager
def locked_slides(out: Path) -> Iterator[list[StoredSlide]]:
    """Slides with results in an output folder, or the one whose folder it is; no run may work on it meanwhile.

    Raises
    ------
    OutputError
        There are none, or the record of one cannot be read.
    LockedError
        A run works on the folder.
    """
    folders = [out] if (out / "run.json").is_file() else sorted(path.parent for path in out.glob("*/run.json"))
    if not folders:
        raise OutputError(f"{out}: no slide has results here; expected the output folder of wsipsm run")
    with locked_trees([out, *folders], run=f"classify-{uuid.uuid4().hex[:12]}", wait_seconds=LOCK_SECONDS):
        yield [_stored_slide(folder) for folder in folders]


def _stored_slide(folder: Path) -> StoredSlide:
    record = Result(folder).record
    try:
        record["slide"]["fingerprint"], record["slide"]["path"], record["grid"]["mpp"]
        record["counts"]["by_class"], record["origin_l0"], record["config"]["output"], record["status"]
    except (LookupError, TypeError):
        path = folder / "run.json"
        raise StoredResultsError(f"{path}: not the record of a run; process the slide again: wsipsm run") from None
    return StoredSlide(folder, record)
