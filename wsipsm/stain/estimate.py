"""Stain vectors of a slide whose stains are unknown.

Two stains span a plane in optical density. Of all directions in it, whitened, the nuclear stain is read along the one
in which detail of the size of nuclei is skewed most: most of it a little below its surroundings, a minority far above
them. Restaining is a linear map of that plane, which whitening undoes: the answer does not depend on what the stains
look like. (Projection pursuit, Friedman and Tukey 1974; skewness by quantiles, Hinkley 1975.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import FitError
from wsipsm.stain.optics import Floats, smooth
from wsipsm.stain.registry import Vector, Vectors

DETAIL_SIGMA_PX, SURROUNDINGS_SIGMA_PX = 1.5, 8.0
"""Standard deviations of the two Gaussians between which nuclei are a detail, grid pixels."""

_ANGLES, _TAIL, _PIXELS = 180, 90, 200_000
_ONE_STAIN = 1e-5


def blind_vectors(density: Floats, tissue: npt.NDArray[np.bool_]) -> Vectors:
    """Unit vectors of nuclear stain and counterstain, and their normal.

    Parameters
    ----------
    density : (n, y, x, 3) float32
        Optical density of patches.
    tissue : (n, y, x) bool
        Which of their pixels are tissue.

    Raises
    ------
    FitError
        The tissue has one stain only.
    """
    step = max(1, int(tissue.sum()) // _PIXELS)
    fine = _smoothed(density, tissue, DETAIL_SIGMA_PX)[::step]
    broad = _smoothed(density, tissue, SURROUNDINGS_SIGMA_PX)[::step]
    plane = np.linalg.eigh(fine.T @ fine)[1][:, :0:-1].T  # the two widest directions from background
    spread = np.cov(plane @ fine.T)
    widths = np.linalg.eigvalsh(spread)
    if widths[0] < _ONE_STAIN * widths[1]:
        raise FitError("all sampled tissue has one stain, expected two: leave this slide out")
    whitened = np.linalg.inv(np.linalg.cholesky(spread)) @ plane  # (2, 3)
    detail = whitened @ (fine - broad).T
    directions = [np.array([np.cos(t), np.sin(t)]) for t in np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)]
    nuclear = max(directions, key=lambda direction: _skewness(direction @ detail))
    counter = np.array([-nuclear[1], nuclear[0]])
    counter *= np.sign((counter @ whitened @ fine.T).mean())
    first, second = np.linalg.pinv(np.stack([nuclear, counter]) @ whitened).T
    return _unit(first), _unit(second), _unit(np.cross(first, second))


def _smoothed(density: Floats, tissue: npt.NDArray[np.bool_], sigma_px: float) -> npt.NDArray[np.float64]:
    """Density of all tissue pixels of patches after smoothing, (n, 3)."""
    found = []
    for patch, inside in zip(density, tissue, strict=True):
        planes = [smooth(np.ascontiguousarray(patch[..., k]), sigma_px)[inside] for k in range(3)]
        found.append(np.stack(planes, axis=-1))
    return np.concatenate(found).astype(np.float64)


def _skewness(values: npt.NDArray[np.float64]) -> float:
    low, middle, high = np.percentile(values, [100 - _TAIL, 50, _TAIL])
    return float((low + high - 2 * middle) / (high - low))


def _unit(vector: npt.NDArray[np.float64]) -> Vector:
    red, green, blue = vector / np.linalg.norm(vector)
    return float(red), float(green), float(blue)
