"""Refusal of what is no nucleus, by the cell itself and by the cells around it.

A single keratin flake or a crumb of dye can look like a nucleus; a place full of them does not: there, hardly anything
fills an ellipse. So the mean of `ellipse fill` over all cells of a neighbourhood, bins of a fixed lattice over the
slide, tells places without nuclei. Sums are whole numbers: they do not depend on tiles or their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.cells.table import Cells
from wsipsm.config import Config
from wsipsm.core.geometry import Grid, Mask

BIN_UM = 32.0
"""Side of a bin, micrometres; a cell's neighbourhood is its bin and the 24 around it, the nearer the heavier."""
LEAST_CELLS = 12
"""A neighbourhood with fewer cells, as many as would lie in its nine innermost bins, refuses none."""
MIN_CONFIDENCE, MIN_NEIGHBOURHOOD_FILL = 0.1, 0.912
"""Usual limits on cells of the segmenter."""
DYE_RATIO = -0.35
"""Counterstain over nuclear stain below which a colour is none of haematoxylin and eosin: marking dye absorbs red more
than green. The bluest cell of five TNBC fields has -0.16."""
REASONS = ("low_confidence", "dye", "unlike_nuclei")
"""Why a cell is refused: its own confidence, its own colour (H&E only), or its neighbourhood."""

_WEIGHTS = (1, 2, 3, 2, 1)
_LEAST_WEIGHT = LEAST_CELLS * sum(_WEIGHTS[1:4]) ** 2 // 9
_LOWEST, _HIGHEST = 0.8, 0.96
"""Between these, how well a cell fills an ellipse counts; one odd shape must not speak for a place."""
_STEPS = 10_000

Verdict = npt.NDArray[np.uint8]
"""(N,) uint8: 0 accepted, else 1 + index into `REASONS`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused.

    Attributes
    ----------
    confidence : float
        Cells below it.
    neighbourhood_fill : float
        Cells of neighbourhoods below it.
    dye : bool
        Whether cells of the colour of dye are.
    """

    confidence: float = MIN_CONFIDENCE
    neighbourhood_fill: float = MIN_NEIGHBOURHOOD_FILL
    dye: bool = True

    @classmethod
    def of(cls, config: Config) -> Limits:
        """Limits of a run: those that are set, else those of its method."""
        own, segmenter = config.cells, config.recognizer.method == "segmenter"
        usual = cls() if segmenter else cls(0.0, 0.0)
        return cls(
            usual.confidence if own.min_confidence is None else own.min_confidence,
            usual.neighbourhood_fill if own.min_neighbourhood_fill is None else own.min_neighbourhood_fill,
            config.recognizer.stain == "he",
        )


class Refusals:
    """Verdicts on all cells of a slide; every cell is added first.

    Parameters
    ----------
    grid : Grid
        The working plane.
    limits : Limits
        What is refused.
    """

    def __init__(self, grid: Grid, limits: Limits) -> None:
        self._limits = limits
        self._bin_l0 = BIN_UM / grid.mpp * grid.downsample
        bin_px = BIN_UM / grid.mpp
        self._shape = int(-(-grid.height // bin_px)), int(-(-grid.width // bin_px))
        self._counts = np.zeros(self._shape[0] * self._shape[1], np.int64)
        self._fills = np.zeros_like(self._counts)
        self._bins: dict[Hashable, npt.NDArray[np.int32]] = {}
        self._own: dict[Hashable, Verdict] = {}
        self._bad: Mask | None = None

    def add(self, key: Hashable, cells: Cells, ellipse_fills: npt.NDArray[np.float32]) -> None:
        """Add the N cells of a tile; 5 bytes a cell are kept.

        Parameters
        ----------
        key : hashable
            By which the cells of this tile are asked for later.
        cells : Cells
            N cells with their confidence.
        ellipse_fills : (N,) float32
            Share of each cell's moment ellipse that it fills.
        """
        column, row = (cells.centroid_l0 // self._bin_l0).astype(np.int64).T
        bins = np.clip(row, 0, self._shape[0] - 1) * self._shape[1] + np.clip(column, 0, self._shape[1] - 1)
        np.add.at(self._counts, bins, 1)
        fills = np.rint(np.clip(ellipse_fills, _LOWEST, _HIGHEST) * _STEPS).astype(np.int64)
        np.add.at(self._fills, bins, fills)
        self._bins[key] = bins.astype(np.int32)
        self._own[key] = self._of_itself(cells)

    def of(self, key: Hashable) -> Verdict:
        """Verdict on the cells of a tile."""
        if self._bad is None:
            self._bad = self._bad_bins()
        verdict = self._own[key].copy()
        verdict[self._bad[self._bins[key]]] = 1 + REASONS.index("unlike_nuclei")
        return verdict

    def counts(self) -> dict[str, int]:
        """Refused cells by reason, 0 included."""
        total = Counter[int]()
        for key in self._bins:
            total.update(self.of(key).tolist())
        return {reason: total[number] for number, reason in enumerate(REASONS, start=1)}

    def _of_itself(self, cells: Cells) -> Verdict:
        """Verdict on cells by their own confidence and colour."""
        verdict = np.zeros(len(cells), np.uint8)
        verdict[cells.columns["confidence"] < self._limits.confidence] = 1 + REASONS.index("low_confidence")
        if self._limits.dye:
            nuclear, counter = cells.columns["nuclear_od_mean"], cells.columns["counterstain_od_mean"]
            verdict[counter < np.float32(DYE_RATIO) * nuclear] = 1 + REASONS.index("dye")
        return verdict

    def _bad_bins(self) -> Mask:
        """Bins whose neighbourhoods look unlike nuclei, flat."""
        counts, fills = (_over_neighbourhood(plane.reshape(self._shape)) for plane in (self._counts, self._fills))
        limit = round(self._limits.neighbourhood_fill * _STEPS)
        bad: Mask = (counts >= _LEAST_WEIGHT) & (fills < limit * counts)
        return bad.ravel()


def _over_neighbourhood(plane: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sums over 5 x 5 bins, the nearer the heavier."""
    rows, columns = plane.shape
    padded = np.pad(plane, len(_WEIGHTS) // 2)
    down = np.zeros((rows, padded.shape[1]), np.int64)
    across = np.zeros_like(plane)
    for i, weight in enumerate(_WEIGHTS):
        down += weight * padded[i : i + rows]
    for i, weight in enumerate(_WEIGHTS):
        across += weight * down[:, i : i + columns]
    return across
