"""Positive and negative cells, by a rule that is found on a slide without labels and has an absolute anchor.

How strong a chromogen is differs fivefold between laboratories, so no optical density tells positive cells everywhere;
and a threshold between two groups finds two groups where there is one. So the groups are named by hue first: cells that
are surely blue, and cells that are surely brown. The threshold lies between the middles of the two; where hardly a cell
is surely brown, it lies above everything blue, and at 0.2 at least.

Densities of the chromogen are compared as asinh(2 x), about linear for pale cells and logarithmic for black ones.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.table import Cells
from wsipsm.config import ClassesConfig
from wsipsm.stain.hue import BLUE_RATIO, BLUE_RED, BROWN_DAB, BROWN_RATIO
from wsipsm.stain.registry import HDAB_VECTORS

MARKER_COLUMNS = {"nucleus": "counterstain_od_core", "ring": "counterstain_od_ring"}
"""Column that counts, by ``classes.compartment``."""

_BETWEEN = 0.45
"""Where the threshold lies between the middles of blue and brown cells."""
_LEAST_ANCHOR_OD, _LEAST_LONE_OD = 0.1, 0.2
"""Least threshold, optical density, where brown cells were found, and where none were."""
_LEAST_BROWN_OD = 0.2
"""Brown cells whose median is below this are haze."""
_SPREADS, _MAD = 4.0, 1.4826
_LEAST_CELLS, _LEAST_SHARE = 8, 0.005
_BIN_OD, _HIGHEST_OD = 0.001, 4.0


@dataclass(frozen=True, slots=True)
class MarkerRule:
    """The rule of a slide.

    Attributes
    ----------
    threshold_od : float
        Optical density of the chromogen from which on a cell is positive.
    grades_od : (float, float)
        From which on a positive cell is 2+, and 3+; not below the threshold.
    compartment : str
        Where it is measured, ``nucleus`` or ``ring``.
    found_on : str
        ``blue and brown cells``, ``blue cells``, ``few cells`` or ``configuration``.
    blue, brown : int
        Cells that are surely blue, and surely brown.
    """

    threshold_od: float
    grades_od: tuple[float, float]
    compartment: str
    found_on: str
    blue: int = 0
    brown: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def grades(self, chromogen: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Grade of each of N densities: 0 negative, 1 to 3 positive."""
        second, third = (max(self.threshold_od, grade) for grade in self.grades_od)
        edges = np.array([self.threshold_od, second, third], np.float32)
        return np.searchsorted(edges, chromogen, side="right").astype(np.uint8)


class Marker:
    """Finds the rule of a slide, and gives each cell its class; every cell is added first.

    Only counts are kept, in bins of 0.001 optical density, so the rule does not depend on the order of the cells.

    Parameters
    ----------
    config : ClassesConfig
        Scheme, compartment, and thresholds that are given.
    """

    def __init__(self, config: ClassesConfig) -> None:
        self._config = config
        self._cells = 0
        self._blue, self._brown = (np.zeros(round(_HIGHEST_OD / _BIN_OD), np.int64) for _ in range(2))

    def add(self, cells: Cells) -> None:
        """Add cells."""
        if self._config.scheme == "none":
            return
        nuclear, measured = cells.columns["nuclear_od_core"], cells.columns[MARKER_COLUMNS[self._config.compartment]]
        (red_h, _, blue_h), (red_d, _, blue_d), _ = HDAB_VECTORS
        red, blue = nuclear * red_h + measured * red_d, nuclear * blue_h + measured * blue_d
        bins = np.clip((measured / _BIN_OD).astype(np.int64), 0, len(self._blue) - 1)
        self._blue += np.bincount(bins[(blue < BLUE_RATIO * red) & (red > BLUE_RED)], minlength=len(self._blue))
        brown = (blue > BROWN_RATIO * red) & (measured >= BROWN_DAB)
        self._brown += np.bincount(bins[brown], minlength=len(self._brown))
        self._cells += len(cells)

    def rule(self) -> MarkerRule | None:
        """Rule of the slide; none where cells get no classes."""
        config, blue, brown = self._config, int(self._blue.sum()), int(self._brown.sum())
        if config.scheme == "none":
            return None
        threshold, found_on = config.threshold_od, "configuration"
        if threshold is None:
            threshold, found_on = self._threshold()
        return MarkerRule(round(threshold, 4), config.grades_od, config.compartment, found_on, blue, brown)

    def _threshold(self) -> tuple[float, str]:
        enough = max(_LEAST_CELLS, _LEAST_SHARE * self._cells)
        blue_known = self._blue.sum() >= enough
        low = _asinh(_median(self._blue)) if blue_known else 0.0
        if self._brown.sum() >= enough and _median(self._brown) >= _LEAST_BROWN_OD:
            high = _asinh(_median(self._brown))
            between = low + _BETWEEN * (high - low)
            return _sinh(max(between, _asinh(_LEAST_ANCHOR_OD))), "blue and brown cells"
        if not blue_known:
            return _LEAST_LONE_OD, "few cells"
        above = low + _SPREADS * _MAD * _deviation(self._blue, low)
        return _sinh(max(above, _asinh(_LEAST_LONE_OD))), "blue cells"

    def classes(self, cells: Cells, rule: MarkerRule | None) -> npt.NDArray[np.uint8]:
        """Class of each of N cells, (N,) uint8, as ``Cells.class_``."""
        if rule is None:
            return cells.class_
        grades = rule.grades(cells.columns[MARKER_COLUMNS[rule.compartment]])
        names = ("Negative", "1+", "2+", "3+") if self._config.scheme == "graded" else ("Negative", *["Positive"] * 3)
        return np.array([CLASSES.names.index(name) for name in names], np.uint8)[grades]


def _asinh(density: float) -> float:
    return math.asinh(2 * density)


def _sinh(value: float) -> float:
    return math.sinh(value) / 2


def _median(counts: npt.NDArray[np.int64]) -> float:
    """Median of counted densities."""
    return float((np.searchsorted(np.cumsum(counts), counts.sum() / 2) + 0.5) * _BIN_OD)


def _deviation(counts: npt.NDArray[np.int64], middle: float) -> float:
    """Median absolute deviation of asinh(2 x) of counted densities from ``middle``."""
    values = np.arcsinh(2 * (np.arange(len(counts)) + 0.5) * _BIN_OD)
    order = np.argsort(np.abs(values - middle), kind="stable")
    nearest = order[np.searchsorted(np.cumsum(counts[order]), counts.sum() / 2)]
    return float(abs(values[nearest] - middle))
