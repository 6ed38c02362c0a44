"""Cells: outlines and measurements of what the labels hold; the currency of all exports."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells import outlines
from wsipsm.cells.outlines import Rings
from wsipsm.cells.regions import Components, largest_components
from wsipsm.config import CellsConfig
from wsipsm.core.geometry import Box, Grid, Labels, Mask
from wsipsm.core.maps import OD_PER_STEP

CLASS_NAMES = ("Nucleus", "Positive", "Negative")
"""What ``Cells.class_`` counts into."""
CLASS_COLORS = ((60, 140, 255), (200, 60, 50), (60, 90, 200))
"""One RGB colour a class."""


COLUMNS = (
    "area_um2",
    "perimeter_um",
    "eccentricity",
    "solidity",
    "nuclear_od_mean",
    "counterstain_od_mean",
    "confidence",
)
"""All measurements, in the order of the exports; :mod:`wsipsm.cells.measurements` has the names they leave under."""

_UUID_ROOT = uuid.uuid5(uuid.NAMESPACE_DNS, "wsipsm")


@dataclass(frozen=True, slots=True)
class Cells:
    """N cells.

    Attributes
    ----------
    anchor : (N,) int64
        Linear grid index ``y * grid.width + x`` of the cell's first pixel in scan order: its identity on the slide,
        from which its UUID is made.
    vertices_l0 : (V, 2) float64
        Closed exterior rings, one a cell, (x, y) in level-0 px.
    ring_offsets : (N + 1,) int64
        Ring ``i`` is ``vertices_l0[ring_offsets[i]:ring_offsets[i + 1]]``.
    centroid_l0 : (N, 2) float64
        Centre of gravity of the pixels, (x, y) in level-0 px.
    columns : dict of (N,) float32
        Measurements by name, see ``COLUMNS``; all finite.
    class_ : (N,) uint8
        Index into ``CLASS_NAMES``.
    """

    anchor: npt.NDArray[np.int64]
    vertices_l0: npt.NDArray[np.float64]
    ring_offsets: npt.NDArray[np.int64]
    centroid_l0: npt.NDArray[np.float64]
    columns: dict[str, npt.NDArray[np.float32]]
    class_: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.anchor)

    def take(self, index: npt.NDArray[Any]) -> Cells:
        """Cells of an integer or boolean index, in its order."""
        rings = Rings(self.vertices_l0, self.ring_offsets).take(index)
        return Cells(
            anchor=self.anchor[index],
            vertices_l0=rings.vertices,
            ring_offsets=rings.offsets,
            centroid_l0=self.centroid_l0[index],
            columns={name: values[index] for name, values in self.columns.items()},
            class_=self.class_[index],
        )

    def polygons(self) -> npt.NDArray[np.object_]:
        """Shapely polygons in level-0 px; (N,)."""
        return Rings(self.vertices_l0, self.ring_offsets).polygons()


@dataclass(frozen=True, slots=True)
class Measured:
    """Cells, and what had to be done to get them.

    Attributes
    ----------
    cells : Cells
        In scan order of their anchors.
    unsimplified : int
        Outlines that simplification would have made invalid, kept with all their vertices.
    dropped : int
        Cells left out because no valid outline exists at 1 decimal of a level-0 pixel.
    """

    cells: Cells
    unsimplified: int
    dropped: int


def cell_uuids(fingerprint: str, grid: Grid, anchors: npt.NDArray[np.int64]) -> list[str]:
    """UUIDs of cells (version 5, RFC 9562 section 5.5), from the slide's content and the place of each cell alone.

    A cell that begins at the same grid pixel has the same UUID in every export and in every run, whatever region,
    folder, size of tiles or smallest area that run had; no two cells of one run share one.

    Parameters
    ----------
    fingerprint : str
        Of the slide, see `Slide.fingerprint`; the name and the folder of its file do not enter.
    grid : Grid
        The working plane; its ``downsample`` enters, as what lies where on level 0 follows from it.
    anchors : (N,) int64
        Linear grid indices as in `Cells.anchor`.

    Examples
    --------
    >>> grid = Grid(100, 50, 2.0, 0.5)
    >>> cell_uuids("a", grid, np.array([203]))
    ['a1c23ab4-b51f-5f33-a9c2-0edfc9ac862c']
    >>> cell_uuids("a", grid, np.array([203])) == cell_uuids("b", grid, np.array([203]))
    False
    """
    plane = uuid.uuid5(_UUID_ROOT, f"{fingerprint}/{grid.downsample}")
    rows, columns = np.divmod(anchors, grid.width)
    return [
        str(uuid.uuid5(plane, f"{column}/{row}")) for column, row in zip(columns.tolist(), rows.tolist(), strict=True)
    ]


def measure_cells(
    labels: Labels,
    maps: Mapping[str, npt.NDArray[np.uint8]],
    *,
    window: Box,
    grid: Grid,
    keep: Mask,
    config: CellsConfig,
) -> Measured:
    """Outline and measure some of the cells of a window.

    A cell's result is the same to the bit in every window that holds the whole cell.

    Parameters
    ----------
    labels : (y, x) int
        Labels 1 to N, 0 is background.
    maps : dict of (y, x) uint8
        ``nuclear_stain`` and ``counterstain``, whose bytes are int8 steps of ``OD_PER_STEP`` optical density;
        ``evidence``, 255 is surely nucleus.
    window : Box
        Where the arrays lie in the grid; it may reach beyond it.
    grid : Grid
        The working plane.
    keep : (N,) bool
        Which labels are wanted; ``keep[0]`` is label 1.
    config : CellsConfig
        Smallest area and tolerance of the outlines.

    Returns
    -------
    Measured
        Areas, shapes and means are over the pixels of the cell (of its largest part), the perimeter is the outline's.
    """
    components = largest_components(labels, keep).drop_smaller(config.min_area_um2 / grid.mpp**2)
    exact = outlines.trace(components.labels, components.first).shifted(window.x0, window.y0)
    slim = outlines.simplify(exact, tolerance_px=config.outline_tolerance_px)
    legal, replaced, illegal = outlines.to_legal(slim, exact, downsample=grid.downsample)
    anchor_y, anchor_x = np.divmod(components.anchor, labels.shape[1])
    anchor = (anchor_y + window.y0) * grid.width + anchor_x + window.x0
    order = np.argsort(anchor)
    order = order[~illegal[order]]
    rings = legal.take(order)
    columns = _shapes(components, exact, grid) | _means(components, maps)
    columns = {name: values[order] for name, values in columns.items()}
    columns["perimeter_um"] = shapely.length(rings.polygons()) * (grid.mpp / grid.downsample)
    cells = Cells(
        anchor=anchor[order],
        vertices_l0=rings.vertices,
        ring_offsets=rings.offsets,
        centroid_l0=grid.to_l0(components.centroids(window.x0, window.y0)[order]),
        columns={name: columns[name].astype(np.float32) for name in COLUMNS},
        class_=np.zeros(len(order), np.uint8),
    )
    return Measured(cells, int((replaced & ~illegal).sum()), int(illegal.sum()))


def _shapes(components: Components, exact: Rings, grid: Grid) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "area_um2": np.multiply(components.area, grid.mpp**2, dtype=np.float64),
        "eccentricity": components.eccentricities(),
        "solidity": components.area / outlines.hull_areas(exact),
    }


def _means(components: Components, maps: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "nuclear_od_mean": components.mean(maps["nuclear_stain"].view(np.int8)) * OD_PER_STEP,
        "counterstain_od_mean": components.mean(maps["counterstain"].view(np.int8)) * OD_PER_STEP,
        "confidence": components.mean(maps["evidence"]) / 255,
    }
