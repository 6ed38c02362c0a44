"""Colours of a thumbnail: its background, the density above it, and ink."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.slide.resample import BLACK_GROUND
from wsipsm.tissue.morphology import dilated, opened, smooth

PALEST_BACKGROUND = (215.0, 205.0, 180.0)
"""Background is at least this bright, RGB; yellowish where the camera saw it so. A field full of tissue shows none."""
_NEAR_BACKGROUND_OD, _LIKE_BACKGROUND_OD = 0.06, 0.015
_BACKGROUND_SHARE = 0.02
_BACKGROUND_PEAK = 0.75
"""Share of nearly one colour among the pixels near the brightest ones; less is pale tissue."""
_DARK_FIELD_GREEN = 50
"""A slide whose 95th percentile of green stays below is not a bright-field image."""
_BLACK_GROUND_UM, _BRIGHT_FIELD_VALUE = 30.0, 100
"""Diameter of the smallest black ground, narrower is ink or dust; least median of the rest, brightest channel."""
_SAMPLE = 1_000_000
"""Pixels that percentiles are taken from."""


def is_dark(thumbnail: Image) -> bool:
    """Whether the picture is dark all over: no bright-field image, or ink all over."""
    return bool(np.percentile(_sample(thumbnail)[:, 1], 95) < _DARK_FIELD_GREEN)


def _sample(thumbnail: Image) -> npt.NDArray[np.uint8]:
    """Evenly spread pixels, (n, 3)."""
    pixels = thumbnail.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // _SAMPLE)]


def has_black_ground(thumbnail: Image, *, mpp: float) -> bool:
    """Whether broad parts of a bright-field picture are pure black, with which some exports fill what was not scanned.

    A picture whose other pixels are dark as well is no bright-field image.
    """
    value = thumbnail.max(axis=2)
    black = value <= BLACK_GROUND
    if black.all() or np.median(value[~black]) < _BRIGHT_FIELD_VALUE:
        return False
    return bool(opened(black.astype(np.uint8), max(2.0, _BLACK_GROUND_UM / mpp)).any())


def background_of(thumbnail: Image) -> npt.NDArray[np.float32]:
    """RGB colour of the empty slide; pure white is unscanned area where another colour is as uniform as background."""
    pixels = _sample(thumbnail)
    scanned = pixels[pixels.min(axis=1) < 255].astype(np.float32)
    white = np.full(3, 255, np.float32)
    if not len(scanned):
        return white
    palest = np.array(PALEST_BACKGROUND, np.float32)
    brightest = np.maximum(np.percentile(scanned, 99, axis=0), palest).astype(np.float32)
    near = scanned[_distance_od(scanned, brightest) < _NEAR_BACKGROUND_OD]
    if len(near) > _BACKGROUND_SHARE * len(scanned):
        typical = np.maximum(np.median(near, axis=0), palest).astype(np.float32)
        if np.mean(_distance_od(near, typical) < _LIKE_BACKGROUND_OD) > _BACKGROUND_PEAK:
            return np.asarray(typical, np.float32)
    return white if len(pixels) - len(scanned) > _BACKGROUND_SHARE * len(pixels) else brightest


def _distance_od(pixels: npt.NDArray[np.float32], colour: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    distance: npt.NDArray[np.float32] = np.abs(np.log10((pixels + 1) / (colour + 1))).max(axis=1)
    return distance


def ink_coloured(thumbnail: Image, background: npt.NDArray[np.float32]) -> Mask:
    """Pixels in colours that stains do not take at a low resolution: pen, black and grey."""
    balance = np.minimum(np.arange(256) * (255 / background[:, None]), 255).round().astype(np.uint8).T
    hsv = cv2.cvtColor(cv2.LUT(thumbnail, balance[None]), cv2.COLOR_RGB2HSV_FULL)
    hue, saturation, value = hsv[..., 0] * np.float32(360 / 256), hsv[..., 1], hsv[..., 2]
    chroma = saturation / np.float32(255) * value
    # Hematoxylin stays above 248 degrees, DAB within 12 and 45, eosin below 346 (blood reaches 352, in single pixels).
    blue = (hue > 195) & (hue < 246) & (saturation > np.where(hue < 238, 90, 190)) & (chroma > 50)
    green = (hue > 75) & (hue <= 195) & (saturation > 75) & (chroma > 30)
    red = ((hue > 348) | (hue < 12)) & (saturation > 150) & (chroma > 100)
    black = (value < 115) & (chroma < 25)
    coloured: Mask = blue | green | red | black
    return coloured


def ink_strokes(thumbnail: Image, background: npt.NDArray[np.float32], *, mpp: float, config: TissueConfig) -> Mask:
    """Broad strokes of pen and black borders, with their margin.

    Parameters
    ----------
    thumbnail : (y, x, 3) uint8
        RGB of the slide.
    background : (3,) float32
        Optical density of the glass, red, green and blue.
    mpp : float
        Micrometres per pixel of the thumbnail.
    config : TissueConfig
        Widths of strokes and margins.
    """
    ink, width_px = ink_coloured(thumbnail, background).astype(np.uint8), config.pen_width_um / mpp
    broad = dilated(opened(ink, width_px), width_px) & ink
    return dilated(broad, 2 * config.pen_margin_um / mpp).astype(bool)


def density_above(thumbnail: Image, background: npt.NDArray[np.float32]) -> tuple[Map, Map, Map]:
    """Optical density of red, green and blue above the background, not below 0."""
    levels = np.arange(256, dtype=np.float32) + 1
    red, green, blue = (
        np.log10((background[i] + 1) / levels).clip(0).astype(np.float32)[thumbnail[..., i]] for i in range(3)
    )
    return red, green, blue


def stain_of(density: tuple[Map, Map, Map], seen: Mask, *, sigma_px: float) -> Map:
    """Smoothed colour, the largest difference between two channels, plus half of the mean density.

    Parameters
    ----------
    density : three (y, x) float32
        Optical density in red, green and blue.
    seen : (y, x) bool
        Pixels that count.
    sigma_px : float
        Of the Gaussian.
    """
    red, green, blue = (smooth(channel, seen, sigma_px) for channel in density)
    colour = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    stain: Map = colour + (red + green + blue) / np.float32(6)
    return stain
