"""The index of a slide that is being assembled."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.cells.classes import DOUBTFUL
from wsipsm.cells.marker import MARKER_COLUMNS, MarkerRule
from wsipsm.cells.table import Cells
from wsipsm.core.geometry import Grid
from wsipsm.results.index.fields import Field, hot_spot_fields
from wsipsm.results.index.hot_spots import FieldRule
from wsipsm.results.index.lattice import GradeLattice
from wsipsm.results.index.scores import Scores, scores
from wsipsm.slide.annotations import write_annotations
from wsipsm.tissue.region import Region

HOT_SPOTS_FILE = "hotspots.geojson"


class SlideIndex:
    """Counts the cells of a slide, tile by tile in any order, and gives its figures; none where cells have no classes.

    Parameters
    ----------
    grid : Grid
        The plane that its cells were found on.
    region : Region
        Where cells were searched; densities are over it.
    rule : MarkerRule or None
        By which its cells are positive; None where they have no classes.
    """

    def __init__(self, grid: Grid, region: Region, rule: MarkerRule | None) -> None:
        self._region, self._rule = region, rule
        self._lattice = GradeLattice.over(grid) if rule else None

    def add(self, cells: Cells) -> None:
        """Count cells; doubtful ones do not count."""
        if self._lattice is None or self._rule is None:
            return
        known = np.flatnonzero(cells.class_ != DOUBTFUL)
        measured = cells.columns[MARKER_COLUMNS[self._rule.compartment]][known]
        self._lattice.add(cells.anchor[known], self._rule.grades(measured))

    def scores(self) -> Scores | None:
        """Figures of the whole slide."""
        if self._lattice is None:
            return None
        return scores(self._lattice.total(), self._lattice.grid.area_mm2(self._region.area_l0))

    @cached_property
    def hot_spots(self) -> list[Field]:
        """Hot spots of the usual size, the highest first, once all cells were added."""
        return [] if self._lattice is None else hot_spot_fields(self._lattice, FieldRule(), self._region)

    def write_hot_spots(self, path: Path, *, offset_l0: tuple[int, int]) -> None:
        """Write hot spots as annotations for QuPath; no file where there is none."""
        if self.hot_spots:
            write_annotations([spot.annotation() for spot in self.hot_spots], path, offset_l0=offset_l0)

    def record(self, *, map_um: float) -> dict[str, Any] | None:
        """Entry ``index`` of ``run.json``; ``map_um`` is the side of a bin of the map in the overview, micrometres."""
        found = self.scores()
        if found is None:
            return None
        return {
            "slide": found.to_dict(),
            "hot_spots": [spot.to_dict() for spot in self.hot_spots],
            "hot_spot_rule": asdict(FieldRule()),
            "map_um": round(map_um, 3),
        }
