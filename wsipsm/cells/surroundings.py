"""The background around cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.regions import Components, unsigned
from wsipsm.core.geometry import Mask

_Floats = npt.NDArray[np.float64]


def mean_around(components: Components, plane: npt.NDArray[Any], background: Mask, *, radius_px: int) -> _Floats:
    """Mean of a plane over the background near each cell; a pixel counts once for each pixel of the cell it is near.

    Parameters
    ----------
    components : Components
        N cells.
    plane : (y, x) uint8 or int8
        Reaches ``radius_px`` beyond every cell.
    background : (y, x) bool
        Which pixels count.
    radius_px : int
        What is near.

    Returns
    -------
    (N,) float64
        Of whole numbers and their ratios, so the same to the bit in every window; 0 where no background is near.
    """
    from wsipsm.cells.compiled.surroundings import disk_sums

    y = np.arange(-radius_px, radius_px + 1)
    half = np.sqrt(radius_px * radius_px - y * y).astype(np.int64)
    rows = np.zeros((len(half), plane.shape[1] + len(half) + 1, 2), np.int64)
    near, total = disk_sums(unsigned(plane), background, components.runs, len(components.area), half, rows)
    means: _Floats = np.divide(total, near, out=np.zeros(len(near)), where=near > 0)
    return means
