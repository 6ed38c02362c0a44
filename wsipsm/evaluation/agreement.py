"""Agreement of the index, the percentage of positive cells, over images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.evaluation.detection import Counts

CUT_OFFS = (5, 20, 30)
"""Indices in percent from which on a tumour counts as of the higher group."""

_Floats = npt.NDArray[np.float64]


def indices(counts: Counts) -> tuple[_Floats, _Floats]:
    """True and found index of each image, percent; NaN without a cell of either class.

    Parameters
    ----------
    counts : (..., 3, 3) float64
        See `wsipsm.evaluation.detection`.

    Examples
    --------
    >>> indices(np.array([[3, 3, 5], [9, 9, 15], [0, 0, 0]]))
    (array(25.), array(25.))
    """
    true, found = (np.asarray(counts, float)[..., :2, column] for column in (1, 2))
    return _percent(true), _percent(found)


def _percent(cells: _Floats) -> _Floats:
    total = cells.sum(axis=-1)
    return np.asarray(100 * cells[..., 0] / np.where(total > 0, total, np.nan))


def agreement(true: _Floats, found: _Floats) -> dict[str, Any]:
    """Agreement of the index over the images where both sides have one.

    Parameters
    ----------
    true, found : (N,) float64
        Percent, NaN where there is none.

    Returns
    -------
    dict
        ``images`` compared; ``mean_absolute_error``, ``bias`` (found less true) and ``limits`` of agreement, which are
        the bias -+ 1.96 standard deviations of the differences (Bland and Altman), in percentage points; ``pearson``;
        ``cut_offs``, see `same_side`. None for what too few images, or equal ones, leave undefined.
    """
    both = ~np.isnan(true + found)
    true, found = true[both], found[both]
    error = found - true
    some, spread = len(error) > 0, float(1.96 * error.std(ddof=1)) if len(error) > 1 else None
    bias = float(error.mean()) if some else None
    return {
        "images": len(error),
        "mean_absolute_error": float(np.abs(error).mean()) if some else None,
        "bias": bias,
        "limits": None if bias is None or spread is None else [bias - spread, bias + spread],
        "pearson": _pearson(true, found),
        "cut_offs": {str(cut): same_side(true >= cut, found >= cut) for cut in CUT_OFFS},
    }


def same_side(true: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> dict[str, float | None]:
    """Share of images on the same side of a cut-off, from 0 to 1, and Cohen's kappa.

    Kappa is None where chance alone makes them agree: all images on one side, of truth and prediction.

    Examples
    --------
    >>> same_side(np.array([True, True, False, False]), np.array([True, False, False, False]))
    {'same_side': 0.75, 'kappa': 0.5}
    """
    if not len(true):
        return {"same_side": None, "kappa": None}
    share = float((true == found).mean())
    chance = float(true.mean() * found.mean() + (1 - true.mean()) * (1 - found.mean()))
    return {"same_side": share, "kappa": None if chance == 1 else (share - chance) / (1 - chance)}


def _pearson(true: _Floats, found: _Floats) -> float | None:
    if len(true) < 2 or not np.ptp(true) or not np.ptp(found):
        return None
    return float(np.corrcoef(true, found)[0, 1])
