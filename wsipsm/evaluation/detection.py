"""Counts of detected cells, and precision, recall and F1 from them.

Arrays of counts are (..., 3, 3): the rows are ``ROWS``, the columns hits, true and found points. NaN stands for what
is not defined or not known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.evaluation.matching import match
from wsipsm.evaluation.points import Kind, Points

ROWS = {
    "positive": (Kind.POSITIVE,),
    "negative": (Kind.NEGATIVE,),
    "detection": (Kind.POSITIVE, Kind.NEGATIVE, Kind.CELL),
}
"""What is compared, and the kinds of its points."""

MEASURED = ("positive", "negative", "mean", "detection")
"""Rows of measures; mean is that of positive and negative."""

MEASURES = ("precision", "recall", "f1")

Counts = npt.NDArray[np.float64]


def count(truth: Points, found: Points, radius: float) -> Counts:
    """Hits, true and found points of one image, each class matched within itself; (3, 3).

    A found point that no true one takes, within the radius of an ignored true point, counts neither way; each ignored
    point takes one. Ignored found points are left out.

    Parameters
    ----------
    truth, found : Points
        In one frame.
    radius : float
        Greatest distance of a pair, in pixels of the truth.
    """
    ignored = truth.of(Kind.IGNORED)
    return np.array([_count(truth.of(*kinds), found.of(*kinds), ignored, radius) for kinds in ROWS.values()], float)


def _count(true: Any, found: Any, ignored: Any, radius: float) -> tuple[int, int, int]:
    matched = match(true, found, radius)[1]
    left = np.delete(found, matched, axis=0)
    excused = len(match(ignored, left, radius)[0])
    return len(matched), len(true), len(found) - excused


def wrong_class(truth: Points, found: Points, radius: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of the matching regardless of class of which one is positive and the other negative; indices, (K,) each.

    Both without ignored points, see `Points.counted`.

    Parameters
    ----------
    truth, found : Points
        True and found points of one image, pixels.
    radius : float
        Greatest distance of a match, pixels.
    """
    i, j = match(truth.xy, found.xy, radius)
    one, other = truth.kinds[i], found.kinds[j]
    wrong = (one != other) & (one != Kind.CELL) & (other != Kind.CELL)
    return i[wrong], j[wrong]


def measures(counts: Counts) -> npt.NDArray[np.float64]:
    """Precision, recall and F1, from 0 to 1, of ``MEASURED``; (..., 4, 3).

    Precision is NaN without a found point; recall and F1 without a true one, whatever was found: false alarms of such
    an image show in its counts, and in the precision and F1 of counts added up over images.

    Parameters
    ----------
    counts : (..., 3, 3) float64
        Of one image, or added up over images.

    Examples
    --------
    >>> measures(np.array([[1, 2, 1], [0, 0, 3], [2, 2, 4]]))[..., 2].round(2)
    array([0.67,  nan,  nan, 0.67])
    """
    hits, true, found = np.moveaxis(np.asarray(counts, float), -1, 0)
    total = np.where(true > 0, true + found, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.stack([hits / found, hits / true, 2 * hits / total], axis=-1)
    positive, negative, detection = np.moveaxis(values, -2, 0)
    return np.stack([positive, negative, (positive + negative) / 2, detection], axis=-2)


def without_classes(counts: Counts) -> Counts:
    """Counts whose hits and found points of both classes are not known."""
    unknown = counts.copy()
    unknown[..., :2, [0, 2]] = np.nan
    return unknown
