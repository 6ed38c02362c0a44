"""Cells that are shown one by one: typical ones, the least confident, and refused ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.cells.measurements import measurements
from wsipsm.cells.refusal import REASONS
from wsipsm.cells.table import Cells
from wsipsm.results.draw import Points
from wsipsm.results.report.distributions import trusted_cells
from wsipsm.results.stored_cells import Columns, read_classes, read_column, read_groups, read_outlines_of

SHOWN = 8
"""Most cells of a row."""

_LOT = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Example:
    """A cell to be shown.

    Attributes
    ----------
    ring_l0 : (N, 2) float64
        Its outline, level-0 px.
    class_name : str
        Its class, by whose colour it is drawn.
    confidence, area_um2 : float
        Written below it.
    """

    ring_l0: Points
    class_name: str
    confidence: float
    area_um2: float


@dataclass(frozen=True, eq=False)
class Row:
    """Examples of one kind, and what they have in common."""

    title: str
    words: str
    cells: tuple[Example, ...]


class RefusedSample:
    """Refused cells of a slide, up to `SHOWN` of each reason, drawn by lot.

    The lot falls by the cells' anchors: the same cells whatever the tiles and their order.
    """

    def __init__(self) -> None:
        self._best: dict[int, list[tuple[int, dict[str, Any]]]] = {}

    def add(self, cells: Cells, verdict: npt.NDArray[np.uint8]) -> None:
        """Take N cells with their verdicts, as `wsipsm.cells.refusal.Refusals.of` gives them."""
        with np.errstate(over="ignore"):
            lots = cells.anchor.astype(np.uint64) * _LOT
        for number in np.unique(verdict[verdict > 0]).tolist():
            rows = np.flatnonzero(verdict == number)
            rows = rows[np.argsort(lots[rows])][:SHOWN]
            known = self._best.get(number, [])
            highest = known[-1][0] if len(known) == SHOWN else math.inf
            known += [(int(lots[row]), _stored(cells, row)) for row in rows.tolist() if int(lots[row]) < highest]
            self._best[number] = sorted(known, key=lambda one: one[0])[:SHOWN]

    def record(self) -> dict[str, list[dict[str, Any]]]:
        """JSON-ready cells by reason."""
        return {REASONS[number - 1]: [cell for _, cell in self._best[number]] for number in sorted(self._best)}


def _stored(cells: Cells, row: int) -> dict[str, Any]:
    start, stop = cells.ring_offsets[row : row + 2].tolist()
    return {
        "confidence": round(float(cells.columns["confidence"][row]), 4),
        "area_um2": round(float(cells.columns["area_um2"][row]), 2),
        "outline_l0": shapely.to_wkt(shapely.Polygon(cells.vertices_l0[start:stop]), rounding_precision=1),
    }


def refused_examples(record: Mapping[str, Any]) -> dict[str, tuple[Example, ...]]:
    """Refused cells by reason, as ``run.json`` holds them; empty where an earlier version did not store them."""
    doubtful = CLASSES.names[DOUBTFUL]
    return {
        reason: tuple(
            Example(_ring(shapely.from_wkt(one["outline_l0"])), doubtful, one["confidence"], one["area_um2"])
            for one in cells
        )
        for reason, cells in record.get("refused_examples", {}).items()
    }


def _ring(polygon: shapely.Geometry) -> Points:
    ring: Points = shapely.get_coordinates(shapely.get_exterior_ring(polygon))
    return ring


def chosen_examples(table: Path, stain: str) -> tuple[dict[str, tuple[Example, ...]], tuple[Example, ...]]:
    """Typical cells of each class, and the least confident cells of all; doubtful ones are left out.

    Typical cells are nearest to the medians of area, solidity, nuclear stain and confidence over the slide's cells of
    their class, in units of the interquartile ranges. Of equal cells the one with the lower label is taken.

    Raises
    ------
    StoredResultsError
        The table cannot be read.
    """
    columns = ("area_um2", "solidity", measurements(stain)["nuclear_od_mean"].column, "confidence")
    trusted, class_ = trusted_cells(table), read_classes(table)
    members = {CLASSES.names[code]: trusted & (class_ == code) for code in np.unique(class_[trusted]).tolist()}
    quartiles = {name: _quartiles(table, columns, member) for name, member in members.items()}
    typical, least, start = {name: _Best() for name in members}, _Best(), 0
    for group in read_groups(table, ("label", "class", *columns)):
        rows = slice(start, start := start + len(group["label"]))
        least.add(group, group["confidence"], trusted[rows])
        for name, best in typical.items():
            best.add(group, _away(group, quartiles[name]), members[name][rows])
    outlines = read_outlines_of(table, [label for best in (*typical.values(), least) for label in best.labels])
    return {name: best.examples(outlines) for name, best in typical.items()}, least.examples(outlines)


_Quartiles = dict[str, tuple[float, float, float]]


def _quartiles(table: Path, columns: Sequence[str], member: npt.NDArray[np.bool_]) -> _Quartiles:
    """Quartiles of columns over some cells, one at least."""
    found = {}
    for name in columns:
        low, median, high = np.percentile(read_column(table, name)[member], (25, 50, 75)).tolist()
        found[name] = low, median, high
    return found


def _away(group: Columns, quartiles: _Quartiles) -> npt.NDArray[np.float64]:
    """Distance of cells from the medians of some columns, interquartile ranges."""
    off = [np.abs(group[name] - median) / max(high - low, 1e-9) for name, (low, median, high) in quartiles.items()]
    away: npt.NDArray[np.float64] = np.sum(off, axis=0)
    return away


class _Best:
    """The cells of the lowest scores."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, str, float, float]] = []

    @property
    def labels(self) -> list[int]:
        return [row[1] for row in self._rows]

    def add(self, group: Columns, score: npt.NDArray[np.floating[Any]], among: npt.NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(among)
        rows = rows[np.lexsort((group["label"][rows], score[rows]))][:SHOWN]
        self._rows += [
            (
                float(score[row]),
                int(group["label"][row]),
                str(group["class"][row]),
                float(group["confidence"][row]),
                float(group["area_um2"][row]),
            )
            for row in rows.tolist()
        ]
        self._rows = sorted(self._rows)[:SHOWN]

    def examples(self, outlines: Mapping[int, Any]) -> tuple[Example, ...]:
        return tuple(
            Example(_ring(outlines[label]), name, confidence, area) for _, label, name, confidence, area in self._rows
        )
