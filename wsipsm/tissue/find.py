"""Tissue region of a slide, for runs and for trainings."""

from __future__ import annotations

from dataclasses import dataclass

import shapely

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Box
from wsipsm.slide import Slide, Thumbnail
from wsipsm.tissue.colour import has_black_ground
from wsipsm.tissue.field import FIELD_MPP
from wsipsm.tissue.mask import tissue_mask, tissue_polygons
from wsipsm.tissue.reason import why_empty
from wsipsm.tissue.region import Region, region_from_tissue


@dataclass(frozen=True, slots=True)
class Tissue:
    """Tissue of a slide.

    Attributes
    ----------
    region : Region
        Where it is, level-0 px; empty where there is none.
    why_empty : str
        Why there is none, and the way out; empty where there is some.
    """

    region: Region
    why_empty: str = ""


def find_tissue(slide: Slide, config: TissueConfig) -> Tissue:
    """Tissue of a slide.

    Parts of the overview that cannot be read belong to it, as they may be tissue: they are read at full size
    later, or reported as damaged then. Black ground is found too, and from then on read as white.
    """
    small = find_black_ground(slide, config)
    mpp = slide.mpp_l0 * small.downsample_l0
    mask = tissue_mask(small.image, mpp=mpp, config=config)
    unknown = [shapely.box(box.x0, box.y0, box.x1, box.y1) for box in small.damaged_l0]
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    region = region_from_tissue([*tissue_polygons(mask, small.downsample_l0), *unknown], whole)
    return Tissue(region, why_empty(small.image, mpp=mpp, config=config) if region.empty else "")


def find_black_ground(slide: Slide, config: TissueConfig) -> Thumbnail:
    """Thumbnail on which tissue is sought; sets ``slide.black_ground`` where some is seen on it."""
    field = slide.width_l0 * slide.height_l0 * slide.mpp_l0**2 <= config.field_mm2 * 1e6
    mpp = min(config.mpp, FIELD_MPP) if field else config.mpp
    small = slide.thumbnail(mpp)
    if slide.black_ground or not has_black_ground(small.image, mpp=slide.mpp_l0 * small.downsample_l0):
        return small
    slide.black_ground = True
    return slide.thumbnail(mpp)
