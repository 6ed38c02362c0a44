"""Fields, drawn regions and tiles with their figures: one row each, in tables and as annotations for QuPath."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from wsipsm.core.geometry import Box, Grid
from wsipsm.results.index.hot_spots import FieldRule, find_hot_spots
from wsipsm.results.index.lattice import Counts, GradeLattice
from wsipsm.results.index.scores import Scores, scores
from wsipsm.slide.annotations import Annotation
from wsipsm.tissue.region import Region, polygon_parts

HOT_SPOT_COLOR, REGION_COLOR = (255, 140, 0), (60, 180, 75)

_TITLES = {
    "counted": "Num cells",
    "positive": "Num Positive",
    "positive_percent": "Positive %",
    "positive_percent_low": "Positive % 95 % low",
    "positive_percent_high": "Positive % 95 % high",
    "h_score": "H-score",
    "allred": "Allred score",
    "mm2": "Area mm^2",
    "positive_per_mm2": "Num Positive per mm^2",
    "negative_per_mm2": "Num Negative per mm^2",
}
"""Figures in QuPath; a prefix tells them from those that QuPath computes live under these very names."""


@dataclass(frozen=True, eq=False)
class Field:
    """A part of a slide and its figures.

    Attributes
    ----------
    name : str
        For people.
    kind : str
        ``slide``, ``region``, ``total`` (of all regions), ``hot spot`` or ``tile``.
    polygons : shapely.MultiPolygon
        Level-0 px.
    scores : Scores
        Its figures.
    """

    name: str
    kind: str
    polygons: shapely.MultiPolygon
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; bounds instead of the outline."""
        bounds = [] if self.polygons.is_empty else np.round(self.polygons.bounds, 1).tolist()
        return {"region": self.name, "kind": self.kind, "bounds_l0": bounds, **self.scores.to_dict()}

    def annotation(self) -> Annotation:
        """Annotation for QuPath; a figure that is not defined is left out, as a null would spoil the file."""
        figures = self.scores.to_dict()
        known = {f"Index: {title}": figures[name] for name, title in _TITLES.items() if figures[name] is not None}
        hot = self.kind == "hot spot"
        class_name, color = ("Hot spot", HOT_SPOT_COLOR) if hot else ("Region", REGION_COLOR)
        return Annotation(self.polygons, class_name, color, name=self.name, measurements=known)


def hot_spot_fields(lattice: GradeLattice, rule: FieldRule, region: Region) -> list[Field]:
    """Hot spots, the highest first; see `find_hot_spots`.

    Parameters
    ----------
    lattice : GradeLattice
        Counts of cells by grade in bins.
    rule : FieldRule
        Size of a hot spot.
    region : Region
        Of the slide, for the areas of the fields; level-0 px.
    """
    found = [(spot.box, spot.counts) for spot in find_hot_spots(lattice, rule)]
    names = [f"Hot spot {number}" for number in range(1, len(found) + 1)]
    return _fields(names, "hot spot", found, region, lattice.grid)


def tile_fields(lattice: GradeLattice, region: Region) -> list[Field]:
    """Every bin with a cell as a field."""
    found = list(lattice.tiles())
    names = [f"Tile {box.x0 // lattice.bin_px}, {box.y0 // lattice.bin_px}" for box, _ in found]
    return _fields(names, "tile", found, region, lattice.grid)


def _fields(
    names: Iterable[str], kind: str, found: list[tuple[Box, Counts]], region: Region, grid: Grid
) -> list[Field]:
    """Fields of boxes, grid px: the part of each inside the region, and its area."""
    corners = np.array([(box.x0, box.y0, box.x1, box.y1) for box, _ in found], np.float64).reshape(-1, 4)
    squares = shapely.box(*(corners * grid.downsample).T)
    parts: Any = shapely.intersection(squares, region.polygons)
    return [
        Field(name, kind, (polygons := multi_polygon(part)), scores(counts, grid.area_mm2(polygons.area)))
        for name, part, (_, counts) in zip(names, parts, found, strict=True)
    ]


def multi_polygon(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """Parts of a geometry that have an area."""
    return shapely.MultiPolygon(polygon_parts([shape]))
