"""What cells are compared by: their measurements on scales that mean the same on every slide.

Shape is measured in micrometres and ratios, which mean the same everywhere: it is put on the scale of the cohort that
a model was fitted on. Optical density depends on the staining of the slide: each column is put on the scale of its own
slide, the median and the spread of that slide's cells, so that a slide stained twice as strongly gives the same
clusters. Both are robust, and neither depends on the other slides that a model is applied to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
"""float64."""
Columns = Mapping[str, npt.NDArray[np.float32]]
"""Measurements by column, (N,) each."""

FAR = 3.0
"""Scaled features are cut off beyond this: a few odd cells make no cluster of their own."""
LEFT_OUT = re.compile("confidence|circularity|(max|min)_diameter_um|.*_od_std|cell_.*|cytoplasm_.*|nucleus_cell_ratio")
"""Columns that say how a cell was found, not what it is; that say again what others do; that only some runs have."""
_SPREAD = 1.4826
"""Standard deviation of a normal distribution by its median absolute deviation."""

SHAPE: dict[str, Callable[[Floats], Floats]] = {
    "area_um2": lambda area: np.log(np.maximum(area, 0.1)),
    "perimeter_um": lambda perimeter: np.log(np.maximum(perimeter, 0.1)),
    # Logarithm of long by short axis, and of what the outline lacks to its hull: both measures crowd near 1.
    "eccentricity": lambda eccentricity: -0.5 * np.log(np.maximum(1 - eccentricity**2, 1e-4)),
    "solidity": lambda solidity: np.log(np.maximum(1 - solidity, 0) + 0.01),
}
"""Columns of shape, and what makes each nearly normal; every other one is of the stain, and taken as it is."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Centre and spread of a feature.

    Attributes
    ----------
    center : float
        Median.
    spread : float
        Median absolute deviation as a standard deviation; above 0.
    """

    center: float
    spread: float


def features_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Columns among those of a table that cells are compared by, in their order."""
    return tuple(name for name in columns if not LEFT_OUT.fullmatch(name))


def straightened(name: str, values: npt.NDArray[np.float32]) -> Floats:
    """A column as float64, a shape by its function of `SHAPE`; (N,).

    Examples
    --------
    >>> straightened("area_um2", np.array([1, np.e], np.float32)).round(3).tolist()
    [0.0, 1.0]
    >>> straightened("eosin_od_mean", np.array([0.5], np.float32)).tolist()
    [0.5]
    """
    exact = values.astype(np.float64)
    return SHAPE[name](exact) if name in SHAPE else exact


def scale_of(values: Floats) -> Scale:
    """Scale of a feature from its (N,) values; where half of them are the same, by their standard deviation.

    Examples
    --------
    >>> scale_of(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    Scale(center=3.0, spread=1.4826)
    >>> scale_of(np.zeros(0))
    Scale(center=0.0, spread=1.0)
    """
    if not len(values):
        return Scale(0.0, 1.0)
    center = float(np.median(values))
    spread = _SPREAD * float(np.median(np.abs(values - center)))
    return Scale(center, spread or float(values.std()) or 1.0)


def scaled(columns: Columns, scales: Mapping[str, Scale]) -> Floats:
    """Features of N cells, a column a feature in the order of ``scales``, cut off at ``FAR``; (N, F)."""
    return np.stack([on_scale(straightened(name, columns[name]), scale) for name, scale in scales.items()], axis=1)


def on_scale(values: Floats, scale: Scale) -> Floats:
    """Distances from the centre in spreads, cut off at ``FAR``."""
    found: Floats = np.clip((values - scale.center) / scale.spread, -FAR, FAR)
    return found
