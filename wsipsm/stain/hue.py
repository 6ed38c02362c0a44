"""Blue, brown and pink: which stain a pixel of immunohistochemistry has, by its colour alone.

All takes optical density above the slide's background, in the colours of haematoxylin and DAB; other stains are
brought there first, see :func:`wsipsm.stain.normalise.relative_planes`. The share of the chromogen in a pixel cannot
be told from how dark it is: haematoxylin absorbs red light, DAB blue light, and black nuclei both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.stain.optics import Floats, smooth

BROWN_RED, BROWN_OFFSET = 0.75, 0.05
"""Brown is what absorbs more blue light than this share of its red, by this offset: black nuclei count as brown."""
BLUE_RATIO, BLUE_RED, BROWN_RATIO, BROWN_DAB = 0.6, 0.04, 0.8, 0.1
"""Surely blue: blue density below this share of red, and red above that. Surely brown: above that share, and DAB."""

_SHEET_OD, _SHEET_SIGMA_PX, _SHEET_PX = 0.3, 1.0, 6000
"""Chromogen of a sheet, after smoothing, and its least area: 1500 um2 at 0.5 um/px."""
_TISSUE_OD, _STAINED_OD, _PINK_RATIO, _BROWN_GREEN = 0.1, 0.08, 1.2, 1.25


def brownness(density: Floats) -> Floats:
    """Above 0 where a pixel is brown or black, below where it is blue; (...) float32 of (..., 3) float32."""
    found: Floats = density[..., 2] - np.float32(BROWN_RED) * density[..., 0] - np.float32(BROWN_OFFSET)
    return found


@dataclass(frozen=True, slots=True)
class Colours:
    """Shares of the stained pixels of a slide.

    Attributes
    ----------
    pink : float
        Green is absorbed more than red and blue, background included, as in eosin and in what it covers: at least 0.26
        in 47 H&E images, at most 0.24 in 23 Ki-67 ones.
    brown : float
        Above the background blue is absorbed as red, and green hardly more, as in DAB.
    sheets : float
        Of the pixels with chromogen, those in pieces larger than ten nuclei: at most 0.09 in Ki-67 images, 0.8 where
        cytoplasm and membranes are stained.
    """

    pink: float
    brown: float
    sheets: float = 0.0


def colours(density: Floats, above: Floats, chromogen: Floats) -> Colours:
    """Colours of patches.

    Parameters
    ----------
    density, above : (n, y, x, 3) float32
        Optical density, and that above the background.
    chromogen : (n, y, x) float32
        That of the chromogen alone.
    """
    red, green, blue = density[density.mean(axis=-1) > _TISSUE_OD].T
    pink = green > _PINK_RATIO * np.maximum(red, blue)
    red, green, blue = above[above.mean(axis=-1) > _STAINED_OD].T
    brown = (blue > BROWN_RATIO * red) & (green < _BROWN_GREEN * blue)
    return Colours(_share(pink), _share(brown), _sheets(chromogen))


def _sheets(chromogen: Floats) -> float:
    """Share of the pixels with chromogen that lie in large pieces."""
    areas = []
    for plane in chromogen:
        seen = (smooth(np.ascontiguousarray(plane), _SHEET_SIGMA_PX) > _SHEET_OD).astype(np.uint8)
        areas.append(cv2.connectedComponentsWithStats(seen)[2][1:, cv2.CC_STAT_AREA])
    area = np.concatenate(areas)
    return round(float(area[area > _SHEET_PX].sum() / max(area.sum(), 1)), 4)


def _share(mask: npt.NDArray[np.bool_]) -> float:
    return round(float(mask.mean()), 4) if len(mask) else 0.0
