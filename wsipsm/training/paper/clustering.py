"""Semantic clustering (Chen et al. 2023, section 2.2): pseudo mask of an image from its activation map."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.morphology import remove_small_holes, remove_small_objects
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wsipsm.core.geometry import Image, Map, Mask
from wsipsm.training.paper.settings import MaskSettings

Floats = npt.NDArray[np.float32]


def coloured(activation: Map, image: Image, *, image_weight: float) -> Floats:
    """Map in JET colours plus the image (Chen et al. 2023, section 2.2).

    Parameters
    ----------
    activation : (y, x) float32
        0 to 1.
    image : (y, x, 3) uint8
        RGB.
    image_weight : float
        Of the image.

    Returns
    -------
    (y, x, 3) float32
        0 to 255 (1 + image_weight). The colours of the map stand in the order blue, green, red, those of the image in
        the order red, green, blue: so does the authors' code, and so the colour prior below holds. Channels 0 and 1
        are low where the map is high (JET red) and the image is dark in red and green.
    """
    levels = (255 * activation).astype(np.uint8)
    jet = cv2.applyColorMap(levels, cv2.COLORMAP_JET).astype(np.float32)
    return jet + np.float32(image_weight) * image.astype(np.float32)


def nucleus_cluster(centres: npt.NDArray[np.floating]) -> int:
    """Index of the cluster of nuclei among (k, 3) centres, by the colour prior: the lowest sum of channels 0 and 1.

    Examples
    --------
    >>> nucleus_cluster(np.array([[200.0, 200, 0], [90, 90, 255], [80, 120, 10]]))
    1
    """
    return int(np.argmin(centres[:, 0] + centres[:, 1]))


def nuclear_pixels(pixels: Floats, settings: MaskSettings, *, seed: int) -> Mask:
    """Which pixels k-means puts into the cluster of nuclei.

    Parameters
    ----------
    pixels : (n, 3) float32
        Of :func:`coloured`.
    settings : MaskSettings
        Settings of k-means.
    seed : int
        Seed of the starts and of the sampled pixels.

    Returns
    -------
    (n,) bool
        All false for a blank image, which has fewer colours than clusters.
    """
    rng = np.random.default_rng(seed)
    few = len(pixels) <= settings.sample_px
    sample = pixels if few else pixels[rng.choice(len(pixels), settings.sample_px, replace=False)]
    if len(np.unique(sample, axis=0)) < settings.clusters:
        return np.zeros(len(pixels), np.bool_)
    with threadpool_limits(1):  # several threads add their partial sums in any order
        means = KMeans(
            settings.clusters, init="random", n_init=settings.runs, max_iter=settings.iterations, random_state=seed
        ).fit(sample)
        found: Mask = means.predict(pixels) == nucleus_cluster(means.cluster_centers_)
    return found


def pseudo_mask(activation: Map, image: Image, settings: MaskSettings, *, seed: int) -> Mask:
    """Pseudo mask of one image, (y, x) bool, from its map (y, x) float32 and its (y, x, 3) uint8 RGB.

    Parameters
    ----------
    activation : (y, x) float32
        The map.
    image : (y, x, 3) uint8
        RGB.
    settings : MaskSettings
        Clusters and their features.
    seed : int
        Of k-means.
    """
    pixels = coloured(activation, image, image_weight=settings.image_weight)
    return cleaned(nuclear_pixels(pixels.reshape(-1, 3), settings, seed=seed).reshape(activation.shape), settings)


def cleaned(mask: Mask, settings: MaskSettings) -> Mask:
    """Mask without objects smaller than ``min_area_px`` and holes smaller than ``max_hole_px``; 4-connected."""
    large: Mask = remove_small_objects(mask, max_size=max(0, settings.min_area_px - 1), connectivity=1)
    filled: Mask = remove_small_holes(large, max_size=max(0, settings.max_hole_px - 1), connectivity=1)
    return filled
