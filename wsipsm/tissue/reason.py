"""Why no tissue was found in a picture, and what to do about it."""

from __future__ import annotations

import numpy as np

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image
from wsipsm.tissue.colour import PALEST_BACKGROUND, is_dark
from wsipsm.tissue.field import is_only_ink, is_plain

_BRIGHT = 128
"""Below this the brightest channel counts as dark."""
_MOSTLY = 0.6
_WAY_OUT = "if there are cells, draw where and give it with --roi"


def why_empty(thumbnail: Image, *, mpp: float, config: TissueConfig) -> str:
    """Why a picture without tissue has none, and the way out, in one line.

    Parameters
    ----------
    thumbnail : (h, w, 3) uint8
        The picture, in which `wsipsm.tissue.mask.tissue_mask` finds nothing.
    mpp : float
        Micrometres per pixel of ``thumbnail``.
    config : TissueConfig
        Thresholds and sizes that it was looked at with.
    """
    return f"no tissue: {_cause(thumbnail, mpp=mpp, config=config)} ({_WAY_OUT})"


def _cause(thumbnail: Image, *, mpp: float, config: TissueConfig) -> str:
    typical = np.median(thumbnail.reshape(-1, 3), axis=0)
    dark = float((thumbnail.max(axis=2) < _BRIGHT).mean())
    if is_dark(thumbnail) and dark > _MOSTLY:
        return f"{dark:.0%} of the picture is dark, as in fluorescence; expected a bright-field image"
    if config.exclude_pen and is_only_ink(thumbnail):
        return "only pen or black borders, which --set tissue.exclude_pen=false takes for tissue"
    if is_plain(thumbnail, mpp=mpp):
        if (typical >= PALEST_BACKGROUND).all():
            return "the picture is glass all over"
        red, green, blue = (round(value) for value in typical)
        return f"the picture has one colour all over, RGB {red} {green} {blue}"
    return (
        f"what is there is smaller than tissue.min_area_um2={config.min_area_um2:.15g} or too pale, try --set "
        f"tissue.min_area_um2={config.min_area_um2 / 10:.15g} or --set tissue.min_density={config.min_density / 2:g}"
    )
