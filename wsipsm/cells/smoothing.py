"""Smoothing of traced outlines, so that they look drawn and enclose the area of their pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.cells.outlines import Rings, replace

_SIGMA_PX, _REACH_PX = 1.8, 5
"""Width of the Gaussian that outlines are smoothed by, and its reach to both sides, pixels along the ring."""


def _weights() -> npt.NDArray[np.int32]:
    """Symmetric weights of the average along a ring, 1024ths.

    A Gaussian times a parabola whose second moment is zero: unlike a plain Gaussian it leaves arcs where they are.
    """
    at = np.arange(-_REACH_PX, _REACH_PX + 1)
    gauss = np.exp(-0.5 * (at / _SIGMA_PX) ** 2)
    second, fourth = (gauss * at**2).sum(), (gauss * at**4).sum()
    weights = gauss * (fourth - second * at**2)
    weights = np.rint(weights / weights.sum() * 1024)
    weights[_REACH_PX] += 1024 - weights.sum()
    whole: npt.NDArray[np.int32] = weights.astype(np.int32)
    return whole


_WEIGHTS = _weights()


def smooth(rings: Rings, *, tolerance_px: float) -> Rings:
    """Smooth rings with few vertices around the same areas.

    The midpoints of a ring's pixel edges are averaged along the ring, Douglas-Peucker drops what is nearer to the
    outline than the tolerance, and the ring is scaled about its centre of gravity until it encloses its area again.
    Each ring is treated in its own frame from its first vertex on, so the result does not depend on where in a window
    it lies. A ring may cross itself afterwards. One that is shorter than the average's reach, or that lost half of its
    area, keeps its pixel corners.

    Parameters
    ----------
    rings : Rings
        Traced rings.
    tolerance_px : float
        Pixels of the rings' frame; 0 keeps the rings as they are.
    """
    from wsipsm.cells.compiled.outlines import averaged, thinned
    from wsipsm.cells.compiled.rings import moments

    if tolerance_px == 0 or len(rings) == 0:
        return rings
    origin = rings.vertices[rings.offsets[:-1]]
    corners = Rings(rings.vertices - np.repeat(origin, rings.lengths, axis=0), rings.offsets)
    soft = Rings(*averaged(rings.vertices, rings.offsets, _WEIGHTS))
    slim = Rings(*thinned(soft.vertices, soft.offsets, tolerance_px))
    about = moments(slim.vertices, slim.offsets)
    area, centre = about[:, 0], about[:, 1:]
    wanted = moments(corners.vertices.astype(np.float64), corners.offsets)[:, 0]
    lost = (2 * area <= wanted) | (soft.lengths <= len(_WEIGHTS))
    factor = np.sqrt(np.divide(wanted, area, out=np.ones_like(area), where=~lost))
    centre, factor = np.repeat(centre, slim.lengths, axis=0), np.repeat(factor, slim.lengths)[:, None]
    whole = replace(Rings((slim.vertices - centre) * factor + centre, slim.offsets), corners.take(lost), lost)
    return Rings(whole.vertices + np.repeat(origin, whole.lengths, axis=0), whole.offsets)
