"""Confidence of a cell: how much it looks like one nucleus, from the maps and its shape alone.

::

    confidence = peak x drop x fill ** 4

*peak* is the largest distance inside the cell (1: as deep as a whole nucleus), *drop* the mean of the network's map
inside minus its mean over the background within 1.5 um around, *fill* the share of its moment ellipse that it fills.
Nothing is fitted: each factor is 1 for a perfect nucleus. Fill tells merged nuclei, debris and keratin.
docs/accuracy.md has the share of right cells by confidence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.cells.regions import Components
from wsipsm.cells.surroundings import mean_around
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
    radius_px = max(1, round(RING_UM / mpp))
    outside = mean_around(components, activation, evidence == 0, radius_px=radius_px) / 255
    fill = components.ellipse_fills()
    square = fill * fill
    return peak * np.maximum(inside - outside, 0) * square * square
