"""Figures that pathologists read from counts of negative and positive cells.

A figure that is not defined, as a share of no cell, is None and never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

GRADES = ("Negative", "1+", "2+", "3+")
"""Grades of cells; a grade is an index into them, and cells from the second on are positive."""

_Z = NormalDist().inv_cdf(0.975)
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one region.

    Attributes
    ----------
    counted : int
        Cells, negative and positive.
    positive, negative : int
        Of them.
    grade_1, grade_2, grade_3 : int
        Positive cells by grade: 1+, 2+, 3+.
    positive_percent : float or None
        Share of positive cells, the index.
    positive_percent_low, positive_percent_high : float or None
        Its 95 % interval, see `wilson`.
    h_score : float or None
        See `h_score`.
    allred, allred_proportion, allred_intensity : int or None
        See `allred`; the first is the sum of the others.
    mm2 : float
        Area, square millimetres.
    positive_per_mm2, negative_per_mm2 : float or None
        Densities.
    """

    counted: int
    positive: int
    negative: int
    grade_1: int
    grade_2: int
    grade_3: int
    positive_percent: float | None
    positive_percent_low: float | None
    positive_percent_high: float | None
    h_score: float | None
    allred: int | None
    allred_proportion: int | None
    allred_intensity: int | None
    mm2: float
    positive_per_mm2: float | None
    negative_per_mm2: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def scores(counts: Sequence[int], mm2: float) -> Scores:
    """All figures of a region.

    Parameters
    ----------
    counts : sequence of 4 int
        Cells by grade.
    mm2 : float
        Area of the region, square millimetres.

    Examples
    --------
    >>> scores((60, 20, 10, 10), 0.5).positive_percent, scores((60, 20, 10, 10), 0.5).h_score
    (40.0, 70.0)
    >>> scores((0, 0, 0, 0), 0.5).positive_percent is None
    True
    """
    negative, *grades = (int(count) for count in counts)
    positive = sum(grades)
    low, high = wilson(positive, positive + negative) or (None, None)
    proportion, intensity = allred(counts) or (None, None)
    return Scores(
        counted=positive + negative,
        positive=positive,
        negative=negative,
        grade_1=grades[0],
        grade_2=grades[1],
        grade_3=grades[2],
        positive_percent=_rounded(_share(100 * positive, positive + negative)),
        positive_percent_low=_rounded(low and 100 * low),
        positive_percent_high=_rounded(high and 100 * high),
        h_score=_rounded(h_score(counts)),
        allred=None if proportion is None or intensity is None else proportion + intensity,
        allred_proportion=proportion,
        allred_intensity=intensity,
        mm2=round(mm2, 6),
        positive_per_mm2=_rounded(_share(positive, mm2)),
        negative_per_mm2=_rounded(_share(negative, mm2)),
    )


def wilson(positive: int, counted: int) -> tuple[float, float] | None:
    """95 % score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209); None without a cell.

    It says how far a share of so many cells may be off by chance. It knows nothing of cells that were missed or
    misjudged, nor of how the share varies over a tumour.

    Examples
    --------
    >>> [round(side, 4) for side in wilson(10, 50)]
    [0.1124, 0.3304]
    """
    if not counted:
        return None
    share, z2 = positive / counted, _Z**2
    middle = (share + z2 / (2 * counted)) / (1 + z2 / counted)
    half = _Z / (1 + z2 / counted) * math.sqrt(share * (1 - share) / counted + z2 / (4 * counted**2))
    return (0.0 if positive == 0 else middle - half), (1.0 if positive == counted else middle + half)


def h_score(counts: Sequence[int]) -> float | None:
    """Percentage of 1+ cells, plus twice that of 2+ and three times that of 3+, 0 to 300; None without a cell.

    McCarty et al. 1985, Arch. Pathol. Lab. Med. 109:716.

    Examples
    --------
    >>> h_score((0, 0, 0, 5)), h_score((3, 1, 0, 0)), h_score((0, 0, 0, 0))
    (300.0, 25.0, None)
    """
    return _share(100 * sum(grade * int(count) for grade, count in enumerate(counts)), sum(map(int, counts)))


def allred(counts: Sequence[int]) -> tuple[int, int] | None:
    """Proportion score, 0 to 5, and intensity score, 0 to 3, of Allred; their sum is 0 or 2 to 8. None without a cell.

    Harvey et al. 1999, J. Clin. Oncol. 17:1474. The proportion is 0 without a positive cell, 1 below 1/100, 2 below
    1/10, 3 below 1/3, 4 below 2/3, else 5. The intensity is the mean grade of the positive cells: 1 up to 5/3, 2 up to
    7/3, else 3. Both are cut where QuPath cuts them.

    Examples
    --------
    >>> allred((99, 1, 0, 0)), allred((1, 0, 0, 2)), allred((9, 0, 0, 0))
    ((2, 1), (5, 3), (0, 0))
    """
    counted, positive = sum(map(int, counts)), sum(map(int, counts[1:]))
    if not counted:
        return None
    if not positive:
        return 0, 0
    # In whole numbers: 2/3 is no float, and a share of exactly that belongs to the upper class.
    proportion = 1 + sum(positive * low >= counted * top for top, low in ((1, 100), (1, 10), (1, 3), (2, 3)))
    strength = 3 * sum(grade * int(count) for grade, count in enumerate(counts))
    return proportion, 1 + (strength > 5 * positive) + (strength > 7 * positive)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
