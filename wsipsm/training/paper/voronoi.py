"""Voronoi labels (Qu et al. 2019, section 2.1): dots are certainly nucleus, edges between points background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from wsipsm.core.geometry import Mask
from wsipsm.results.draw import label_edges

BACKGROUND, NUCLEUS, IGNORED = 0, 1, 2
"""Classes of the targets; ``IGNORED`` takes no part in a loss."""

Points = npt.NDArray[np.int64]
"""(n, 2) int64, (x, y) pixels."""

Targets = npt.NDArray[np.uint8]
"""(y, x) uint8 of BACKGROUND, NUCLEUS and IGNORED."""


def voronoi_edges(points: Points, shape: tuple[int, int]) -> Mask:
    """Pixels that have a 4-neighbour in another point's Voronoi cell: edges two pixels wide.

    Parameters
    ----------
    points : (n, 2) int64
        (x, y) inside the plane, distinct.
    shape : (y, x)
        Of the plane.

    Returns
    -------
    (y, x) bool
        Nothing for fewer than two points.

    Examples
    --------
    >>> voronoi_edges(np.array([[0, 0], [5, 0]]), (1, 6)).astype(int).tolist()
    [[0, 0, 1, 1, 0, 0]]
    """
    if len(points) < 2:
        return np.zeros(shape, np.bool_)
    free = np.ones(shape, np.bool_)
    free[points[:, 1], points[:, 0]] = False
    nearest = distance_transform_edt(free, return_distances=False, return_indices=True)
    return label_edges(nearest[0] * shape[1] + nearest[1] + 1)


def voronoi_targets(points: Points, shape: tuple[int, int], *, dot_radius_px: int) -> Targets:
    """Targets of the points (Qu et al. 2019, section 2.1): their disks are nucleus, edges background, the rest ignored.

    Parameters
    ----------
    points : (n, 2) int64
        (x, y) inside the plane.
    shape : (y, x)
        Of the plane.
    dot_radius_px : int
        Radius of a disk; 0 is one pixel. Where a disk meets an edge, the disk wins.
    """
    distinct = np.unique(points, axis=0)
    targets = np.full(shape, IGNORED, np.uint8)
    targets[voronoi_edges(distinct, shape)] = BACKGROUND
    dots = np.zeros(shape, np.uint8)
    dots[distinct[:, 1], distinct[:, 0]] = 1
    targets[cv2.dilate(dots, disk(dot_radius_px)) > 0] = NUCLEUS
    return targets


def mask_targets(mask: Mask, *, learn_foreground: bool) -> Targets:
    """Targets of a pseudo mask: background, and nucleus or ignored where the mask is true."""
    return np.where(mask, NUCLEUS if learn_foreground else IGNORED, BACKGROUND).astype(np.uint8)


def disk(radius: int) -> npt.NDArray[np.uint8]:
    """Pixels at most ``radius`` from the middle, (2 radius + 1, 2 radius + 1) uint8.

    Examples
    --------
    >>> disk(1).tolist()
    [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside: npt.NDArray[np.uint8] = (y * y + x * x <= radius * radius).astype(np.uint8)
    return inside
