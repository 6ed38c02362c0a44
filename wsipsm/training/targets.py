"""Targets of the segmenter from pseudo labels: nucleus mask, normalised distance map, and a weight for each pixel."""

from __future__ import annotations

from collections.abc import Iterator
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
    nucleus : (y, x) uint8 or float32
        1 in a nucleus, else 0; or the probability of nucleus.
    distance : (y, x) float32
        Normalised distance map, see :func:`distance_map`.
    weight : (y, x) float32
        Weight of a pixel in the loss, 0 to 1.
    """

    nucleus: npt.NDArray[np.uint8] | Floats
    distance: Floats
    weight: Floats


def make_target(labels: Instances, probability: Map, image: Image, config: TrainingConfig, *, mpp: float) -> Target:
    """Target of a field from its pseudo labels.

    Doubtful instances, see :func:`trusted`, get a low weight, and so do pixels that are likely nucleus but belong to no
    instance. Every instance is extended to its convex hull, as nuclei are convex: dents of the labels are not learnt.

    Parameters
    ----------
    labels : (y, x) int32
        Instances.
    probability : (y, x) float32
        Probability of nucleus, 0 to 1.
    image : (y, x, 3) uint8
        RGB.
    config : TrainingConfig
        Thresholds and weight of doubtful labels.
    mpp : float
        Micrometres per pixel.
    """
    good = trusted(labels, probability, image, config, mpp=mpp)
    weight = np.where(good[labels], 1.0, config.doubtful_weight).astype(np.float32)
    weight[(labels == 0) & (probability > config.likely)] = config.doubtful_weight
    shaped = convex(labels)
    return Target((shaped > 0).astype(np.uint8), distance_map(shaped), weight)


def trusted(
    labels: Instances, probability: Map, image: Image, config: TrainingConfig, *, mpp: float
) -> npt.NDArray[np.bool_]:
    """Which instances are trusted, (N + 1,) bool by label; background always is.

    Trusted is what is neither tiny nor uncertain, fills its moment ellipse, and is darker than the ring around it; see
    the ``training.trusted_*`` settings.

    Parameters
    ----------
    labels : (y, x) int32
        N instances, 0 is background.
    probability : (y, x) float32
        Of nucleus, from 0 to 1.
    image : (y, x, 3) uint8
        RGB of the field.
    config : TrainingConfig
        The ``trusted_*`` keys are used.
    mpp : float
        Micrometres per pixel.
    """
    darkness = optical_density(image).mean(axis=-1)
    good = np.ones(int(labels.max(initial=0)) + 1, bool)
    for label, box in _boxes(labels):
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
    """Area of a shape over that of the ellipse with the same second moments, 4 pi sqrt(det covariance); at most 1.

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
    """Instances extended to the unlabelled pixels of their convex hulls; (y, x) int32."""
    shaped = labels.copy()
    for label, box in _boxes(labels):
        mask = (labels[box] == label).view(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = np.zeros_like(mask)
        cv2.fillPoly(hull, [cv2.convexHull(np.concatenate(outlines))], 1)
        here = shaped[box]
        here[(here == 0) & (hull > 0)] = label
    return shaped


def distance_map(labels: Instances) -> Floats:
    """Distance of each pixel to the outline of its instance, divided by the largest in that instance.

    One map instead of the two of HoVer-Net (Graham et al. 2019) or the rays of StarDist (Schmidt et al. 2018).

    Returns
    -------
    (y, x) float32
        0 outside of instances, else above 0 and at most 1.
    """
    normalised = np.zeros(labels.shape, np.float32)
    for label, box in _boxes(labels):
        mask = np.pad(labels[box] == label, 1).view(np.uint8)
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        # The last bits of OpenCV's root depend on where the array lies in memory; its square is a whole number.
        squared = np.rint(distance.astype(np.float64) ** 2)
        inside = mask[1:-1, 1:-1] > 0
        normalised[box][inside] = np.sqrt(squared[inside] / squared.max())
    return normalised


def _boxes(labels: Instances) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Label and bounding box of every instance."""
    return ((label, box) for label, box in enumerate(find_objects(labels), start=1) if box is not None)
