"""Confidence of a cell: how much it looks like one nucleus, from the maps and its shape alone.

::

    confidence = peak x drop x fill ** 4

*peak* is the largest distance inside the cell (1: as deep as a whole nucleus), *drop* the mean of the network's map
inside minus its mean over the background within 1.5 um around, *fill* the share of its moment ellipse that it fills.
Nothing is fitted: each factor is 1 for a perfect nucleus. Fill tells merged nuclei, debris and keratin.
docs/accuracy.md has the share of right cells by confidence.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.cells.regions import Components
from wsipsm.core.maps import DECISION

RING_UM = 1.5
"""How far around a cell the background is looked at, micrometres."""

_U8 = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float64]


def confidences(components: Components, activation: _U8, evidence: _U8, *, mpp: float) -> _Floats:
    """Confidence of N cells.

    Parameters
    ----------
    components : Components
        The cells.
    activation, evidence : (y, x) uint8
        The network's map, 255 is 1, and the evidence, 0 in the background; both reach `RING_UM` beyond every cell.
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    (N,) float64
        0 to 1; of whole numbers and their ratios, so the same to the bit in every window.
    """
    peak = np.maximum(components.maximum(evidence).astype(np.float64) - DECISION, 0) / (255 - DECISION)
    inside = components.mean(activation) / 255
    outside = _around(components, activation, evidence, radius_px=max(1, round(RING_UM / mpp))) / 255
    fill = components.ellipse_fills()
    square = fill * fill
    return peak * np.maximum(inside - outside, 0) * square * square


def _around(components: Components, activation: _U8, evidence: _U8, *, radius_px: int) -> _Floats:
    """Mean of the network's map over the background near each cell; a pixel counts once for each pixel it is near."""
    y, x = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    disk = (x * x + y * y <= radius_px * radius_px).astype(np.uint8)
    background = (evidence == 0).astype(np.uint8)
    sums, counts = (_disk_sums(plane, disk) for plane in (activation * background, background))
    near = components.total(counts.ravel()[components.pixels])
    total = components.total(sums.ravel()[components.pixels])
    return np.divide(total, near, out=np.zeros(len(near)), where=near > 0)


def _disk_sums(plane: _U8, disk: _U8) -> npt.NDArray[np.float32]:
    """Sums over the disk around each pixel, without what lies beyond the border; whole numbers, exact in float32."""
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, disk, borderType=cv2.BORDER_CONSTANT), np.float32)
