"""Morphology and smoothing of small planes; diameters are pixels."""

from __future__ import annotations

import cv2
import numpy as np

from wsipsm.core.geometry import Image, Map, Mask


def without_small(pixels: Image, min_px: float, *, connectivity: int) -> Image:
    """Connected components of at least ``min_px`` pixels.

    Parameters
    ----------
    pixels : (y, x) uint8
        Not 0 where a pixel belongs to a component.
    min_px : float
        Least number of pixels of one that stays.
    connectivity : {4, 8}
        Neighbours of a pixel.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=connectivity)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_px
    keep[0] = False
    kept: Image = keep[labels].astype(np.uint8)
    return kept


def smooth(plane: Map, seen: Mask, sigma_px: float) -> Map:
    """Gaussian mean of the seen pixels.

    Parameters
    ----------
    plane : (y, x) float32
        Values.
    seen : (y, x) bool
        Pixels that count.
    sigma_px : float
        Of the Gaussian.
    """
    if sigma_px == 0:
        return plane
    sigma_px = max(sigma_px, 0.8)
    sums, weights = (
        cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
        for values in (plane * seen, seen.astype(np.float32))
    )
    mean: Map = sums / (weights + np.float32(1e-6))
    return mean


def opened(pixels: Image, diameter_px: float) -> Image:
    """Drop what a disc does not fit into."""
    return np.asarray(cv2.morphologyEx(pixels, cv2.MORPH_OPEN, _disk(diameter_px)), np.uint8)


def dilated(pixels: Image, diameter_px: float) -> Image:
    """Grow by half the diameter."""
    return np.asarray(cv2.dilate(pixels, _disk(diameter_px)), np.uint8)


def eroded(pixels: Image, diameter_px: float) -> Image:
    """Shrink by half the diameter; the edge of the picture does not."""
    return np.asarray(cv2.erode(pixels, _disk(diameter_px)), np.uint8)


def _disk(diameter_px: float) -> Image:
    radius = round(diameter_px / 2)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
