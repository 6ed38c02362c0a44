"""Evidence of nuclei in immunohistochemistry without learning: one plane of brown pixels, one of blue ones.

Beside a black nucleus a pale blue one is but a shoulder of its density, never a component of its own. So pixels are
split by hue first, and candidates are sought in each plane by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.core.maps import DECISION
from wsipsm.stain.hue import brownness
from wsipsm.stain.normalise import SlideStats, colour_density
from wsipsm.stain.optics import Floats, smooth

SMOOTHING_UM = 0.35
"""Standard deviation of the Gaussian on the density, micrometres."""
LOWEST_OD, HIGHEST_OD, HIGHEST_BLUE_OD = 0.05, 2.4, 0.6
"""Red density at which evidence begins, and at which it is full: of brown pixels, and of blue ones."""

_SCALE_OD = 0.1
_DEPTH_UM = 2.5
_STEPS = 255 - DECISION


@dataclass(frozen=True, slots=True)
class HuePlanes:
    """Evidence of a field.

    Attributes
    ----------
    brown, blue : (y, x) uint8
        0 where the pixel has the other hue or hardly any density, else ``DECISION`` to 255.
    probability : (y, x) float32
        Probability of nucleus, 0 to 1, by density alone: 0.5 where evidence begins.
    """

    brown: npt.NDArray[np.uint8]
    blue: npt.NDArray[np.uint8]
    probability: Map


def hue_planes(image: Image, stats: SlideStats, *, mpp: float) -> HuePlanes:
    """Evidence of a field by hue.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Of the slide, with its background.
    mpp : float
        Micrometres per pixel.
    """
    density = colour_density(image, stats)
    near = np.stack([smooth(np.ascontiguousarray(density[..., k]), SMOOTHING_UM / mpp) for k in range(3)], axis=-1)
    red, brown = near[..., 0], brownness(near) > 0
    seen = red > LOWEST_OD
    share = _share(red, HIGHEST_BLUE_OD)
    blue_share = np.float32(0.5) * (share + _depth(seen & ~brown, mpp))
    probability = np.clip(0.5 + _log(red) / (2 * _log(np.float32(HIGHEST_BLUE_OD))), 0, 1).astype(np.float32)
    return HuePlanes(
        brown=_evidence(_share(red, HIGHEST_OD), seen & brown),
        blue=_evidence(blue_share, seen & ~brown),
        probability=np.where(seen, probability, np.minimum(probability, 0.5)),
    )


def _log(red: Floats | np.float32) -> Floats:
    """Logarithm of density, 0 where evidence begins."""
    log: Floats = np.log((np.maximum(red, -_SCALE_OD / 2) + _SCALE_OD) / np.float32(LOWEST_OD + _SCALE_OD))
    return log


def _share(red: Floats, highest: float) -> Floats:
    """Logarithm of density from where evidence begins, 0, to where it is full, 1."""
    share: Floats = np.clip(_log(red) / _log(np.float32(highest)), 0, 1).astype(np.float32)
    return share


def _depth(mask: Mask, mpp: float) -> Floats:
    """Distance to the border of a mask, over that in the middle of a small nucleus; 0 to 1."""
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(np.round(distance * np.float32(mpp / _DEPTH_UM), 4), 0, 1).astype(np.float32)


def _evidence(share: Floats, where: Mask) -> npt.NDArray[np.uint8]:
    return np.where(where, DECISION + np.floor(_STEPS * share), 0).astype(np.uint8)
