"""Whole cells: nuclei that are grown by a fixed distance, without overlap.

A pixel within the distance of a nucleus belongs to the nucleus that is nearest to it, by the Euclidean distance between
centres of pixels, as whole squares; of equally near ones, to the one whose anchor comes first in scan order. Every
nucleus that was found takes part, whether its cell is written or not: an outline does not depend on what is refused.

Cells stay in one piece, which the nearest nucleus alone does not ensure on a lattice: a pixel is reached over the
neighbour (of four) that lies in the direction of the nucleus, and where that neighbour is another cell's, the pixel is
too. So a pixel's cell follows from the nuclei within `reach_px` of it, and from nothing else.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.config import LabelsConfig
from wsipsm.core.geometry import Box, Labels

_Ints = npt.NDArray[np.int64]
_Labels32 = npt.NDArray[np.int32]


def context_px(rules: LabelsConfig, mpp: float, expand_um: float) -> int:
    """How far beyond a core the instances must be exact for the cells of the core to be; 0 where nothing grows.

    The largest nucleus and its growth from its anchor on, a pixel of what lies beside its outline, and what that
    depends on.

    Parameters
    ----------
    rules : LabelsConfig
        Largest diameter and growth of a nucleus.
    mpp : float
        Micrometres per pixel of the working plane.
    expand_um : float
        Distance by which nuclei grow to cells, micrometres.

    Examples
    --------
    >>> context_px(LabelsConfig(max_diameter_um=32, growth_um=4), 0.5, 3)
    103
    """
    if expand_um == 0:
        return 0
    nucleus_px = round(rules.max_diameter_um / mpp) + 2 * round(rules.growth_um / mpp)
    radius_px = expand_um / mpp
    return nucleus_px + _longest_way(_square(radius_px)) + 1 + reach_px(radius_px)


def reach_px(radius_px: float) -> int:
    """How far from a pixel the nuclei lie that its cell follows from."""
    return _longest_way(_square(radius_px)) + math.ceil(radius_px)


def grow(labels: Labels, *, radius_px: float, plane: Box) -> _Labels32:
    """Whole cells of a window.

    Parameters
    ----------
    labels : (y, x) int
        Nuclei: 0 is background, others are numbered in the order of their anchors.
    radius_px : float
        Distance of growth, pixels.
    plane : Box
        Where the slide lies, in the frame of ``labels``; nothing grows beyond it.

    Returns
    -------
    (y, x) int32
        Cells by the numbers of their nuclei; each is 4-connected as far as its nucleus is.
    """
    margin = int(radius_px) + 1
    nuclei = np.pad(labels.astype(np.int32, copy=False), margin)
    stride, cells = nuclei.shape[1], nuclei.copy()
    for square, pixels in _shells(nuclei, radius_px, plane, margin):
        cells.ravel()[pixels] = _owners(pixels, _offsets(square), stride, nuclei.ravel(), cells.ravel())
    return np.ascontiguousarray(cells[margin : margin + labels.shape[0], margin : margin + labels.shape[1]])


def _shells(nuclei: _Labels32, radius_px: float, plane: Box, margin: int) -> list[tuple[int, _Ints]]:
    """Flat indices of the free pixels in reach by their squared distance to the nearest nucleus, the nearest first."""
    distance = cv2.distanceTransform((nuclei == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = (distance > 0) & (distance < radius_px + 0.5)
    there = np.zeros_like(near)
    height, width = nuclei.shape[0] - 2 * margin, nuclei.shape[1] - 2 * margin
    inside = plane.intersect(Box(0, 0, width, height))
    there[margin + inside.y0 : margin + inside.y1, margin + inside.x0 : margin + inside.x1] = True
    pixels = np.flatnonzero(near & there)
    # Squares are whole numbers far below 2**24: rounding makes them exact.
    squares = np.rint(distance.ravel()[pixels].astype(np.float64) ** 2).astype(np.int64)
    kept = squares <= _square(radius_px)
    pixels, squares = pixels[kept], squares[kept]
    order = np.argsort(squares, kind="stable")
    starts = np.flatnonzero(np.diff(squares[order], prepend=-1))
    return [(int(squares[part[0]]), pixels[part]) for part in np.split(order, starts[1:]) if len(part)]


def _owners(
    pixels: _Ints, offsets: list[tuple[int, int]], stride: int, nuclei: _Labels32, cells: _Labels32
) -> _Labels32:
    """Cells of pixels, all at one distance from their nearest nuclei, which lie at some of the offsets (y, x)."""
    none = np.int32(np.iinfo(np.int32).max)
    reached, passed = np.full(len(pixels), none), np.full(len(pixels), none)
    for dy, dx in offsets:
        nucleus = nuclei[pixels + dy * stride + dx]
        there = nucleus > 0
        for step in _steps(dy, dx, stride):
            before = cells[pixels + step]
            np.minimum(passed, before, out=passed, where=there & (before > 0))
            np.minimum(reached, nucleus, out=reached, where=there & (before == nucleus))
    return np.where(reached < none, reached, np.where(passed < none, passed, 0)).astype(np.int32)


def _steps(dy: int, dx: int, stride: int) -> list[int]:
    """Steps to the neighbours in the direction of an offset: along its longer side, along both where they are equal."""
    along_x = [int(math.copysign(1, dx))] if abs(dx) >= abs(dy) else []
    along_y = [int(math.copysign(stride, dy))] if abs(dy) >= abs(dx) else []
    return along_x + along_y


def _square(radius_px: float) -> int:
    """Largest whole square within a radius."""
    return int(radius_px * radius_px + 1e-6)


def _offsets(square: int) -> list[tuple[int, int]]:
    """Offsets (y, x) of this squared length."""
    side = math.isqrt(square)
    span = range(-side, side + 1)
    return [(dy, dx) for dy in span for dx in span if dy * dy + dx * dx == square]


@functools.cache
def _longest_way(square: int) -> int:
    """Most steps from a pixel at this squared distance, or nearer, to its nucleus.

    A step along the longer side, a of them, takes 2 a - 1 from the squared distance, and a is at least the root of
    half of it.
    """
    steps = [0]
    longest = 0
    for here in range(1, square + 1):
        side = math.isqrt((here + 1) // 2 - 1) + 1  # root of half of it, rounded up
        longest = max(longest, 1 + steps[max(here - 2 * side + 1, 0)])
        steps.append(longest)
    return steps[square]
