"""The pseudo mask: clusters of pixels by activation and stain, and the evidence they give for a nucleus.

The clusters are fitted once on pixels sampled over a slide's tissue, frozen, and applied everywhere. A pixel's
evidence is its signed distance, in feature space, to the border of the nucleus cluster: the mask is where it is not
negative, and its level sets tell touching nuclei apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wsipsm.config import PseudoMaskConfig
from wsipsm.core.errors import FitError
from wsipsm.core.geometry import Image, Map, crop
from wsipsm.core.maps import DECISION
from wsipsm.stain.optics import Floats, optical_density, smooth, smooth_radius_px, unmix
from wsipsm.stain.registry import Vectors

_FEATURES = ("hematoxylin", "activation", "eosin")
_LOW, _HIGH, _FULL = 5, 99, 99.5
_RUNS = 4


@dataclass(frozen=True, slots=True)
class FeatureScales:
    """How the features of a pixel are made.

    Attributes
    ----------
    smoothing_px, surroundings_px : float
        Standard deviations of the Gaussians, grid pixels.
    contrast : float
        Share of the surroundings that is taken off, 0 to 1.
    """

    smoothing_px: float
    surroundings_px: float
    contrast: float

    @classmethod
    def of(cls, config: PseudoMaskConfig, mpp: float) -> FeatureScales:
        """Scales of a configuration at so many micrometres per pixel."""
        return FeatureScales(config.smoothing_um / mpp, config.surroundings_um / mpp, config.contrast)

    @property
    def halo_px(self) -> int:
        """Pixels that the features look to either side."""
        return smooth_radius_px(self.smoothing_px) + (
            smooth_radius_px(self.surroundings_px) if self.contrast > 0 else 0
        )


@dataclass(frozen=True, slots=True)
class Clusters(FeatureScales):
    """Frozen clusters of one slide, in the features of these scales.

    Attributes
    ----------
    offset, gain : tuple of 3 float
        A feature v enters as (v - offset) * gain; in the order haematoxylin, activation, eosin.
    centres : tuple of tuples of 3 float
        Of the clusters, in scaled features.
    nucleus : int
        Which cluster is nuclei.
    full : float
        Signed distance that counts as surely nucleus.
    """

    offset: tuple[float, ...]
    gain: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    nucleus: int
    full: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Clusters:
        """Inverse of :meth:`to_dict`, also after JSON made lists of the tuples."""
        centres = tuple(tuple(centre) for centre in table["centres"])
        return cls(**table | {"centres": centres, "offset": tuple(table["offset"]), "gain": tuple(table["gain"])})


def features(image: Image, activation: Map, scales: FeatureScales, *, vectors: Vectors | None) -> Floats:
    """Features of every pixel that has its halo.

    Parameters
    ----------
    image : (y + 2 halo, x + 2 halo, 3) uint8
        RGB; the halo is that of the scales.
    activation : (y + 2 halo, x + 2 halo) float32
        Activation map, 0 to 1.
    scales : FeatureScales
        Smoothing and surroundings.
    vectors : Vectors or None
        Of the slide's stains where they are not haematoxylin and eosin.

    Returns
    -------
    (y, x, 3) float32
        Nuclear stain (optical density), activation, counterstain (optical density), each smoothed, less ``contrast``
        times its mean over the surroundings.
    """
    nuclear, counter = unmix(optical_density(image), vectors)
    planes = []
    for plane in (nuclear, activation, counter):
        near = smooth(plane, scales.smoothing_px)
        if scales.contrast > 0:
            near = near - np.float32(scales.contrast) * smooth(near, scales.surroundings_px)
        planes.append(crop(near, scales.halo_px))
    return np.stack(planes, axis=-1)


def fit_clusters(pixels: Floats, config: PseudoMaskConfig, *, mpp: float, seed: int) -> Clusters:
    """Clusters of a slide.

    Nuclei are the cluster whose centre is highest in haematoxylin and activation together: both are known, without
    labels, to be higher in nuclei.

    Parameters
    ----------
    pixels : (n, 3) float32
        :func:`features` of pixels sampled over the slide's tissue.
    config : PseudoMaskConfig
        Weights and number of clusters.
    mpp : float
        Micrometres per pixel of the grid.
    seed : int
        Of k-means.

    Raises
    ------
    FitError
        There are fewer distinct pixels than clusters, or a weighted feature is the same everywhere.
    """
    from sklearn.cluster import KMeans  # half a second, which a run with a segmenter need not wait

    low, high = np.percentile(pixels, [_LOW, _HIGH], axis=0)
    weights = np.array([1.0, config.activation_weight, config.eosin_weight])
    flat = [name for name, same in zip(_FEATURES, (weights > 0) & (high <= low), strict=True) if same]
    if flat:
        raise FitError(f"{' and '.join(flat)} the same in all sampled tissue: expected stained tissue")
    gain = np.divide(weights, high - low, out=np.zeros(3), where=weights > 0)
    scaled = (pixels - low) * gain
    if len(np.unique(scaled, axis=0)) < config.clusters:
        raise FitError(f"fewer distinct tissue pixels than clusters ({config.clusters})")
    with threadpool_limits(1):  # the partial sums of several threads are added in the order they end
        found = KMeans(config.clusters, n_init=_RUNS, random_state=seed).fit(scaled)
    centres = found.cluster_centers_
    clusters = Clusters(
        **asdict(FeatureScales.of(config, mpp)),
        offset=tuple(low.tolist()),
        gain=tuple(gain.tolist()),
        centres=tuple(map(tuple, centres.tolist())),
        nucleus=int(np.argmax(centres[:, 0] + centres[:, 1])),
        full=1.0,
    )
    full = float(np.percentile(margin(pixels, clusters), _FULL))
    if full <= 0:
        raise FitError("no sampled pixel lies in the nucleus cluster: expected stained tissue")
    return replace(clusters, full=full)


def margin(pixels: Floats, clusters: Clusters) -> Floats:
    """Signed distance to the border of the nucleus cluster.

    Parameters
    ----------
    pixels : (..., 3) float32
        Of :func:`features`.
    clusters : Clusters
        Frozen.

    Returns
    -------
    (...) float32
        To the nearest of the planes half way between the nucleus centre and another; not negative exactly where the
        nucleus centre is the nearest.
    """
    centres = np.array(clusters.centres)
    nucleus = centres[clusters.nucleus]
    least: Floats | None = None
    for other in np.delete(centres, clusters.nucleus, axis=0):
        normal = (nucleus - other) / np.linalg.norm(nucleus - other)
        slope = normal * clusters.gain
        shift = normal @ ((nucleus + other) / 2) + slope @ np.array(clusters.offset)
        side = _affine(pixels, slope, shift)
        least = side if least is None else np.minimum(least, side)
    assert least is not None  # k-means has two clusters or more
    return least


def evidence(pixels: Floats, clusters: Clusters) -> npt.NDArray[np.uint8]:
    """How surely a pixel is nucleus.

    Parameters
    ----------
    pixels : (..., 3) float32
        Of :func:`features`.
    clusters : Clusters
        Frozen.

    Returns
    -------
    (...) uint8
        0 to 255, in steps of 1/127 of ``clusters.full``; ``DECISION`` and above is the pseudo mask.
    """
    steps = np.floor(margin(pixels, clusters) * np.float32(127 / clusters.full))
    levels: npt.NDArray[np.uint8] = (np.clip(steps, -DECISION, 127) + DECISION).astype(np.uint8)
    return levels


def _affine(pixels: Floats, slope: npt.NDArray[np.float64], shift: float) -> Floats:
    # Written out: a matrix product may sum in another order for another shape.
    a, b, c = slope.astype(np.float32)
    total: Floats = pixels[..., 0] * a + pixels[..., 1] * b + pixels[..., 2] * c - np.float32(shift)
    return total
