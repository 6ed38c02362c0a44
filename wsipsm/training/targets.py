"""What the segmenter learns from labels that nobody drew: nucleus, depth, and how far each pixel is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from wsipsm.config import TrainingConfig
from wsipsm.core.geometry import Image, Map
from wsipsm.stain.optics import Floats, optical_density

Instances = npt.NDArray[np.int32]
"""(y, x) int32; 0 is background."""

_RING_PX = 3


@dataclass(frozen=True, slots=True)
class Target:
    """Target of one field.

    Attributes
    ----------
    nucleus : (y, x) uint8
        1 in a nucleus.
    depth : (y, x) float32
        0 outside; inside a nucleus the distance to its outline over the largest in that nucleus.
    weight : (y, x) float32
        How far a pixel is trusted, 0 to 1.
    """

    nucleus: npt.NDArray[np.uint8]
    depth: Floats
    weight: Floats


def make_target(labels: Instances, probability: Map, image: Image, config: TrainingConfig, *, mpp: float) -> Target:
    """Target of a field from labels that a teacher, or the segmenter of the round before, gave.

    Instances that do not fill their moment ellipse, hardly stand out from their surroundings, are tiny or were not sure
    count little, and so do pixels that may be nucleus and belong to no instance. The others are made convex, as
    nuclei are: what the labels miss of a shape is not learnt.

    Parameters
    ----------
    labels : (y, x) int32
        Instances.
    probability : (y, x) float32
        Of nucleus, 0 to 1.
    image : (y, x, 3) uint8
        RGB.
    config : TrainingConfig
        What is trusted.
    mpp : float
        Micrometres per pixel.
    """
    good = trusted(labels, probability, image, config, mpp=mpp)
    weight = np.where(good[labels], 1.0, config.doubtful_weight).astype(np.float32)
    weight[(labels == 0) & (probability > config.likely)] = config.doubtful_weight
    shaped = convex(labels)
    return Target((shaped > 0).astype(np.uint8), depth(shaped), weight)


def trusted(
    labels: Instances, probability: Map, image: Image, config: TrainingConfig, *, mpp: float
) -> npt.NDArray[np.bool_]:
    """Which instances are trusted, (N + 1,) bool by label; background always is."""
    darkness = optical_density(image).mean(axis=-1)
    good = np.ones(int(labels.max(initial=0)) + 1, bool)
    for label, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        near = tuple(slice(max(side.start - _RING_PX, 0), side.stop + _RING_PX) for side in box)
        mask = labels[near] == label
        ring = cv2.dilate(mask.view(np.uint8), np.ones((2 * _RING_PX + 1,) * 2, np.uint8)).astype(bool)
        ring &= labels[near] == 0
        inside = float(darkness[near][mask].mean())
        outside = float(darkness[near][ring].mean()) if ring.any() else 0.0
        good[label] = (
            mask.sum() * mpp**2 >= config.trusted_area_um2
            and ellipse_fill(mask) >= config.trusted_fill
            and inside - outside >= config.trusted_contrast * inside
            and probability[near][mask].mean() >= config.trusted_probability
        )
    return good


def ellipse_fill(mask: npt.NDArray[np.bool_]) -> float:
    """Share of its moment ellipse that a shape fills: area / (4 pi sqrt det covariance), at most 1.

    Examples
    --------
    >>> y, x = np.mgrid[-20:21, -20:21]
    >>> round(ellipse_fill(x**2 / 4 + y**2 < 81), 2), round(ellipse_fill(np.abs(abs(x) - 10) < 4), 2)
    (1.0, 0.38)
    """
    y, x = (side.astype(np.float64) for side in np.nonzero(mask))
    if len(y) < 3:
        return 1.0
    spread = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12  # 1/12 is the variance of a pixel
    return float(min(1.0, len(y) / (4 * np.pi * np.sqrt(np.linalg.det(spread)))))


def convex(labels: Instances) -> Instances:
    """Each instance with the free pixels of its convex hull; (y, x) int32."""
    shaped = labels.copy()
    for label, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        mask = (labels[box] == label).view(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = np.zeros_like(mask)
        cv2.fillPoly(hull, [cv2.convexHull(np.concatenate(outlines))], 1)
        here = shaped[box]
        here[(here == 0) & (hull > 0)] = label
    return shaped


def depth(labels: Instances) -> Floats:
    """Distance to the outline of each pixel's instance over the largest in that instance; (y, x) float32, 0 to 1."""
    found = np.zeros(labels.shape, np.float32)
    for label, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        mask = np.pad(labels[box] == label, 1).view(np.uint8)
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        # OpenCV's root has other last bits wherever the array lies in memory; its square is a whole number.
        squared = np.rint(distance.astype(np.float64) ** 2)
        here = found[box]
        inside = mask[1:-1, 1:-1] > 0
        here[inside] = np.sqrt(squared[inside] / squared.max())
    return found
