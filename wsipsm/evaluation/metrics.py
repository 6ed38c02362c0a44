"""Measures of one image, all computed from its overlap table.

Where a measure has no denominator: if neither truth nor prediction has an object, every measure is 1; if only one of
them has, every measure is 0; SQ without a match is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wsipsm.core.geometry import Mask
from wsipsm.evaluation.overlap import Overlap, overlap

MATCH_IOU = 0.5
"""Two objects match if their IoU is above this; from one half on, no object can match two others."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Measures of one image, from 0 to 1 (perfect).

    Attributes
    ----------
    aji : float
        Aggregated Jaccard index of Kumar et al. (TMI 2017): each true object is paired with the found one of highest
        IoU, which may be that of several true ones; found objects in no pair add their area to the union.
    aji_plus : float
        The same with the one-to-one assignment of highest total IoU (Graham et al., MedIA 2019).
    pq, dq, sq : float
        Panoptic, detection and segmentation quality of Kirillov et al. (CVPR 2019); matches have IoU > 0.5.
    object_dice : float
        Object Dice of the MICCAI GlaS challenge (Sirinukunwattana et al., MedIA 2017).
    pixel_iou, pixel_dice : float
        IoU and Dice coefficient (pixel F1) of foreground and background.
    f1, precision, recall : float
        Of objects, with matches of IoU > 0.5; ``f1`` equals ``dq``.
    n_true, n_found : int
        Numbers of objects.
    """

    aji: float
    aji_plus: float
    pq: float
    dq: float
    sq: float
    object_dice: float
    pixel_iou: float
    pixel_dice: float
    f1: float
    precision: float
    recall: float
    n_true: int
    n_found: int


def score_labels(truth: npt.NDArray[Any], found: npt.NDArray[Any]) -> Scores:
    """Scores of a predicted label image against the true one.

    Parameters
    ----------
    truth, found : (H, W) int
        Label images of one shape, 0 is background.

    Raises
    ------
    EvaluationError
        Shapes differ, or an array is not a label image.

    Examples
    --------
    >>> score_labels(np.array([[1, 1, 0]]), np.array([[0, 7, 7]])).pixel_dice
    0.5
    """
    return score_overlap(overlap(truth, found))


def score_overlap(table: Overlap) -> Scores:
    """Scores of an overlap table."""
    n_true, n_found = len(table.true_areas), len(table.found_areas)
    if not n_true or not n_found:
        value = float(n_true == n_found)
        return Scores(*(value,) * 11, n_true, n_found)
    matched = table.iou > MATCH_IOU
    hits = int(matched.sum())
    dq = 2 * hits / (n_true + n_found)
    sq = float(table.iou[matched].mean()) if hits else 0.0
    shared = int(table.pixels.sum())
    total = int(table.true_areas.sum() + table.found_areas.sum())
    return Scores(
        aji=_jaccard(table, _best(table.pair_true, table.iou), n_true),
        aji_plus=_jaccard(table, _assign(table), n_true),
        pq=dq * sq,
        dq=dq,
        sq=sq,
        object_dice=_object_dice(table),
        pixel_iou=shared / (total - shared),
        pixel_dice=2 * shared / total,
        f1=dq,
        precision=hits / n_found,
        recall=hits / n_true,
        n_true=n_true,
        n_found=n_found,
    )


def matches(table: Overlap) -> tuple[Mask, Mask]:
    """Which true and which found objects have a match; (N,) and (M,) bool."""
    matched = table.iou > MATCH_IOU
    true, found = np.zeros(len(table.true_areas), bool), np.zeros(len(table.found_areas), bool)
    true[table.pair_true[matched]] = True
    found[table.pair_found[matched]] = True
    return true, found


def _best(owner: _Ints, value: npt.NDArray[Any]) -> _Ints:
    """Index of the pair of highest value of each owner that has pairs; the first of equal ones."""
    order = np.lexsort((-value, owner))
    chosen: _Ints = order[np.unique(owner[order], return_index=True)[1]]
    return chosen


def _jaccard(table: Overlap, chosen: _Ints, n_true: int) -> float:
    """Sum of intersections over sum of unions of the chosen pairs; objects in none of them add their area."""
    single_true = np.ones(n_true, bool)
    single_true[table.pair_true[chosen]] = False
    single_found = np.ones(len(table.found_areas), bool)
    single_found[table.pair_found[chosen]] = False
    single = table.true_areas[single_true].sum() + table.found_areas[single_found].sum()
    return float(table.pixels[chosen].sum() / (table.unions[chosen].sum() + single))


def _assign(table: Overlap) -> _Ints:
    """Pairs of the one-to-one assignment of highest total IoU.

    Each connected component of the graph of overlaps is assigned alone, which keeps the matrices small.
    """
    n_true, n_found = len(table.true_areas), len(table.found_areas)
    size = n_true + n_found
    links = (np.ones(len(table.pixels)), (table.pair_true, n_true + table.pair_found))
    group = connected_components(coo_array(links, shape=(size, size)), directed=False)[1][table.pair_true]
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    iou = table.iou
    chosen = [part if len(part) == 1 else part[_assign_part(table, part, iou[part])] for part in parts]
    return np.concatenate(chosen) if len(order) else order


def _assign_part(table: Overlap, part: _Ints, iou: npt.NDArray[np.float64]) -> _Ints:
    """Chosen pairs of one connected component."""
    rows, row = np.unique(table.pair_true[part], return_inverse=True)
    columns, column = np.unique(table.pair_found[part], return_inverse=True)
    matrix = np.zeros((len(rows), len(columns)))
    pair = np.full(matrix.shape, -1)
    matrix[row, column], pair[row, column] = iou, np.arange(len(part))
    taken = pair[linear_sum_assignment(matrix, maximize=True)]
    kept: _Ints = taken[taken >= 0]
    return kept


def _object_dice(table: Overlap) -> float:
    """Mean of both directions: Dice of each object with the one that it overlaps most, weighted by area."""
    areas = table.true_areas[table.pair_true] + table.found_areas[table.pair_found]
    dice = 2 * table.pixels / areas
    total = 0.0
    for owner, sizes in ((table.pair_true, table.true_areas), (table.pair_found, table.found_areas)):
        best = _best(owner, table.pixels)
        total += float((sizes[owner[best]] * dice[best]).sum() / sizes.sum())
    return total / 2
