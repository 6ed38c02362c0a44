"""Shape of outlines: what QuPath and every other reader of an outline finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
    from wsipsm.cells.compiled.hulls import circles_around, convex_hulls, least_widths
    from wsipsm.cells.compiled.rings import areas_and_lengths

    area, perimeter = areas_and_lengths(rings.vertices, rings.offsets)
    corners, offsets = convex_hulls(rings.vertices, rings.offsets)
    return {
        "area_um2": area * um_per_px**2,
        "perimeter_um": perimeter * um_per_px,
        "circularity": 4 * np.pi * area / perimeter**2,
        "max_diameter_um": 2 * circles_around(corners, offsets) * um_per_px,
        "min_diameter_um": least_widths(corners, offsets) * um_per_px,
        "solidity": area / areas_and_lengths(corners, offsets)[0],
    }
