"""Tissue region of a slide, for runs and for trainings."""

from __future__ import annotations

from dataclasses import dataclass

import shapely

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Box
from wsipsm.slide import Slide
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
    later, or reported as damaged then.
    """
    field = slide.width_l0 * slide.height_l0 * slide.mpp_l0**2 <= config.field_mm2 * 1e6
    small = slide.thumbnail(min(config.mpp, FIELD_MPP) if field else config.mpp)
    mpp = slide.mpp_l0 * small.downsample_l0
    mask = tissue_mask(small.image, mpp=mpp, config=config)
    unknown = [shapely.box(box.x0, box.y0, box.x1, box.y1) for box in small.damaged_l0]
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    region = region_from_tissue([*tissue_polygons(mask, small.downsample_l0), *unknown], whole)
    return Tissue(region, why_empty(small.image, mpp=mpp, config=config) if region.empty else "")
