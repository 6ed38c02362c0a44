"""Levels of a slide, found without labels: how strong the network's input is, and where outlines lie.

*Input scale.* The network sees optical density over the 99th percentile of the slide's tissue. Where nuclei are few,
that is not the density of nuclei, and fibres become nuclei. So cells are sought in sampled windows at a few scales, and
the one is taken that gives most cells that look like nuclei and fewest that do not: the sum of (confidence - 0.4).

*Threshold.* The stain falls from nuclei to their surroundings over a blurred edge. Outlines lie where it has fallen
half way: the full width at half maximum, by which the size of anything blurred is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.cells.confidence import confidences
from wsipsm.cells.instances import halo_px, instances
from wsipsm.cells.regions import largest_components
from wsipsm.config import LabelsConfig, SegmenterConfig
from wsipsm.core.geometry import Map, crop
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.resolution import NuclearScale
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of
from wsipsm.stain.normalise import SlideStats, stain_density
from wsipsm.stain.optics import Floats

SCALES = (1.25, 1.6, 2.0)
"""Input scales that are tried."""
BREAK_EVEN = 0.4
"""Confidence at which a cell speaks neither for a scale nor against it."""
THRESHOLDS = (0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02)
"""Distances that outlines may lie at."""
USUAL_THRESHOLD = 0.06
"""Distance at which cells are sought to choose a scale, and where too few nuclei are seen to find one."""
LEAST_CELLS = 10
"""Fewer confident cells say little about a slide."""

_LEAST_PX = 300
_RIM_PX = 24
"""Border of a window that is left out: the network saw nothing beyond it."""
_GAP_PX = 8


def _disk(squared: int) -> npt.NDArray[np.uint8]:
    """Pixels whose squared distance from the one in the middle is at most so much; px²."""
    reach = math.isqrt(squared)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk: npt.NDArray[np.uint8] = (y * y + x * x <= squared).astype(np.uint8)
    return disk


_BESIDE, _DEEP, _NEAR, _FAR = _disk(1), _disk(5), _disk(4), _disk(13)
"""Pixels up to 1.2 px from an outline are beside it, from 2.5 px on deep inside, and from 2.2 to 4 px a little away: as
squared distances of pixels, which are whole numbers, up to 1, above 6.25, and above 4.84 and below 16."""

_Maps = tuple[Map, Map]


@dataclass(frozen=True, slots=True)
class Levels:
    """What was found on a slide.

    Attributes
    ----------
    input_scale : float
        Factor on the percentiles of density by which the network's input is divided.
    threshold : float
        Distance at the outlines.
    scores : dict
        Sum of (confidence - 0.4) of the cells of the windows, by input scale.
    cells : int
        Cells of the windows whose confidence is above 0.4, at the scale that was taken.
    nuclear_scale : NuclearScale, optional
        How far the resolution seems off; none where that cannot be told.
    """

    input_scale: float
    threshold: float
    scores: dict[str, float]
    cells: int
    nuclear_scale: NuclearScale | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Levels:
        """Inverse of :meth:`to_dict`."""
        size = table.get("nuclear_scale")
        return cls(**table | {"nuclear_scale": NuclearScale(**size) if size else None})


def find_levels(
    windows: npt.NDArray[np.uint8],
    net: SegmentationNet,
    stats: SlideStats,
    *,
    config: SegmenterConfig,
    rules: LabelsConfig,
    threads: ThreadPoolExecutor,
) -> Levels:
    """Levels of a slide.

    Parameters
    ----------
    windows : (n, p, p, 3) uint8
        RGB at the resolution of the network.
    net : SegmentationNet
        Trained.
    stats : SlideStats
        Of the slide.
    config : SegmenterConfig
        ``input_scale`` and ``threshold`` are taken where they are set.
    rules : LabelsConfig
        How instances are found.
    threads : ThreadPoolExecutor
        That compute, each one scale at a time.
    """
    scales = SCALES if config.input_scale is None else (config.input_scale,)

    def seen_at(scale: float) -> tuple[list[_Maps], npt.NDArray[np.float64]]:
        maps = _maps(windows, net, stats.scaled(scale))
        return maps, _confidences(maps, net.mpp, config, rules)

    seen = dict(zip(scales, threads.map(seen_at, scales), strict=True))
    confidence = {scale: values for scale, (_, values) in seen.items()}
    scores = {scale: round(float((values - BREAK_EVEN).sum()), 3) for scale, values in confidence.items()}
    best = max(scales, key=lambda scale: scores[scale])
    threshold = config.threshold
    if threshold is None:
        nuclear = [crop(stain_density(window, stats)[0], _RIM_PX) for window in windows]
        threshold = half_maximum(nuclear, [distance for _, distance in seen[best][0]])
    sure = int((confidence[best] > BREAK_EVEN).sum())
    return Levels(best, threshold, {f"{scale:g}": score for scale, score in scores.items()}, sure)


def _maps(windows: npt.NDArray[np.uint8], net: SegmentationNet, stats: SlideStats) -> list[_Maps]:
    """Probability and distance of every window without its rim."""
    return net.maps_inside(list(windows), stats, rim_px=_RIM_PX)


def _confidences(
    maps: Sequence[_Maps], mpp: float, config: SegmenterConfig, rules: LabelsConfig
) -> npt.NDArray[np.float64]:
    """Confidence of every cell of the windows, laid side by side on background."""
    smoothing_px = config.distance_smoothing_um / mpp
    evidence = _sheet(
        [evidence_of(distance, threshold=USUAL_THRESHOLD, smoothing_px=smoothing_px) for _, distance in maps],
        around=halo_px(rules, mpp),
    )
    probability = _sheet([np.rint(p * 255).astype(np.uint8) for p, _ in maps], around=halo_px(rules, mpp))
    labels = instances(evidence, evidence >= DECISION, mpp=mpp, config=rules)
    components = largest_components(labels, np.ones(int(labels.max(initial=0)), bool))
    return confidences(components, probability, evidence, mpp=mpp)


def _sheet(tiles: Sequence[npt.NDArray[np.uint8]], *, around: int) -> npt.NDArray[np.uint8]:
    """Tiles in rows with gaps of 0 between them and a margin of 0."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows, step = -(-len(tiles) // columns), np.array(tiles[0].shape) + _GAP_PX
    height, width = np.array([rows, columns]) * step + 2 * around
    sheet = np.zeros((height, width), np.uint8)
    for number, tile in enumerate(tiles):
        y, x = np.array(divmod(number, columns)) * step + around
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet


def half_maximum(nuclear: Sequence[Floats], distances: Sequence[Map]) -> float:
    """Threshold at which the stain at the outlines is half way between inside and outside.

    Parameters
    ----------
    nuclear, distances : sequence of (y, x) float32
        Nuclear stain and distance map of the same windows.

    Returns
    -------
    float
        Between the ends of `THRESHOLDS`; `USUAL_THRESHOLD` where too little is seen.
    """
    shares = [_share_at_outline(nuclear, distances, threshold) for threshold in THRESHOLDS]
    if not all(np.isfinite(shares)):
        return USUAL_THRESHOLD
    falling = np.minimum.accumulate(shares)  # outlines further out are paler, noise aside
    return float(np.exp(np.interp(0.5, falling[::-1], np.log(THRESHOLDS)[::-1])))


def _share_at_outline(nuclear: Sequence[Floats], distances: Sequence[Map], threshold: float) -> float:
    """Where the stain beside the outlines lies between that outside, 0, and that inside of nuclei, 1."""
    sums, counts = np.zeros(4), np.zeros(4)
    for plane, distance in zip(nuclear, distances, strict=True):
        for number, zone in enumerate(zones(distance > threshold)):
            sums[number] += float(plane[zone].sum(dtype=np.float64))
            counts[number] += np.count_nonzero(zone)
    if counts.min() < _LEAST_PX:
        return float("nan")
    inner, outer, inside, outside = sums / counts
    return float(((inner + outer) / 2 - outside) / (inside - outside)) if inside > outside else float("nan")


def zones(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """Pixels of (y, x) beside the outlines, inside and outside, those deep inside, and those a little away."""
    nuclei = mask.view(np.uint8)
    shrunk, deep = (cv2.erode(nuclei, disk).view(bool) for disk in (_BESIDE, _DEEP))
    grown, near, far = (cv2.dilate(nuclei, disk).view(bool) for disk in (_BESIDE, _NEAR, _FAR))
    return [mask & ~shrunk, grown & ~mask, deep, far & ~near]
