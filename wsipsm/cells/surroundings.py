"""The background around cells."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.cells.regions import Components
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
    y, x = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    disk = (x * x + y * y <= radius_px * radius_px).astype(np.uint8)
    counts = _disk_sums(background.astype(np.float32), disk)
    sums = _disk_sums(plane.astype(np.float32) * background, disk)
    near = components.total(counts.ravel()[components.pixels])
    total = components.total(sums.ravel()[components.pixels])
    return np.divide(total, near, out=np.zeros(len(near)), where=near > 0)


def _disk_sums(plane: npt.NDArray[np.float32], disk: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Sums over the disk around each pixel, without what lies beyond the border: whole numbers below 2**24.

    OpenCV goes by way of a Fourier transform for large disks, after which they are whole no more.
    """
    return np.rint(cv2.filter2D(plane, cv2.CV_32F, disk, borderType=cv2.BORDER_CONSTANT)).astype(np.float32)
