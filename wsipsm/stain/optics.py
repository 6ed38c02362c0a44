"""Stain optics: optical density, and colour deconvolution by stain vectors."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image
from wsipsm.stain.registry import HE_VECTORS, Vectors

Floats = npt.NDArray[np.float32]
"""float32 array."""

BACKGROUND_OD = 0.06
"""Mean optical density over the three colours up to which a pixel is background."""

_OD_OF_BYTE = np.log10(256 / (np.arange(256) + 1)).astype(np.float32)


def optical_density(image: Image) -> Floats:
    """Optical density -log10((I + 1) / 256).

    Parameters
    ----------
    image : (..., 3) uint8
        RGB.

    Returns
    -------
    (..., 3) float32
        0 (white) to 2.41 (black).

    Examples
    --------
    >>> optical_density(np.array([[[255, 127, 0]]], np.uint8)).round(3)
    array([[[0.   , 0.301, 2.408]]], dtype=float32)
    """
    return _OD_OF_BYTE[image]


def unmix(density: Floats, vectors: Vectors | None = None) -> tuple[Floats, Floats]:
    """Nuclear stain and counterstain.

    Parameters
    ----------
    density : (..., 3) float32
        Optical density in red, green and blue.
    vectors : Vectors, optional
        Of the stains; by default ``HE_VECTORS``.

    Returns
    -------
    two (...) float32
        Optical densities along the first two vectors; below 0 where the colour is outside their cone.
    """
    matrix = unmixing(vectors)
    # Written out: a matrix product may sum in another order for another shape.
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    planes = [red * matrix[0, k] + green * matrix[1, k] + blue * matrix[2, k] for k in (0, 1)]
    return planes[0], planes[1]


def unmixing(vectors: Vectors | None = None) -> Floats:
    """Matrix (3, 3) float32 by which colours (rows) become stains (columns); by default of ``HE_VECTORS``."""
    return np.linalg.inv(np.array(HE_VECTORS if vectors is None else vectors)).astype(np.float32)


def smooth(plane: Floats, sigma_px: float) -> Floats:
    """Gaussian of fixed width; within :func:`smooth_radius_px` of the border it depends on what is reflected there.

    Parameters
    ----------
    plane : (y, x) float32
        Any unit.
    sigma_px : float
        Standard deviation in pixels; 0 returns the plane.
    """
    radius = smooth_radius_px(sigma_px)
    if radius == 0:
        return plane
    side = 2 * radius + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101), np.float32)


def smooth_radius_px(sigma_px: float) -> int:
    """Pixels that :func:`smooth` looks to either side: three standard deviations."""
    return int(np.ceil(3 * sigma_px)) if sigma_px > 0 else 0


def tissue_pixels(density: Floats) -> npt.NDArray[np.bool_]:
    """Which pixels of (..., 3) optical density are not background; (...) bool."""
    tissue: npt.NDArray[np.bool_] = mean_density(density) > BACKGROUND_OD
    return tissue


def mean_density(density: Floats) -> Floats:
    """Mean over the three colours of (..., 3), as of NumPy to the bit, in a tenth of the time."""
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    return np.asarray((red + green + blue) / np.float32(3))
