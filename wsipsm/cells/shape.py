"""Shape of outlines: what QuPath and every other reader of an outline finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.cells.outlines import Rings

_Floats = npt.NDArray[np.float64]


def shape_columns(rings: Rings, *, um_per_px: float) -> dict[str, _Floats]:
    """Measures of N outlines by column, (N,) each.

    Parameters
    ----------
    rings : Rings
        Valid exterior rings.
    um_per_px : float
        Micrometres per pixel of the rings.

    Returns
    -------
    dict of (N,) float64
        As QuPath defines them: the largest diameter is that of the smallest circle around an outline, the smallest one
        its least width.
    """
    from wsipsm.cells.compiled.hulls import circles_around, least_widths

    polygons = rings.polygons()
    area, perimeter = shapely.area(polygons), shapely.length(polygons)
    hulls = shapely.convex_hull(polygons)
    corners = shapely.get_coordinates(hulls)
    offsets = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(hulls))]).astype(np.int64)
    return {
        "area_um2": area * um_per_px**2,
        "perimeter_um": perimeter * um_per_px,
        "circularity": 4 * np.pi * area / perimeter**2,
        "max_diameter_um": 2 * circles_around(corners, offsets) * um_per_px,
        "min_diameter_um": least_widths(corners, offsets) * um_per_px,
        "solidity": area / shapely.area(hulls),
    }
