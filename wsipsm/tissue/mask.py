"""Tissue: where on a slide to look for cells, found on its thumbnail without learning.

::

    thumbnail -> colour of the background -> stain: colour and density above it -> threshold -> clean outlines

Otsu's threshold alone cuts a field full of tissue in two and finds tissue on an empty slide; so it is only believed
between ``min_density`` and ``max_density``. Bright field is assumed: a slide that is dark all over has no tissue.
Small pictures are fields of view, see `wsipsm.tissue.field`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.tissue.colour import background_of, density_above, ink_strokes, is_dark, stain_of
from wsipsm.tissue.field import PLAIN_OD, field_mask, is_field
from wsipsm.tissue.morphology import dilated, eroded, opened, smooth, without_small
from wsipsm.tissue.region import polygon_parts

_TEXTURE_UM = 24.0
_TEXTURE_REACH_UM = 72.0
_TEXTURE_OPEN_UM = 100.0
_TEXTURE_CAP_OD = 0.15
"""Texture: sigma of the local deviation; diameters of what it spills over an edge and of lone specks of dust; and the
density above which darker is not rougher, so that dust and edges count little."""
_FAINT_SHARE = 0.5
_FAINT_OPEN_UM = 300.0
_FAINT_AWAY_UM = 60.0
_FAINT_GAP_UM = 120.0
"""Fat, and faint tissue without glass beside it: share of ``min_texture`` that is enough, diameter of its smallest
part, how far from other tissue that part is sought, as the texture of an edge spreads that far, and its plain gaps."""
_NO_GLASS = 0.01
"""A picture with a smaller share of plain pixels shows no glass."""
_OPEN_UM = 24.0
_CLOSE_UM = 40.0
"""Diameters: thinner tissue (edges of the cover slip, fibres) is dropped, thinner gaps are closed."""
_FIELD_SHARE = 0.1
"""In a field of view a piece or a hole of this share of the field counts as large, whatever its area."""
_TOP_OD = 0.5
"""Otsu's histogram ends here, so that one very dark spot does not stretch it."""


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
    if is_field(thumbnail, mpp=mpp, config=config):
        return field_mask(thumbnail, mpp=mpp, config=config)
    nothing = np.zeros(thumbnail.shape[:2], bool)
    if is_dark(thumbnail):
        return nothing
    background = background_of(thumbnail)
    ink = ink_strokes(thumbnail, background, mpp=mpp, config=config) if config.exclude_pen else nothing
    density = density_above(thumbnail, background)
    stain = stain_of(density, ~ink, sigma_px=config.smooth_um / mpp)
    texture = _texture(density, ~ink, mpp=mpp)
    found = (stain > _threshold(stain, config)) | _broad((texture > config.min_texture).astype(np.uint8), mpp=mpp)
    tissue = _clean(found & ~ink, mpp=mpp, config=config)
    faint = _faint(tissue, texture, mpp=mpp, config=config)
    if faint.any():
        tissue = _clean((found | faint) & ~ink, mpp=mpp, config=config)
    tissue &= ~ink
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


def _texture(density: tuple[Map, Map, Map], seen: Mask, *, mpp: float) -> Map:
    """Local deviation of the density; nuclei show on a colour that may be that of the background."""
    mean = np.minimum((density[0] + density[1] + density[2]) / 3, np.float32(_TEXTURE_CAP_OD))
    sigma_px = _TEXTURE_UM / mpp
    variance = smooth(mean**2, seen, sigma_px) - smooth(mean, seen, sigma_px) ** 2
    texture: Map = np.sqrt(variance.clip(0))
    return texture


def _broad(rough: Image, *, mpp: float) -> Mask:
    """Rough areas without what spills over an edge and without specks of dust."""
    inner = eroded(rough, _TEXTURE_REACH_UM / mpp)
    return opened(inner, _TEXTURE_OPEN_UM / mpp).astype(bool)


def _faint(found: Mask, texture: Map, *, mpp: float, config: TissueConfig) -> Mask:
    """Broad faint parts away from found tissue, and what lies between; everywhere on a picture without glass."""
    some, gap_px = (texture > _FAINT_SHARE * config.min_texture).astype(np.uint8), _FAINT_GAP_UM / mpp
    rough = _broad(eroded(dilated(some, gap_px), gap_px), mpp=mpp)
    if np.mean(texture < PLAIN_OD) < _NO_GLASS:
        return rough
    reach_px = 2 * _FAINT_AWAY_UM / mpp
    near = dilated(found.astype(np.uint8), reach_px).astype(bool)
    away = opened((rough & ~near).astype(np.uint8), _FAINT_OPEN_UM / mpp)
    faint: Mask = dilated(away, reach_px).astype(bool) & rough
    return faint


def _threshold(stain: Map, config: TissueConfig) -> float:
    levels = np.minimum(stain * (255 / _TOP_OD), 255).astype(np.uint8)
    otsu = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0] * _TOP_OD / 255
    return float(min(max(otsu, config.min_density), config.max_density))


def _clean(mask: Mask, *, mpp: float, config: TissueConfig) -> Mask:
    """Drop lines and small pieces, close gaps and small holes, move the outline outwards."""
    field = _FIELD_SHARE * mask.size * mpp**2
    pixels = opened(mask.astype(np.uint8), _OPEN_UM / mpp)
    pixels = eroded(dilated(pixels, _CLOSE_UM / mpp), _CLOSE_UM / mpp)
    pixels = without_small(pixels, min(config.min_area_um2, field) / mpp**2, connectivity=8)
    pixels = dilated(pixels, 2 * config.margin_um / mpp)
    return ~without_small(1 - pixels, min(config.max_hole_um2, field) / mpp**2, connectivity=4).astype(bool)
