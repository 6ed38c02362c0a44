"""Tissue: where on a slide to look for cells, found on its thumbnail without learning.

::

    thumbnail -> colour of the background -> stain: colour and density above it -> threshold -> clean outlines

Otsu's threshold alone cuts a field full of tissue in two and finds tissue on an empty slide; so it is only believed
between ``min_density`` and ``max_density``. Bright field is assumed: a slide that is dark all over has no tissue.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.tissue.region import polygon_parts

_PALEST_BACKGROUND = (215.0, 205.0, 180.0)
"""Background is at least this bright, RGB; yellowish where the camera saw it so. A field full of tissue shows none."""
_NEAR_BACKGROUND_OD, _LIKE_BACKGROUND_OD = 0.06, 0.015
_BACKGROUND_SHARE = 0.02
_BACKGROUND_PEAK = 0.75
"""Share of nearly one colour among the pixels near the brightest ones; less is pale tissue."""
_TEXTURE_UM = 24.0
_TEXTURE_REACH_UM = 72.0
_TEXTURE_OPEN_UM = 100.0
_TEXTURE_CAP_OD = 0.15
"""Texture: sigma of the local deviation; diameters of what it spills over an edge and of lone specks of dust; and the
density above which darker is not rougher, so that dust and edges count little."""
_DARK_FIELD_GREEN = 50
"""A slide whose 95th percentile of green stays below is not a bright-field image."""
_OPEN_UM = 24.0
_CLOSE_UM = 40.0
"""Diameters: thinner tissue (edges of the cover slip, fibres) is dropped, thinner gaps are closed."""
_FIELD_SHARE = 0.1
"""In a field of view a piece or a hole of this share of the field counts as large, whatever its area."""
_TOP_OD = 0.5
"""Otsu's histogram ends here, so that one very dark spot does not stretch it."""
_SAMPLE = 1_000_000
"""Pixels that percentiles are taken from."""


def tissue_mask(thumbnail: Image, *, mpp: float, config: TissueConfig) -> Mask:
    """Where there is tissue; all False on a slide without any.

    Parameters
    ----------
    thumbnail : (h, w, 3) uint8
        The slide, or a whole field of view, RGB; what was not scanned is white.
    mpp : float
        Micrometres per pixel of ``thumbnail``.
    config : TissueConfig
        Thresholds and sizes.

    Returns
    -------
    (h, w) bool
        Pen strokes, black borders and slides that are no bright-field images are not tissue.
    """
    nothing = np.zeros(thumbnail.shape[:2], bool)
    if np.percentile(_sample(thumbnail)[:, 1], 95) < _DARK_FIELD_GREEN:
        return nothing
    background = _background(thumbnail)
    ink = _ink(thumbnail, background, mpp=mpp, config=config) if config.exclude_pen else nothing
    density = _density(thumbnail, background)
    stain = _stain(density, ~ink, sigma_px=config.smooth_um / mpp)
    found = (stain > _threshold(stain, config)) | _textured(density, ~ink, mpp=mpp, config=config)
    tissue: Mask = _clean(found & ~ink, mpp=mpp, config=config) & ~ink
    return tissue


def tissue_polygons(mask: Mask, downsample_l0: float) -> list[shapely.Polygon]:
    """Outlines of a tissue mask along pixel corners: a block of 6 x 3 pixels has the area 18.

    Stairs of one pixel are straightened, by at most 0.75 pixels.

    Parameters
    ----------
    mask : (h, w) bool
        Tissue on the thumbnail.
    downsample_l0 : float
        Level-0 pixels per thumbnail pixel.

    Returns
    -------
    list of shapely.Polygon
        Valid, with holes, level-0 px rounded to 0.1.
    """
    # Not `wsipsm.cells.outlines.trace`: it fills holes, and from other first corners straightened outlines differ.
    # On the doubled mask OpenCV's pixel centres tell the sides of pixel i apart: 2i is left or above, 2i + 1 the other.
    doubled = mask.repeat(2, axis=0).repeat(2, axis=1).view(np.uint8)
    contours, links = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    shells: dict[int, npt.NDArray[Any]] = {}
    holes: dict[int, list[npt.NDArray[Any]]] = {}
    for i, contour in enumerate(contours):
        corners = (contour[:, 0, :] + 1) // 2
        parent = int(links[0][i][3])
        if parent < 0:
            shells[i] = corners
        else:
            holes.setdefault(parent, []).append(corners)
    polygons = [shapely.Polygon(shell, holes.get(i)) for i, shell in shells.items()]
    straight = shapely.simplify(polygon_parts(polygons), 0.75)
    return polygon_parts(shapely.transform(straight, lambda xy: np.round(xy * downsample_l0, 1)))


def _sample(thumbnail: Image) -> npt.NDArray[np.uint8]:
    """Evenly spread pixels, (n, 3)."""
    pixels = thumbnail.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // _SAMPLE)]


def _background(thumbnail: Image) -> npt.NDArray[np.float32]:
    """RGB colour of the empty slide; pure white is unscanned area where another colour is as uniform as background."""
    pixels = _sample(thumbnail)
    scanned = pixels[pixels.min(axis=1) < 255].astype(np.float32)
    white = np.full(3, 255, np.float32)
    if not len(scanned):
        return white
    palest = np.array(_PALEST_BACKGROUND, np.float32)
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


def _ink(thumbnail: Image, background: npt.NDArray[np.float32], *, mpp: float, config: TissueConfig) -> Mask:
    """Broad strokes in colours that stains do not take at this resolution, and black borders."""
    balance = np.minimum(np.arange(256) * (255 / background[:, None]), 255).round().astype(np.uint8).T
    hsv = cv2.cvtColor(cv2.LUT(thumbnail, balance[None]), cv2.COLOR_RGB2HSV_FULL)
    hue, saturation, value = hsv[..., 0] * np.float32(360 / 256), hsv[..., 1], hsv[..., 2]
    chroma = saturation / np.float32(255) * value
    # Hematoxylin stays above 248 degrees, DAB within 12 and 45, eosin below 346 (blood reaches 352, in single pixels).
    blue = (hue > 195) & (hue < 246) & (saturation > np.where(hue < 238, 90, 190)) & (chroma > 50)
    green = (hue > 75) & (hue <= 195) & (saturation > 75) & (chroma > 30)
    red = ((hue > 348) | (hue < 12)) & (saturation > 150) & (chroma > 100)
    black = (value < 115) & (chroma < 25)
    ink = (blue | green | red | black).astype(np.uint8)
    broad = _dilate(_open(ink, config.pen_width_um / mpp), config.pen_width_um / mpp) & ink
    return _dilate(broad, 2 * config.pen_margin_um / mpp).astype(bool)


def _density(thumbnail: Image, background: npt.NDArray[np.float32]) -> tuple[Map, Map, Map]:
    """Optical density of red, green and blue above the background, not below 0."""
    levels = np.arange(256, dtype=np.float32) + 1
    red, green, blue = (
        np.log10((background[i] + 1) / levels).clip(0).astype(np.float32)[thumbnail[..., i]] for i in range(3)
    )
    return red, green, blue


def _stain(density: tuple[Map, Map, Map], seen: Mask, *, sigma_px: float) -> Map:
    """Smoothed colour, the largest difference between two channels, plus half of the mean density."""
    red, green, blue = (_smooth(channel, seen, sigma_px) for channel in density)
    colour = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    stain: Map = colour + (red + green + blue) / np.float32(6)
    return stain


def _textured(density: tuple[Map, Map, Map], seen: Mask, *, mpp: float, config: TissueConfig) -> Mask:
    """Broad areas as rough as tissue, however faint: nuclei on a colour that may be that of the background."""
    mean = np.minimum((density[0] + density[1] + density[2]) / 3, np.float32(_TEXTURE_CAP_OD))
    sigma_px = _TEXTURE_UM / mpp
    variance = _smooth(mean**2, seen, sigma_px) - _smooth(mean, seen, sigma_px) ** 2
    rough = (variance > config.min_texture**2).astype(np.uint8)
    broad = _open(_erode(rough, _TEXTURE_REACH_UM / mpp), _TEXTURE_OPEN_UM / mpp)
    return broad.astype(bool)


def _threshold(stain: Map, config: TissueConfig) -> float:
    levels = np.minimum(stain * (255 / _TOP_OD), 255).astype(np.uint8)
    otsu = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0] * _TOP_OD / 255
    return float(min(max(otsu, config.min_density), config.max_density))


def _clean(mask: Mask, *, mpp: float, config: TissueConfig) -> Mask:
    """Drop lines and small pieces, close gaps and small holes, move the outline outwards."""
    field = _FIELD_SHARE * mask.size * mpp**2
    pixels = _open(mask.astype(np.uint8), _OPEN_UM / mpp)
    pixels = _erode(_dilate(pixels, _CLOSE_UM / mpp), _CLOSE_UM / mpp)
    pixels = _without_small(pixels, min(config.min_area_um2, field) / mpp**2, connectivity=8)
    pixels = _dilate(pixels, 2 * config.margin_um / mpp)
    return ~_without_small(1 - pixels, min(config.max_hole_um2, field) / mpp**2, connectivity=4).astype(bool)


def _without_small(pixels: Image, min_px: float, *, connectivity: int) -> Image:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=connectivity)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_px
    keep[0] = False
    kept: Image = keep[labels].astype(np.uint8)
    return kept


def _smooth(plane: Map, seen: Mask, sigma_px: float) -> Map:
    """Gaussian mean of the seen pixels."""
    if sigma_px == 0:
        return plane
    sigma_px = max(sigma_px, 0.8)
    sums, weights = (
        cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
        for values in (plane * seen, seen.astype(np.float32))
    )
    mean: Map = sums / (weights + np.float32(1e-6))
    return mean


def _open(pixels: Image, diameter_px: float) -> Image:
    return np.asarray(cv2.morphologyEx(pixels, cv2.MORPH_OPEN, _disk(diameter_px)), np.uint8)


def _dilate(pixels: Image, diameter_px: float) -> Image:
    return np.asarray(cv2.dilate(pixels, _disk(diameter_px)), np.uint8)


def _erode(pixels: Image, diameter_px: float) -> Image:
    return np.asarray(cv2.erode(pixels, _disk(diameter_px)), np.uint8)


def _disk(diameter_px: float) -> Image:
    radius = round(diameter_px / 2)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
