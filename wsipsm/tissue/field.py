"""Fields of view: pictures so small that somebody chose them, searched whole but for what plainly is glass or pen.

The density above the background says little there, as a field full of pale tissue shows no background. Roughness tells
glass: on scanned glass the density deviates locally by 0.002 or less, in the palest tissue by 0.01 or more.
"""

from __future__ import annotations

import numpy as np

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.tissue.colour import background_of, density_above, ink_coloured, ink_strokes, is_dark, stain_of
from wsipsm.tissue.morphology import dilated, eroded, opened, smooth, without_small

FIELD_MPP = 4.0
"""A field is looked at this closely, micrometres per pixel."""
PLAIN_OD = 0.004
"""Less rough than this is plain: glass, a single colour; optical density."""
_DETAIL_UM, _AROUND_UM = 10.0, 24.0
"""Roughness: sigma of what counts as uneven light, and of the neighbourhood."""
_TOP_OD = 0.5
_GLASS_UM = 100.0
"""Narrower glass belongs to the tissue: vessels, fat cells, cracks."""
_THERE_OD = 0.04
_ONLY_INK = 0.9
"""What is denser is no glass; share of ink in it from which on there is nothing but ink."""
_BLUR_PX = 4
"""Ink takes this much more, as its edges mix with the glass; diameter."""
_PIECE_SHARE = 0.1
"""A piece of this share of the field counts as large, whatever its area."""


def is_field(thumbnail: Image, *, mpp: float, config: TissueConfig) -> bool:
    """Whether a picture is so small that it is a field of view.

    Parameters
    ----------
    thumbnail : (y, x, 3) uint8
        RGB of all of it.
    mpp : float
        Micrometres per pixel of the thumbnail.
    config : TissueConfig
        ``field_mm2`` is used.
    """
    return bool(thumbnail[..., 0].size * mpp**2 <= config.field_mm2 * 1e6)


def field_mask(thumbnail: Image, *, mpp: float, config: TissueConfig) -> Mask:
    """Where there may be tissue in a field of view: everywhere but on broad glass and ink.

    Parameters
    ----------
    thumbnail : (h, w, 3) uint8
        The field, RGB.
    mpp : float
        Micrometres per pixel of ``thumbnail``.
    config : TissueConfig
        Thresholds and sizes.

    Returns
    -------
    (h, w) bool
        All False where the field is dark, of one colour all over, or has nothing but ink.
    """
    nothing = np.zeros(thumbnail.shape[:2], bool)
    only_ink = config.exclude_pen and is_only_ink(thumbnail)
    if is_dark(thumbnail) or is_plain(thumbnail, mpp=mpp) or only_ink:
        return nothing
    background = background_of(thumbnail)
    ink = ink_strokes(thumbnail, background, mpp=mpp, config=config) if config.exclude_pen else nothing
    density = density_above(thumbnail, background)
    pale = stain_of(density, ~ink, sigma_px=config.smooth_um / mpp) < config.max_density
    glass = opened((pale & (roughness(thumbnail, mpp=mpp) < PLAIN_OD)).astype(np.uint8), _GLASS_UM / mpp)
    glass = without_small(glass, config.max_hole_um2 / mpp**2, connectivity=4)
    searched = (1 - eroded(glass, 2 * config.margin_um / mpp)) * ~ink
    piece_um2 = min(config.min_area_um2, _PIECE_SHARE * ink.size * mpp**2)
    return without_small(searched, piece_um2 / mpp**2, connectivity=8).astype(bool)


def is_plain(thumbnail: Image, *, mpp: float) -> bool:
    """Whether a picture has one colour all over, but for noise and uneven light."""
    # The last row and column may reach beyond the picture, where it is white.
    inner = thumbnail[:-1, :-1] if min(thumbnail.shape[:2]) > 1 else thumbnail
    return bool(roughness(np.ascontiguousarray(inner), mpp=mpp).max() < PLAIN_OD)


def is_only_ink(thumbnail: Image) -> bool:
    """Whether nearly all that is no glass has the colour of ink."""
    background = background_of(thumbnail)
    seen = np.ones(thumbnail.shape[:2], bool)
    there = stain_of(density_above(thumbnail, background), seen, sigma_px=0) > _THERE_OD
    ink = dilated(ink_coloured(thumbnail, background).astype(np.uint8), _BLUR_PX).astype(bool)
    return bool(there.any() and (ink & there).sum() > _ONLY_INK * there.sum())


def roughness(thumbnail: Image, *, mpp: float) -> Map:
    """Local deviation of the density from its mean within a nucleus, optical density."""
    white = np.full(3, 255, np.float32)
    mean = np.minimum(sum(density_above(thumbnail, white)) / np.float32(3), np.float32(_TOP_OD))
    seen = np.ones(mean.shape, bool)
    detail = mean - smooth(mean, seen, _DETAIL_UM / mpp)
    rough: Map = np.sqrt(smooth(detail**2, seen, _AROUND_UM / mpp))
    return rough
