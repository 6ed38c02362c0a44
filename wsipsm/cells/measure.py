"""Outlines and measurements of the cells of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.cells import outlines
from wsipsm.cells.confidence import confidences
from wsipsm.cells.measurements import measurements
from wsipsm.cells.regions import Components, largest_components, sample_deviation
from wsipsm.cells.shape import shape_columns
from wsipsm.cells.smoothing import smooth
from wsipsm.cells.surroundings import mean_around
from wsipsm.cells.table import Cells
from wsipsm.config import Config
from wsipsm.core.geometry import Box, Grid, Labels, Mask
from wsipsm.core.maps import DECISION, OD_PER_STEP
from wsipsm.stain.registry import STAINS


@dataclass(frozen=True, slots=True)
class Measured:
    """Cells, and what had to be done to get them.

    Attributes
    ----------
    cells : Cells
        In scan order of their anchors.
    ellipse_fills : (N,) float32
        Share of its moment ellipse that each fills; what neighbourhoods are judged by.
    unsimplified : int
        Outlines that smoothing would have made invalid, kept along their pixel corners.
    dropped : int
        Cells left out because no valid outline exists at 1 decimal of a level-0 pixel.
    """

    cells: Cells
    ellipse_fills: npt.NDArray[np.float32]
    unsimplified: int
    dropped: int


def measure_cells(
    labels: Labels,
    maps: Mapping[str, npt.NDArray[np.uint8]],
    *,
    window: Box,
    grid: Grid,
    keep: Mask,
    config: Config,
) -> Measured:
    """Outline and measure some of the cells of a window.

    A cell's result is the same to the bit in every window that holds the whole cell.

    Parameters
    ----------
    labels : (y, x) int
        Labels 1 to N, 0 is background.
    maps : dict of (y, x) uint8
        ``nuclear_stain`` and ``counterstain``, whose bytes are int8 steps of ``OD_PER_STEP`` optical density;
        ``activation``, 255 is 1; ``evidence``, 255 is surely nucleus.
    window : Box
        Where the arrays lie in the grid; it may reach beyond it.
    grid : Grid
        The working plane.
    keep : (N,) bool
        Which labels are wanted; ``keep[0]`` is label 1.
    config : Config
        Section ``cells``: smallest area, over the pixels, and tolerance of the outlines; where the counterstain is a
        marker, also the width of the ring in which it is measured.

    Returns
    -------
    Measured
        Shapes are those of the outline as it is written, eccentricity, means and deviations those of the pixels of the
        cell (of its largest part).
    """
    components = largest_components(labels, keep).drop_smaller(config.cells.min_area_um2 / grid.mpp**2)
    exact = outlines.trace(components.labels, components.first).shifted(window.x0, window.y0)
    slim = smooth(exact, tolerance_px=config.cells.outline_tolerance_px)
    legal, replaced, illegal = outlines.to_legal(slim, exact, downsample=grid.downsample, size_l0=grid.size_l0)
    anchor_y, anchor_x = np.divmod(components.anchor, labels.shape[1])
    anchor = (anchor_y + window.y0) * grid.width + anchor_x + window.x0
    order = np.argsort(anchor)
    order = order[~illegal[order]]
    rings = legal.take(order)
    columns = _densities(components, maps) | {"eccentricity": components.eccentricities()}
    if STAINS[config.recognizer.stain].marker:
        columns |= _marker(components, maps, radius_px=max(1, round(config.classes.ring_um / grid.mpp)))
    columns["confidence"] = confidences(components, maps["activation"], maps["evidence"], mpp=grid.mpp)
    columns = {name: values[order] for name, values in columns.items()}
    columns |= shape_columns(rings, um_per_px=grid.mpp / grid.downsample)
    cells = Cells(
        anchor=anchor[order],
        vertices_l0=rings.vertices,
        ring_offsets=rings.offsets,
        centroid_l0=grid.to_l0(components.centroids(window.x0, window.y0)[order]),
        columns={name: columns[name].astype(np.float32) for name in measurements(config.recognizer.stain)},
        class_=np.zeros(len(order), np.uint8),
    )
    fills = components.ellipse_fills()[order].astype(np.float32)
    return Measured(cells, fills, int((replaced & ~illegal).sum()), int(illegal.sum()))


def _densities(components: Components, maps: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, npt.NDArray[np.float64]]:
    found = {}
    for name, plane in (("nuclear", "nuclear_stain"), ("counterstain", "counterstain")):
        density = maps[plane].view(np.int8)
        total, squares = components.sums(density)
        found[f"{name}_od_mean"] = total / components.area * OD_PER_STEP
        found[f"{name}_od_std"] = sample_deviation(components.area, total, squares) * OD_PER_STEP
    return found


def _marker(
    components: Components, maps: Mapping[str, npt.NDArray[np.uint8]], *, radius_px: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Densities in the cores of cells, where a neighbour's stain does not reach, and around them.

    In a core the deeper a pixel lies the more it counts: by the square of its evidence.
    """
    nuclear, counter, evidence = (maps[name] for name in ("nuclear_stain", "counterstain", "evidence"))
    weight = np.maximum(evidence.astype(np.int32) - DECISION, 0) ** 2
    return {
        "nuclear_od_core": components.mean(nuclear.view(np.int8), weight) * OD_PER_STEP,
        "counterstain_od_core": components.mean(counter.view(np.int8), weight) * OD_PER_STEP,
        "counterstain_od_ring": mean_around(components, counter.view(np.int8), evidence == 0, radius_px=radius_px)
        * OD_PER_STEP,
    }
