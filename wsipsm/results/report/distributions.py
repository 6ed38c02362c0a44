"""Histograms of the main measurements of a slide's cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.cells.marker import MARKER_COLUMNS
from wsipsm.cells.measurements import measurements
from wsipsm.results.stored_cells import of_class, read_column
from wsipsm.stain.registry import STAINS

BINS = 40
"""Bars of a histogram."""

_Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is shown of every cell.

    Attributes
    ----------
    name, unit : str
        Of its axis; the unit is empty for a plain number.
    columns : tuple of str
        Columns of the cell table that it is computed from.
    limits : (float, float) or None
        Range of its axis; None for that of the values, without the outermost 0.5 %.
    """

    name: str
    unit: str
    columns: tuple[str, ...]
    limits: tuple[float, float] | None = None

    def of(self, *columns: _Values) -> _Values:
        """Its values: the column itself, or of area and perimeter the circularity."""
        return columns[0] if len(columns) == 1 else circularity(*columns)


@dataclass(frozen=True, eq=False)
class Distribution:
    """Distribution of a quantity over N cells.

    Attributes
    ----------
    quantity : Quantity
        What of.
    counts : (BINS,) int64
        Cells in bins of equal width; what lies beyond the range is in the outermost bins.
    low, high : float
        Range of the bins.
    quartiles : (float, float, float)
        First quartile, median, third quartile.
    """

    quantity: Quantity
    counts: npt.NDArray[np.int64]
    low: float
    high: float
    quartiles: tuple[float, float, float]


def circularity(area: _Values, perimeter: _Values) -> _Values:
    """4 pi area / perimeter², 1 for a disk; at most 1, as pixels make small disks rounder than disks.

    Examples
    --------
    >>> circularity(np.float32([4]), np.float32([8])).round(3).tolist()
    [0.7850000262260437]
    """
    found: _Values = np.minimum(4 * math.pi * area / np.maximum(perimeter, 1e-6) ** 2, 1).astype(np.float32)
    return found


def quantities(stain: str, compartment: str = "nucleus") -> tuple[Quantity, ...]:
    """What is shown of slides of a stain; a chromogen in the compartment where it counts, ``nucleus`` or ``ring``."""
    named, written = STAINS[stain], measurements(stain)
    counterstain = written[MARKER_COLUMNS[compartment] if named.marker else "counterstain_od_mean"]
    place = {"nucleus": "core of the nucleus", "ring": "ring around the nucleus"}[compartment]
    place = place if named.marker else "mean over the nucleus"
    return (
        Quantity("Area", "µm²", ("area_um2",)),
        Quantity("Circularity", "", ("area_um2", "perimeter_um"), (0.0, 1.0)),
        Quantity("Solidity", "", ("solidity",), (0.5, 1.0)),
        Quantity(f"{named.nuclear}, mean over the nucleus", "OD", (written["nuclear_od_mean"].column,)),
        Quantity(f"{named.counterstain}, {place}", "OD", (counterstain.column,)),
        Quantity("Confidence", "", ("confidence",), (0.0, 1.0)),
    )


def trusted_cells(table: Path) -> npt.NDArray[np.bool_]:
    """Which cells of a table are no doubtful ones; (N,)."""
    return ~of_class(table, CLASSES.names[DOUBTFUL])


def distributions(table: Path, shown: Sequence[Quantity]) -> list[Distribution]:
    """Distributions of quantities over the cells of a table that are not doubtful; empty without any.

    Two columns are in memory at a time.

    Raises
    ------
    StoredResultsError
        The table cannot be read.
    """
    trusted = trusted_cells(table)
    if not trusted.any():
        return []
    return [_distribution(one, one.of(*(read_column(table, name)[trusted] for name in one.columns))) for one in shown]


def _distribution(quantity: Quantity, values: _Values) -> Distribution:
    low, high = quantity.limits or _range(values)
    places = np.clip((values - low) / (high - low) * BINS, 0, BINS - 1).astype(np.intp)
    q1, median, q3 = np.percentile(values, (25, 50, 75)).tolist()
    return Distribution(quantity, np.bincount(places, minlength=BINS), low, high, (q1, median, q3))


def _range(values: _Values) -> tuple[float, float]:
    low, high = min(0.0, float(np.percentile(values, 0.5))), float(np.percentile(values, 99.5))
    return (low, high) if high > low else (low, low + 1)
