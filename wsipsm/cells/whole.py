"""Whole cells of a window: outlines and measurements of cell and cytoplasm, added to those of the nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells import outlines
from wsipsm.cells.borders import shared_outlines
from wsipsm.cells.enclosed import enclosed_in, opened
from wsipsm.cells.expansion import grow
from wsipsm.cells.measurements import measurements
from wsipsm.cells.outlines import Rings
from wsipsm.cells.regions import Components, components_of, sample_deviation
from wsipsm.cells.shape import shape_columns
from wsipsm.cells.table import Cells
from wsipsm.config import Config
from wsipsm.core.geometry import Box, Grid, Labels, Mask
from wsipsm.core.maps import OD_PER_STEP

_STEP_L0 = 0.1
"""Coordinates of outlines are whole multiples of this, level-0 px."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grown:
    """Nuclei of a window and the cells they grew to.

    Attributes
    ----------
    nuclei, cells : (y, x) int
        Labels, the same ones; 0 is background.
    """

    nuclei: Labels
    cells: Labels

    @classmethod
    def of(cls, nuclei: Labels, *, window: Box, grid: Grid, expand_um: float) -> Grown:
        """Grow the nuclei of a window of the grid; see `grow`.

        Parameters
        ----------
        nuclei : (y, x) int
            Labels of the window, 0 is background.
        window : Box
            Where it lies in the grid.
        grid : Grid
            The working plane.
        expand_um : float
            Distance of growth, micrometres.
        """
        return cls(nuclei, grow(nuclei, radius_px=expand_um / grid.mpp, plane=grid.box.relative_to(window)))


def with_whole_cells(
    cells: Cells, grown: Grown, maps: Mapping[str, npt.NDArray[np.uint8]], *, window: Box, grid: Grid, config: Config
) -> Cells:
    """Cells with their whole outlines and the measurements of these.

    A cell's result is the same to the bit in every window that holds the whole cell and a pixel around it.

    Parameters
    ----------
    cells : Cells
        Measured nuclei of the window.
    grown : Grown
        Labels of the window.
    maps : dict of (y, x) uint8
        ``nuclear_stain`` and ``counterstain``, see `measure_cells`.
    window : Box
        Where the arrays lie in the grid.
    grid : Grid
        The working plane.
    config : Config
        Tolerance of the outlines, and stain.
    """
    labels = _labels_of(cells, grown.nuclei, window, grid)
    components = components_of(grown.cells, labels)
    nuclei = Rings(cells.vertices_l0, cells.ring_offsets)
    rings = _Outliner(grown.cells, window, grid, config.cells.outline_tolerance_px).of(components, nuclei)
    nuclei, um_per_px = _inside(nuclei, rings), grid.mpp / grid.downsample
    columns = shape_columns(nuclei, um_per_px=um_per_px)
    shapes = shape_columns(rings, um_per_px=um_per_px) | {"eccentricity": components.eccentricities()}
    columns |= {f"cell_{name}": values for name, values in shapes.items()}
    columns |= _densities(components, grown.nuclei > 0, maps)
    columns["nucleus_cell_ratio"] = columns["area_um2"] / columns["cell_area_um2"]
    found = cells.columns | {name: values.astype(np.float32) for name, values in columns.items()}
    return replace(
        cells,
        vertices_l0=nuclei.vertices,
        ring_offsets=nuclei.offsets,
        columns={name: found[name] for name in measurements(config.recognizer.stain, whole=True)},
        whole_l0=rings,
    )


@dataclass(frozen=True, slots=True)
class _Outliner:
    """Outlines of whole cells of a window, level-0 px."""

    cells: Labels
    window: Box
    grid: Grid
    tolerance_px: float

    def of(self, components: Components, nuclei: Rings) -> Rings:
        """Legal outlines of cells; that of the nucleus where there is none, which is hardly ever."""
        rings, exact, illegal = self._legal(components.first)
        rings = outlines.replace(rings, nuclei.take(illegal), illegal)
        found: dict[int, Rings] = {}
        for number in np.flatnonzero(shapely.area(exact.polygons()) > components.area):  # those with holes
            one = np.array([number])
            within = self._enclosed(int(components.first[number]), exact.take(one).vertices)
            if len(within):
                found[int(number)] = opened(rings.take(one), self._legal(within)[0])
        where = np.isin(np.arange(len(rings)), list(found))
        return outlines.replace(rings, outlines.concatenate(list(found.values())), where)

    def _legal(self, first: _Ints) -> tuple[Rings, Rings, Mask]:
        """Outlines of the cells with these first pixels, those along pixel corners, and which are not legal."""
        smooth, exact = shared_outlines(self.cells, first, tolerance_px=self.tolerance_px)
        placed = (rings.shifted(self.window.x0, self.window.y0) for rings in (smooth, exact))
        legal, _, illegal = outlines.to_legal(*placed, downsample=self.grid.downsample, size_l0=self.grid.size_l0)
        return legal, exact, illegal

    def _enclosed(self, first: int, corners: _Ints) -> _Ints:
        """First pixels of the cells within the outline of one, which is given by its first pixel and its corners."""
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        labels = enclosed_in(self.cells, int(self.cells.ravel()[first]), (slice(y0, y1), slice(x0, x1)))
        return np.array([np.argmax(self.cells.ravel() == label) for label in labels], np.int64)


def _inside(nuclei: Rings, cells: Rings) -> Rings:
    """Outlines of nuclei, those that reach over the border of their cell by less than a pixel cut at it.

    A cell that touches others shares its border with them, and smooth outlines of touching nuclei overlap a little.
    """
    out = ~shapely.covers(cells.polygons(), nuclei.polygons())
    within = shapely.buffer(cells.take(out).polygons(), -_STEP_L0, join_style="mitre")  # rounding moves it by less
    parts = shapely.intersection(nuclei.take(out).polygons(), within)
    cut = [max(shapely.get_parts(part), key=shapely.area, default=part) for part in parts]
    lines = shapely.get_coordinates([shapely.get_exterior_ring(part) for part in cut], return_index=True)
    counts = np.bincount(lines[1], minlength=len(cut))
    rounded = Rings(np.round(lines[0], 1) + 0.0, np.concatenate([[0], np.cumsum(counts)]))
    legal = outlines.are_legal(rounded)
    out[out] = legal
    return outlines.replace(nuclei, rounded.take(legal), out)


def _labels_of(cells: Cells, nuclei: Labels, window: Box, grid: Grid) -> npt.NDArray[Any]:
    """Label of each cell in its window, by its anchor."""
    y, x = np.divmod(cells.anchor, grid.width)
    labels: npt.NDArray[Any] = nuclei[y - window.y0, x - window.x0]
    return labels


def _densities(components: Components, nuclear: Mask, maps: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, _Floats]:
    """Mean and deviation of both stains over cells and over their cytoplasm; ``nuclear``: which pixels are none of it.

    A cell that is all nucleus has no cytoplasm: that of the cell stands for it.
    """
    found: dict[str, _Floats] = {}
    free = components.sums((~nuclear).view(np.uint8))[0].astype(np.int64)
    counted = np.where(free > 0, free, components.area)
    for name, plane in (("nuclear", "nuclear_stain"), ("counterstain", "counterstain")):
        density = maps[plane].view(np.int8)
        sums = components.sums(density)
        found[f"cell_{name}_od_mean"] = sums[0] / components.area * OD_PER_STEP
        found[f"cell_{name}_od_std"] = sample_deviation(components.area, *sums) * OD_PER_STEP
        total, squares = np.where(free > 0, components.sums(np.where(nuclear, np.int8(0), density)), sums)
        found[f"cytoplasm_{name}_od_mean"] = total / counted * OD_PER_STEP
        found[f"cytoplasm_{name}_od_std"] = sample_deviation(counted, total, squares) * OD_PER_STEP
    return found
