"""Scorer of the PSM authors' code (github.com/cpystan/PSM, metrics/metrics.py), for comparison with their numbers.

It uses the foreground alone: objects, also those of the truth, are connected components, so touching nuclei count as
one, and only the central 512 x 512 px are scored. Its AJI pairs a true object without overlap with the first predicted
object, which then counts as used. Read it beside the standard measures, never instead of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from wsipsm.evaluation.overlap import Overlap, overlap

CROP_PX = 512
"""Side of the central square that is scored; ``crop_edge_size`` of the authors' options."""

_EIGHT = np.ones((3, 3), int)


@dataclass(frozen=True, slots=True)
class PaperScores:
    """Measures of the authors' scorer, from 0 to 1.

    Attributes
    ----------
    aji, pixel_f1, object_iou : float
        Their ``aji``, ``p_F1`` and ``iou``.
    n_true, n_found : int
        Numbers of connected components (8-connectivity).
    """

    aji: float
    pixel_f1: float
    object_iou: float
    n_true: int
    n_found: int


def score_paper(truth: npt.NDArray[Any], found: npt.NDArray[Any], *, crop_px: int = CROP_PX) -> PaperScores:
    """Scores of two label images as of the authors' code.

    Parameters
    ----------
    truth, found : (H, W) int
        Label images; all but 0 is foreground. A side shorter than the crop is not cropped.
    crop_px : int
        Side of the crop, pixels.

    Returns
    -------
    PaperScores
        Every measure is 1 if both images are empty, 0 if one is (the authors' code divides by zero).
    """
    table = overlap(*(ndi.label(_crop(image, crop_px) > 0, _EIGHT)[0] for image in (truth, found)))
    n_true, n_found = len(table.true_areas), len(table.found_areas)
    if not n_true or not n_found:
        value = float(n_true == n_found)
        return PaperScores(value, value, value, n_true, n_found)
    total = table.true_areas.sum() + table.found_areas.sum()
    return PaperScores(_aji(table), float(2 * table.pixels.sum() / total), _object_iou(table), n_true, n_found)


def _crop(image: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    y, x = (max(int(length / 2 - side / 2), 0) for length in image.shape)
    return image[y : y + side, x : x + side]


def _aji(table: Overlap) -> float:
    taken = np.zeros(len(table.true_areas), np.int64)  # without overlap the first predicted object, as argmax of zeros
    shared = np.zeros(len(taken), np.int64)
    order = np.lexsort((table.iou, table.pair_true))
    taken[table.pair_true[order]] = table.pair_found[order]  # the last assignment remains: the highest IoU
    shared[table.pair_true[order]] = table.pixels[order]
    unions = table.true_areas + table.found_areas[taken] - shared
    unused = np.setdiff1d(np.arange(len(table.found_areas)), taken)
    return float(shared.sum() / (unions.sum() + table.found_areas[unused].sum()))


def _object_iou(table: Overlap) -> float:
    """Mean of both directions: IoU of each object with the one that it overlaps most, weighted by area."""
    total = 0.0
    for owner, sizes in ((table.pair_true, table.true_areas), (table.pair_found, table.found_areas)):
        best = np.zeros(len(sizes))
        order = np.argsort(table.pixels, kind="stable")
        best[owner[order]] = table.iou[order]
        total += float((best * sizes).sum() / sizes.sum())
    return total / 2
