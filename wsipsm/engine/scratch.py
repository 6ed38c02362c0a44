"""Scratch: results of tiles until the slide is assembled, one file a tile."""

from __future__ import annotations

import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.measure import Measured
from wsipsm.cells.outlines import Rings
from wsipsm.cells.table import Cells
from wsipsm.core.errors import OutputError
from wsipsm.core.geometry import Labels
from wsipsm.engine.reports import Counts


@dataclass(frozen=True, slots=True)
class LabelRuns:
    """Labels as runs in scan order, which go on over the ends of rows: as small as compressed, in a tenth of the time.

    Attributes
    ----------
    shape : (int, int)
        Of the labels.
    starts : (R,) uint32
        First pixel of each run; the first is 0.
    values : (R,) int32
        Label of each run.
    """

    shape: tuple[int, int]
    starts: npt.NDArray[np.uint32]
    values: npt.NDArray[np.int32]

    @classmethod
    def of(cls, labels: npt.NDArray[np.int32]) -> LabelRuns:
        """Runs of (y, x) labels."""
        flat = labels.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts = np.concatenate([np.zeros(min(1, flat.size), np.int64), changes]).astype(np.uint32)
        return cls((labels.shape[0], labels.shape[1]), starts, flat[starts])

    def image(self, numbers: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.int32]:
        """The (y, x) labels, or what stands for each in a table that begins with label 0."""
        from wsipsm.cells.compiled.runs import spread

        # A label beyond the table, which none is, would be taken for the last.
        values = self.values if numbers is None else numbers.take(self.values, mode="clip")
        return spread(self.starts, values, self.shape[0] * self.shape[1]).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class TileLabels:
    """Stored labels of a tile's core.

    Attributes
    ----------
    labels : LabelRuns
        As its window numbered them, 0 is background.
    whole : LabelRuns or None
        The same labels of whole cells, where nuclei were grown.
    ids : (N,) int64
        Identity of each label of the window on the slide: its anchor's linear grid index; ``ids[0]`` is label 1.
    """

    labels: LabelRuns
    whole: LabelRuns | None
    ids: npt.NDArray[np.int64]


def save_tile(
    path: Path, measured: Measured, *, labels: Labels, ids: npt.NDArray[np.int64], whole: Labels | None = None
) -> Counts:
    """Write a tile's result; the file is there whole or not at all.

    Parameters
    ----------
    path : Path
        ``.npz``; another process may write the same file at the same time.
    measured : Measured
        The cells that the tile owns.
    labels : (y, x) int
        Labels of the core.
    ids : (N,) int64
        Identity of each label.
    whole : (y, x) int, optional
        Labels of the core as whole cells; the cells then have whole outlines.
    """
    cells = measured.cells
    counts = Counts(len(cells), measured.unsimplified, measured.dropped)
    arrays: dict[str, npt.NDArray[Any]] = {
        "tile_counts": np.array(astuple(counts), np.int64),
        **_runs("labels", labels.astype(np.int32, copy=False)),
        "ids": ids.astype(np.int64, copy=False),
        "anchor": cells.anchor,
        "vertices_l0": cells.vertices_l0,
        "ring_offsets": cells.ring_offsets,
        "centroid_l0": cells.centroid_l0,
        "names": np.array(list(cells.columns)),
        "columns": np.stack(list(cells.columns.values())),
        "class_": cells.class_,
        "ellipse_fills": measured.ellipse_fills,
    }
    if whole is not None and cells.whole_l0 is not None:
        arrays |= _runs("whole", whole.astype(np.int32, copy=False))
        arrays["whole_vertices_l0"], arrays["whole_offsets"] = cells.whole_l0.vertices, cells.whole_l0.offsets
    # Not .npz: what a killed worker leaves must not pass for a result.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types the flag beside them
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return counts


def load_labels(path: Path) -> TileLabels:
    """Read a tile's labels, without its cells.

    Raises
    ------
    OutputError
        The file is absent or damaged.
    """
    with _opened(path) as arrays:
        labels, whole = (_stored_runs(arrays, name) for name in ("labels", "whole"))
        if labels is None:
            raise KeyError("labels")
        return TileLabels(labels, whole, arrays["ids"])


def load_cells(path: Path) -> tuple[Cells, npt.NDArray[np.float32]]:
    """Read a tile's N cells and their (N,) ellipse fills, without labels; errors as ``load_labels``."""
    with _opened(path) as arrays:
        return _cells(arrays), arrays["ellipse_fills"]


def load_counts(path: Path) -> Counts:
    """Read the counts of a tile alone; errors as ``load_labels``."""
    with _opened(path) as arrays:
        return Counts(*map(int, arrays["tile_counts"]))


def load_anchors(path: Path) -> npt.NDArray[np.int64]:
    """Read the anchors of a tile's cells alone, in scan order; errors as ``load_labels``."""
    with _opened(path) as arrays:
        anchors: npt.NDArray[np.int64] = arrays["anchor"]
        return anchors


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        # numpy leaves a file open that it cannot read, unless it is ours.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except FileNotFoundError:
        raise OutputError(f"{path}: the result of a tile is missing; run again to make it") from None
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise OutputError(f"{path}: damaged result of a tile ({error}); delete it and run again") from None


def _runs(name: str, labels: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[Any]]:
    runs = LabelRuns.of(labels)
    return {f"{name}_shape": np.array(runs.shape), f"{name}_starts": runs.starts, f"{name}_values": runs.values}


def _stored_runs(arrays: Any, name: str) -> LabelRuns | None:
    """Labels of a name; none where there are none."""
    if f"{name}_shape" not in arrays:
        return None
    height, width = arrays[f"{name}_shape"].tolist()
    return LabelRuns((height, width), arrays[f"{name}_starts"], arrays[f"{name}_values"])


def _cells(arrays: Any) -> Cells:
    return Cells(
        anchor=arrays["anchor"],
        vertices_l0=arrays["vertices_l0"],
        ring_offsets=arrays["ring_offsets"],
        centroid_l0=arrays["centroid_l0"],
        columns=dict(zip(arrays["names"].tolist(), arrays["columns"], strict=True)),
        class_=arrays["class_"],
        whole_l0=Rings(arrays["whole_vertices_l0"], arrays["whole_offsets"]) if "whole_offsets" in arrays else None,
    )
