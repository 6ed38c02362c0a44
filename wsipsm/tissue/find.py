"""Tissue region of a slide, for runs and for trainings."""

from __future__ import annotations

import shapely

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Box
from wsipsm.slide import Slide
from wsipsm.tissue.mask import tissue_mask, tissue_polygons
from wsipsm.tissue.region import Region, region_from_tissue


def find_tissue(slide: Slide, config: TissueConfig) -> Region:
    """Region of the tissue of a slide, level-0 px; empty where there is none.

    Parts of the overview that cannot be read belong to it, as they may be tissue: they are read at full size
    later, or reported as damaged then.
    """
    small = slide.thumbnail(config.mpp)
    mask = tissue_mask(small.image, mpp=slide.mpp_l0 * small.downsample_l0, config=config)
    unknown = [shapely.box(box.x0, box.y0, box.x1, box.y1) for box in small.damaged_l0]
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    return region_from_tissue([*tissue_polygons(mask, small.downsample_l0), *unknown], whole)
