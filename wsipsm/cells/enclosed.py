"""Cells that lie wholly within the outline of another one, which is cut open so that the two do not overlap.

An outline is one ring without holes. Where a cell surrounds another one, its ring gets a slit to where that lies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells import outlines
from wsipsm.cells.outlines import Rings
from wsipsm.core.geometry import Labels

_STEP_L0 = 0.1
"""Coordinates of outlines are whole multiples of this; rounding moves them by less. Level-0 px."""


def enclosed_in(cells: Labels, label: int, around: tuple[slice, slice]) -> npt.NDArray[np.int64]:
    """Labels of the cells that one cell surrounds.

    Parameters
    ----------
    cells : (y, x) int
        Label image.
    label : int
        The cell.
    around : (slice, slice)
        Rows and columns that hold it.
    """
    from scipy import ndimage  # here, for its import takes long, and few cells surround another

    window = cells[around]
    own = window == label
    within = ndimage.binary_fill_holes(own) & ~own
    found: npt.NDArray[np.int64] = np.unique(window[within]).astype(np.int64)
    return found[found > 0]


def opened(ring: Rings, enclosed: Rings) -> Rings:
    """Outline of a cell, level-0 px, with what it encloses cut out of it, open to the outside by a slit.

    As it is where no legal outline comes of that.
    """
    (polygon,) = ring.polygons()
    for other in enclosed.polygons():
        hole = shapely.buffer(other, _STEP_L0, join_style="mitre")
        way = shapely.shortest_line(other, polygon.exterior)
        slit = shapely.buffer(way, _STEP_L0, cap_style="square")
        parts = shapely.get_parts(shapely.difference(polygon, shapely.union(hole, slit)))
        polygon = max(parts, key=shapely.area, default=polygon)
    vertices = np.round(shapely.get_coordinates(polygon.exterior), 1) + 0.0
    found = Rings(vertices, np.array([0, len(vertices)]))
    whole = len(polygon.interiors) == 0 and outlines.are_legal(found).all()
    return found if whole else ring
