"""Stain optics: optical density, haematoxylin and eosin by fixed vectors, and the constants of a slide's staining."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from wsipsm.errors import FitError
from wsipsm.geometry import Image

Floats = npt.NDArray[np.float32]
"""float32 array."""

STAIN_VECTORS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok and Johnston 2001)."""

GLASS_OD = 0.06
"""Mean optical density over the three colours below which a pixel is taken for glass."""
BORDER_SIGMA_PX = 1.5
"""Smoothing of haematoxylin before Otsu's threshold, standard deviation in grid pixels."""
MIN_TISSUE_PX = 4_000
"""Fewer tissue pixels than this say nothing about a slide (0.001 mm2 at 0.5 um/px)."""

_OD_OF_BYTE = np.log10(256 / (np.arange(256) + 1)).astype(np.float32)
_UNMIX = np.linalg.inv(STAIN_VECTORS).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SlideStats:
    """How a slide is stained, measured once over patches of its tissue.

    Attributes
    ----------
    od_p99 : tuple of 3 float
        99th percentile of the optical density of tissue pixels in red, green and blue, at least 0.1.
    nuclear_od : float
        Otsu's threshold of smoothed haematoxylin, optical density.
    """

    od_p99: tuple[float, float, float]
    nuclear_od: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> SlideStats:
        """Inverse of :meth:`to_dict`."""
        red, green, blue = table["od_p99"]
        return cls((float(red), float(green), float(blue)), float(table["nuclear_od"]))


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


def unmix(density: Floats) -> tuple[Floats, Floats]:
    """Haematoxylin and eosin by the fixed vectors.

    Parameters
    ----------
    density : (..., 3) float32
        Optical density in red, green and blue.

    Returns
    -------
    two (...) float32
        Optical densities along the stain vectors; below 0 where the colour is outside their cone.
    """
    # Written out: a matrix product may sum in another order for another shape.
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    planes = [red * _UNMIX[0, k] + green * _UNMIX[1, k] + blue * _UNMIX[2, k] for k in (0, 1)]
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


def measure_slide(patches: npt.NDArray[np.uint8]) -> SlideStats:
    """Constants of a slide from patches of its tissue.

    Parameters
    ----------
    patches : (n, y, x, 3) uint8
        RGB at the working resolution.

    Raises
    ------
    FitError
        Fewer than ``MIN_TISSUE_PX`` pixels are tissue, or haematoxylin is the same everywhere.
    """
    density = optical_density(patches)
    tissue = tissue_pixels(density)
    found = int(tissue.sum())
    if found < MIN_TISSUE_PX:
        raise FitError(
            f"only {found} of {tissue.size} sampled pixels are tissue, expected at least {MIN_TISSUE_PX}: "
            "give a region with tissue (--roi) or leave this slide out"
        )
    nuclear = np.stack([smooth(unmix(patch)[0], BORDER_SIGMA_PX) for patch in density])[tissue]
    if nuclear.min() == nuclear.max():
        raise FitError("all sampled pixels have one colour, expected stained tissue: leave this slide out")
    red, green, blue = np.maximum(np.percentile(density[tissue], 99, axis=0), 0.1)
    return SlideStats((float(red), float(green), float(blue)), float(threshold_otsu(nuclear)))
