"""Instances from nuclear evidence, by rules that look no further than :func:`halo_px`.

A pixel's instance follows from the evidence near it and from nothing else, so that a window with enough halo gives
the same instances as the whole plane. Each step is local for a reason that can be pointed at:

1. *Sharpen*: integer box sums of fixed width.
2. *Fill holes* at every level: only holes of bounded extent, which lie in the window as a whole or are left alone.
3. *Candidates* are the connected components of the evidence at 16 thresholds, or 32. One that is longer than
   ``max_diameter_um`` is refused, and so is one that touches the border of the window: near the core that is
   one that is too long.
4. *Choose*: by shape, a candidate is an instance when no candidate inside it scores better and none around it was
   chosen; by depth, when it has one peak and none around it has one only. Candidates nest, those around it are no
   longer than ``max_diameter_um``, and no others matter.
5. *Grow* by whole steps: a free pixel joins whatever its highest neighbour belongs to, whoever else is near.
6. *Drop* what is narrower than ``min_width_um``, each by its own pixels.

Scores (:mod:`wsipsm.cells.nucleus_shape`) are the same to the bit wherever the window lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.cells.component_tree import ComponentTree, Ints, Levels, Sums, component_tree
from wsipsm.cells.nucleus_shape import Moments, label_moments, nucleus_score
from wsipsm.config import LabelsConfig
from wsipsm.core.geometry import Labels, Mask, crop
from wsipsm.core.maps import DECISION

Evidence = npt.NDArray[np.uint8]
"""uint8, (y, x): 0 background, 128 the border of the pseudo mask, 255 surely nucleus."""


_MIN_SCORE = 0.02
_MIN_MASKED = 0.5


@dataclass(frozen=True, slots=True)
class _Limits:
    """The configuration in grid pixels."""

    sharpen: int
    hole_area: int
    hole_extent: int
    extent: int
    min_area: float
    max_area: float
    growth: int
    usual_area_um2: tuple[float, float, float, float]
    min_width: float
    step: int
    split_levels: int  # 0 where shape decides

    @classmethod
    def of(cls, config: LabelsConfig, mpp: float) -> _Limits:
        step = 128 // config.levels
        return cls(
            sharpen=round(config.sharpen_um / mpp),
            hole_area=round(config.max_hole_um2 / mpp**2),
            hole_extent=round(1.5 * math.sqrt(config.max_hole_um2) / mpp),
            extent=round(config.max_diameter_um / mpp),
            min_area=max(2, config.min_area_um2 / mpp**2),  # a single pixel's highest neighbour is not its own
            max_area=config.max_area_um2 / mpp**2,
            growth=round(config.growth_um / mpp),
            usual_area_um2=config.usual_area_um2,
            min_width=config.min_width_um / mpp,
            step=step,
            split_levels=max(1, round(config.split_height * 127 / step)) if config.split == "h_maxima" else 0,
        )

    @property
    def blind(self) -> int:
        """Pixels along the window's border where the filled evidence is not yet that of the plane."""
        return 2 * self.sharpen + self.hole_extent


def halo_px(config: LabelsConfig, mpp: float) -> int:
    """Context that makes :func:`instances` exact, in pixels.

    With at least this much evidence around a core, the instances whose anchors lie in the core have exactly the
    pixels they have in any larger window, and so has every pixel of the core its instance.

    Examples
    --------
    >>> halo_px(LabelsConfig(max_diameter_um=32, max_hole_um2=30, sharpen_um=1.5, growth_um=1), mpp=0.5)
    91
    """
    limits = _Limits.of(config, mpp)
    return limits.blind + limits.extent + 2 * limits.growth + 1


def instances(evidence: Evidence, mask: Mask, *, mpp: float, config: LabelsConfig) -> npt.NDArray[np.int32]:
    """Instances of a window.

    The window is all there is: a cell that reaches its border region is not found. To keep the cells at the edge
    of a plane, pad the plane with zeros by :func:`halo_px`.

    Parameters
    ----------
    evidence : (y, x) uint8
        Nuclear evidence, smooth on the scale of a pixel: 0 background, 128 the border of the pseudo mask.
    mask : (y, x) bool
        Pseudo mask; at least half of an instance, before its growth, lies in it.
    mpp : float
        Micrometres per pixel.
    config : LabelsConfig
        Limits in micrometres.

    Returns
    -------
    (y, x) int32
        0 is background; instances are 1, 2, ... in the order of their anchors. Each is 4-connected.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    from wsipsm.cells.compiled import pixels

    if evidence.shape != mask.shape or evidence.ndim != 2:
        raise ValueError(f"expected evidence and mask of one shape (y, x), got {evidence.shape} and {mask.shape}")
    limits = _Limits.of(config, mpp)
    labels = np.zeros(evidence.shape, np.int32)
    inner = tuple(slice(limits.blind, side - limits.blind) for side in evidence.shape)
    if min(evidence.shape) <= 2 * limits.blind:
        return labels
    levels = np.ascontiguousarray(crop(_to_levels(_sharpen(evidence, limits.sharpen), limits.step), 2 * limits.sharpen))
    levels = np.ascontiguousarray(crop(_fill_holes(levels, limits), limits.hole_extent))
    tree = component_tree(levels)
    if tree.parent.size:
        found = _choose(tree, levels.shape, mask[inner], limits, mpp)
        grown = found.copy()
        pixels.grow(grown, found, levels, limits.growth, (tree.begin, tree.end, tree.row))
        if limits.min_width:
            grown = _wide_enough(grown, limits.min_width)
        pixels.renumber(grown, np.zeros(len(tree.parent) + 1, np.int32))
        labels[inner] = grown
    return labels


def anchors(labels: Labels) -> Ints:
    """Anchor of each instance: its first pixel in scan order, the leftmost of its topmost row.

    Parameters
    ----------
    labels : (y, x) integer
        0 is background.

    Returns
    -------
    (N, 2) int64
        (x, y) of label 1, 2, ... up to the highest; (-1, -1) for a label that has no pixel.

    Examples
    --------
    >>> anchors(np.array([[0, 0, 2], [1, 2, 2]])).tolist()
    [[0, 1], [2, 0]]
    """
    from wsipsm.cells.compiled import pixels

    return pixels.first_pixels(labels, int(labels.max(initial=0)))


def _sharpen(evidence: Evidence, half: int) -> Evidence:
    """Evidence plus half of what it stands above its surroundings; right 2 * half from the border."""
    if half == 0:
        return evidence
    side = 2 * half + 1
    # Float64 holds these whole numbers exactly, at any resolution; int32 would not.
    around = cv2.boxFilter(evidence, cv2.CV_64F, (side, side), normalize=False)
    around = cv2.boxFilter(around, cv2.CV_64F, (side, side), normalize=False)
    sharp = np.floor(((3.0 * side**4) * evidence - around + side**4) / (2 * side**4))
    return np.clip(sharp, 0, 255).astype(np.uint8)


def _to_levels(evidence: Evidence, step: int) -> Levels:
    """0 below 128, then one more every ``step``."""
    table: Levels = np.maximum((np.arange(256) - DECISION) // step + 1, 0).astype(np.uint8)
    return np.asarray(cv2.LUT(evidence, table), np.uint8)


def _fill_holes(levels: Levels, limits: _Limits) -> Levels:
    """Raise every hole, at every level, that is small and does not touch the border."""
    from wsipsm.cells.compiled import holes

    if limits.hole_area == 0 or not levels.any():
        return levels
    filled, no_hole = levels.copy(), np.full_like(levels, levels.max())
    holes.raise_holes(filled, levels, no_hole, _lowest_pixels(levels), (limits.hole_area, limits.hole_extent))
    return filled


def _lowest_pixels(levels: Levels) -> Ints:
    """Flat indices, (N,) int64, of pixels whose neighbours of 8 are not lower, and those before them all higher.

    Every hole has a lowest flat, and so the first pixel of that.
    """
    before = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
    low = (levels < cv2.erode(levels, before)) & (levels <= cv2.erode(levels, before[::-1, ::-1]))
    return np.flatnonzero(low)


def _within(sums: Sums, shape: tuple[int, ...], extent: int) -> Mask:
    """Which nodes are at most ``extent`` wide and high and do not touch the border of the map."""
    short = (sums.x1 - sums.x0 < extent) & (sums.y1 - sums.y0 < extent)
    return short & (sums.x0 > 0) & (sums.y0 > 0) & (sums.x1 < shape[1] - 1) & (sums.y1 < shape[0] - 1)


def _choose(
    tree: ComponentTree, shape: tuple[int, ...], mask: Mask, limits: _Limits, mpp: float
) -> npt.NDArray[np.int32]:
    """Pixels of the chosen candidates."""
    sums = tree.sums()
    candidate = (sums.area >= limits.min_area) & (sums.area <= limits.max_area) & _within(sums, shape, limits.extent)
    candidate &= tree.count(mask) >= _MIN_MASKED * sums.area
    if limits.split_levels:
        chosen = tree.topmost(candidate & ~_split(tree, limits.split_levels))
    else:
        chosen = tree.topmost(_best_shaped(tree, sums, candidate, limits, mpp))
    return tree.paint(chosen + 1, shape)


def _split(tree: ComponentTree, levels: int) -> Mask:
    """Which nodes hold two peaks or more that stand ``levels`` above the saddle between them."""
    peak, inner = tree.maximum(tree.level), tree.parent >= 0
    stands = inner & (peak - tree.level[tree.parent] >= levels)
    branches = np.bincount(tree.parent[stands], minlength=peak.size)
    return tree.maximum(branches > 1) > 0


def _best_shaped(tree: ComponentTree, sums: Sums, candidate: Mask, limits: _Limits, mpp: float) -> Mask:
    """Which candidates score as well as all inside them."""
    score = np.zeros(candidate.size)
    moments = Moments.of_sums(sums).of(candidate)
    score[candidate] = nucleus_score(moments, mpp=mpp, usual_area_um2=limits.usual_area_um2)
    score[score < _MIN_SCORE] = 0
    return np.asarray((score > 0) & (score == tree.maximum(score)))


def _wide_enough(labels: npt.NDArray[np.int32], min_width: float) -> npt.NDArray[np.int32]:
    """Labels without those whose moment ellipse is narrower than ``min_width`` pixels."""
    wide = np.concatenate([[True], label_moments(labels).widths() >= min_width])
    return np.where(wide[labels], labels, 0).astype(np.int32)
