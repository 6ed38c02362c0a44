"""Overlap table of two label images, from which every measure of an image is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import EvaluationError

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Areas of the objects of two label images and of their overlaps, in pixels.

    Objects are numbered from 0 in the order of their first pixel in scan order, so that ties are decided alike
    however the objects are labelled.

    Attributes
    ----------
    true_labels, found_labels : (N,), (M,) int64
        Label of each object in its image.
    true_areas, found_areas : (N,), (M,) int64
        Pixels of each object.
    pair_true, pair_found : (K,) int64
        Numbers of the two objects of each overlapping pair, sorted.
    pixels : (K,) int64
        Pixels of the intersection, at least 1.
    """

    true_labels: _Ints
    found_labels: _Ints
    true_areas: _Ints
    found_areas: _Ints
    pair_true: _Ints
    pair_found: _Ints
    pixels: _Ints

    @property
    def unions(self) -> _Ints:
        """Pixels of the union of each pair; (K,)."""
        unions: _Ints = self.true_areas[self.pair_true] + self.found_areas[self.pair_found] - self.pixels
        return unions

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of each pair, above 0 to 1; (K,)."""
        return self.pixels / self.unions


def overlap(truth: npt.NDArray[Any], found: npt.NDArray[Any]) -> Overlap:
    """Overlap table of two label images.

    Parameters
    ----------
    truth, found : (H, W) int
        Label images of one shape, 0 is background; labels need be neither consecutive nor connected.

    Raises
    ------
    EvaluationError
        Shapes differ, or an array is not a label image.

    Examples
    --------
    >>> overlap(np.array([[1, 1, 0]]), np.array([[0, 7, 7]])).pixels
    array([1])
    """
    for name, array in (("truth", truth), ("prediction", found)):
        check_labels(name, array)
    if truth.shape != found.shape:
        raise EvaluationError(
            f"shapes differ: the truth is {truth.shape[1]} x {truth.shape[0]} px, the prediction {found.shape[1]} x "
            f"{found.shape[0]} px; both must lie in the pixels of the truth's image"
        )
    true_labels, true_areas, first = _number(truth)
    found_labels, found_areas, second = _number(found)
    both = (first > 0) & (second > 0)
    width = max(len(found_labels), 1)
    codes, pixels = np.unique((first[both] - 1) * width + second[both] - 1, return_counts=True)
    return Overlap(true_labels, found_labels, true_areas, found_areas, codes // width, codes % width, pixels)


def check_labels(name: object, array: npt.NDArray[Any]) -> None:
    """Raise `EvaluationError` unless an array is a label image; ``name`` begins the message."""
    if array.ndim != 2:
        raise EvaluationError(f"{name}: not a label image: shape {array.shape}, expected (height, width)")
    if not np.issubdtype(array.dtype, np.integer):
        raise EvaluationError(f"{name}: not a label image: {array.dtype} values, expected integers, 0 as background")
    if array.size and array.min() < 0:
        raise EvaluationError(f"{name}: not a label image: a label is {array.min()}, expected 0 or more")


def _number(labels: npt.NDArray[Any]) -> tuple[_Ints, _Ints, _Ints]:
    """Labels and areas of the objects in order of first pixel, and the flat image of their numbers from 1."""
    flat = labels.ravel().astype(np.int64)
    # Labels may be sparse and large; a table up to the largest label is used only while it is short.
    if flat.max(initial=0) > 4 * flat.size:
        flat = np.unique(flat, return_inverse=True)[1] + (flat.min() > 0)
    pixels = np.flatnonzero(flat)
    owners = flat[pixels]
    areas = np.bincount(owners, minlength=1)
    starts = np.full(len(areas), flat.size)
    starts[owners[::-1]] = pixels[::-1]  # of repeated indices the last one stays: the first pixel
    order = np.argsort(starts, kind="stable")[: np.count_nonzero(areas)]
    numbers = np.zeros(len(areas), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    originals = labels.ravel()[starts[order]].astype(np.int64)
    return originals, areas[order], numbers[flat]
