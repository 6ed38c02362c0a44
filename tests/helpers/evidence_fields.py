"""Evidence for the tests of labels: easy, nasty and hand-drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipsm.cells.instances import halo_px, instances
from wsipsm.config import LabelsConfig

Evidence = npt.NDArray[np.uint8]
KINDS = ("noise", "blobs", "clumps", "plateaus", "checkerboard")

SMALL = LabelsConfig(max_diameter_um=9, min_area_um2=5, max_area_um2=60, max_hole_um2=4, sharpen_um=1, growth_um=2)
"""At 1 um/px: cells of at most 9 px, so that small windows hold many situations."""


def field(kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> Evidence:
    """Evidence of one kind, easy or nasty, over the whole range of levels."""
    if kind == "checkerboard":
        cells = np.indices(shape).sum(axis=0) // rng.integers(1, 4) % 2
        return np.where(cells, rng.integers(128, 256), rng.integers(90, 200)).astype(np.uint8)
    if kind == "plateaus":
        coarse = rng.choice([0, 120, 140, 140, 200, 255], size=(shape[0] // 3 + 1, shape[1] // 3 + 1))
        return coarse.repeat(3, 0).repeat(3, 1)[: shape[0], : shape[1]].astype(np.uint8)
    sigma = {"noise": 0.0, "blobs": 2.0, "clumps": 4.0}[kind]
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    lift = {"noise": 0.0, "blobs": 0.0, "clumps": 1.0}[kind]
    return np.clip(128 + 60 * (noise / noise.std() + lift), 0, 255).astype(np.uint8)


def label_plane(evidence: Evidence, config: LabelsConfig, mask: npt.NDArray[np.bool_] | None = None) -> np.ndarray:
    halo = halo_px(config, mpp=1)
    padded = np.pad(evidence, halo)
    wide_mask = padded >= 128 if mask is None else np.pad(mask, halo)
    return instances(padded, wide_mask, mpp=1, config=config)[halo:-halo, halo:-halo]


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2
