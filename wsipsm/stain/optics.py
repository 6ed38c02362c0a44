"""Stain optics: optical density, and stains by their vectors, fixed ones or a slide's own."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image

Floats = npt.NDArray[np.float32]
"""float32 array."""

Vector = tuple[float, float, float]
Vectors = tuple[Vector, Vector, Vector]
"""Optical density in red, green and blue of nuclear stain, counterstain and a third direction."""

STAIN_VECTORS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok and Johnston 2001)."""

GLASS_OD = 0.06
"""Mean optical density over the three colours below which a pixel is taken for glass."""

_OD_OF_BYTE = np.log10(256 / (np.arange(256) + 1)).astype(np.float32)
_UNMIX = np.linalg.inv(STAIN_VECTORS).astype(np.float32)


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
        Of the stains; by default the fixed ones of haematoxylin, eosin and DAB.

    Returns
    -------
    two (...) float32
        Optical densities along the first two vectors; below 0 where the colour is outside their cone.
    """
    matrix = _UNMIX if vectors is None else np.linalg.inv(np.array(vectors)).astype(np.float32)
    # Written out: a matrix product may sum in another order for another shape.
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    planes = [red * matrix[0, k] + green * matrix[1, k] + blue * matrix[2, k] for k in (0, 1)]
    return planes[0], planes[1]


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
    """Which pixels of (..., 3) optical density are not glass; (...) bool."""
    tissue: npt.NDArray[np.bool_] = density.mean(axis=-1) > GLASS_OD
    return tissue
