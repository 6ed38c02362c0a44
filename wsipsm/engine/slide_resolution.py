"""Resolution of a slide by its nuclei, for slides that do not say or say wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import shapely

from wsipsm.config import Config
from wsipsm.core.errors import FitError
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.models import SHIPPED_MPP, shipped_model
from wsipsm.nuclei.nets.device import pick_device
from wsipsm.nuclei.resolution import SPREAD, nuclear_scale
from wsipsm.slide import Slide, open_slide
from wsipsm.stain.normalise import measure_slide
from wsipsm.tissue.find import find_tissue
from wsipsm.tissue.region import Region
from wsipsm.tissue.sampling import Images, patch_boxes, read_boxes

ASSUMED_MPP = 0.5
"""Micrometres per level-0 pixel at which tissue is sought, whatever the slide says; 0.2 to 1 do as well."""
_PATCHES, _PATCH_PX = 24, 384


@dataclass(frozen=True, slots=True)
class MppEstimate:
    """Micrometres per level-0 pixel of a slide, by its nuclei.

    Attributes
    ----------
    mpp_l0 : float
        The estimate.
    low, high : float
        Nine of ten slides lie between them.
    nuclei : int
        Nuclei that it rests on.
    """

    mpp_l0: float
    low: float
    high: float
    nuclei: int


def estimate_mpp(path: Path, config: Config, *, device: str = "cpu") -> MppEstimate:
    """Micrometres per level-0 pixel of a slide, by its nuclei; what the slide says is not looked at.

    Parameters
    ----------
    path : Path
        A slide or a plain image.
    config : Config
        Sections ``tissue``, ``encoder`` (its seed) and ``recognizer`` (the stain) are used.
    device : {'cpu', 'cuda', 'auto'}
        Where the shipped segmenter runs.

    Raises
    ------
    FitError
        Too little tissue or too few nuclei.
    """
    stain = config.recognizer.stain
    with open_slide(path, mpp=ASSUMED_MPP) as slide:
        patches = _patches(slide, config)
    net = load_segmenter(shipped_model(stain), mpp=SHIPPED_MPP, stain=stain, device=pick_device(device))
    found = nuclear_scale(patches, net, measure_slide(patches, stain), mpp=ASSUMED_MPP)
    if found is None:
        raise FitError(f"{path}: too few nuclei for an estimate of the resolution: give it with --slide-mpp")
    mpp = ASSUMED_MPP * found.factor
    return MppEstimate(round(mpp, 3), round(mpp / SPREAD, 3), round(mpp * SPREAD, 3), found.cores)


def _patches(slide: Slide, config: Config) -> Images:
    """Patches of the tissue at level 0; of the whole slide where no tissue is found, as its sizes are unknown."""
    grid = slide.grid(slide.mpp_l0)
    region = find_tissue(slide, config.tissue).region
    if region.empty:
        region = Region(shapely.MultiPolygon([shapely.box(0, 0, slide.width_l0, slide.height_l0)]))
    side = min(_PATCH_PX, grid.width, grid.height)
    sampling = config.encoder.model_copy(update={"patches": _PATCHES, "patch_px": side})
    return read_boxes(slide, patch_boxes(region, grid, sampling), grid)
