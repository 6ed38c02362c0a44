"""Cells that are shown one by one: typical ones, the least confident, and refused ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.cells.measurements import measurements
from wsipsm.cells.refusal import REASONS
from wsipsm.cells.table import Cells
from wsipsm.results.draw import Points
from wsipsm.results.report.distributions import trusted_cells
from wsipsm.results.stored_cells import Columns, read_column, read_groups, read_outlines_of

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
            known += [(int(lots[row]), _stored(cells, row)) for row in rows.tolist()]
            self._best[number] = sorted(known, key=lambda one: one[0])[:SHOWN]

    def record(self) -> dict[str, list[dict[str, Any]]]:
        """JSON-ready cells by reason."""
        return {REASONS[number - 1]: [cell for _, cell in self._best[number]] for number in sorted(self._best)}


def _stored(cells: Cells, row: int) -> dict[str, Any]:
    start, stop = cells.ring_offsets[row : row + 2].tolist()
    return {
        "confidence": round(float(cells.columns["confidence"][row]), 4),
        "area_um2": round(float(cells.columns["area_um2"][row]), 2),
        "outline_l0": np.round(cells.vertices_l0[start:stop], 1).tolist(),
    }


def refused_examples(record: Mapping[str, Any]) -> dict[str, tuple[Example, ...]]:
    """Refused cells by reason, as ``run.json`` holds them; empty where an earlier version did not store them."""
    doubtful = CLASSES.names[DOUBTFUL]
    return {
        reason: tuple(
            Example(np.array(one["outline_l0"], np.float64), doubtful, one["confidence"], one["area_um2"])
            for one in cells
        )
        for reason, cells in record.get("refused_examples", {}).items()
    }


def chosen_examples(table: Path, stain: str) -> tuple[dict[str, tuple[Example, ...]], tuple[Example, ...]]:
    """Typical cells of each class, and the least confident cells of all; doubtful ones are left out.

    Typical cells are nearest to the medians of area, solidity, nuclear stain and confidence over the cells of the
    slide, in units of their interquartile ranges. Of equal cells the one with the lower label is taken.

    Raises
    ------
    StoredResultsError
        The table cannot be read.
    """
    columns = ("area_um2", "solidity", measurements(stain)["nuclear_od_mean"].column, "confidence")
    trusted = trusted_cells(table)
    if not trusted.any():
        return {}, ()
    middles = [np.percentile(read_column(table, name)[trusted], (25, 50, 75)) for name in columns]
    typical, least, start = dict[str, _Best](), _Best(), 0
    for group in read_groups(table, ("label", "class", *columns)):
        known = trusted[start : (start := start + len(group["label"]))]
        away = _away(group, dict(zip(columns, middles, strict=True)))
        least.add(group, group["confidence"], known)
        for name in sorted(set(group["class"][known])):
            typical.setdefault(str(name), _Best()).add(group, away, known & (group["class"] == name))
    wanted = [label for best in (*typical.values(), least) for label in best.labels]
    outlines = read_outlines_of(table, wanted)
    return {name: typical[name].examples(outlines) for name in sorted(typical)}, least.examples(outlines)


def _away(group: Columns, middles: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Distance of cells from the medians of some columns, interquartile ranges; quartiles by column."""
    off = [np.abs(group[name] - median) / max(high - low, 1e-9) for name, (low, median, high) in middles.items()]
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
            Example(np.asarray(outlines[label].exterior.coords), name, confidence, area)
            for _, label, name, confidence, area in self._rows
        )
