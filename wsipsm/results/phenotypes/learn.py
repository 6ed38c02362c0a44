"""Fit clusters to scaled features. scikit-learn is imported where it is used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import FitError
from wsipsm.results.phenotypes.features import Floats
from wsipsm.results.phenotypes.model import Method

_STARTS = 10
"""Starts of k-means, of which the best is kept."""
_MIXTURE_STARTS = 3
_LEAST_VARIANCE = 1e-3
"""Added to the variances of a mixture: features that are cut off pile up at one value."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Clusters, the largest first.

    Attributes
    ----------
    labels : (N,) int
        Cluster of each cell of the fit.
    centers : (K, F) float64
        Centres or means.
    weights : (K,) float64 or None
        Of a mixture.
    precisions_cholesky : (K, F, F) float64 or None
        Of a mixture.
    """

    labels: npt.NDArray[np.intp]
    centers: Floats
    weights: Floats | None = None
    precisions_cholesky: Floats | None = None


def fit_clusters(features: Floats, *, clusters: int, method: Method, seed: int) -> Fitted:
    """Fit clusters to the (N, F) scaled features of N cells.

    Parameters
    ----------
    features : (N, F) float64
        See `wsipsm.results.phenotypes.features.scaled`.
    clusters : int
        How many.
    method : {'kmeans', 'gmm'}
        See `Method`.
    seed : int
        The same seed and features give the same clusters.

    Raises
    ------
    FitError
        There are fewer different cells than clusters, or one got no cell.
    """
    different = len(np.unique(features, axis=0))
    if different < clusters:
        raise FitError(f"{different} different cells are too few for {clusters} clusters; ask for fewer (--clusters)")
    found = _kmeans(features, clusters, seed) if method == "kmeans" else _mixture(features, clusters, seed)
    sizes = np.bincount(found.labels, minlength=clusters)
    if not sizes.all():
        raise FitError(f"{(sizes == 0).sum()} of {clusters} clusters got no cell; ask for fewer (--clusters)")
    return _largest_first(found, sizes)


def _kmeans(features: Floats, clusters: int, seed: int) -> Fitted:
    from sklearn.cluster import KMeans

    fitted = KMeans(clusters, n_init=_STARTS, random_state=seed).fit(features)
    return Fitted(fitted.labels_.astype(np.intp), fitted.cluster_centers_)


def _mixture(features: Floats, clusters: int, seed: int) -> Fitted:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        clusters, n_init=_MIXTURE_STARTS, reg_covar=_LEAST_VARIANCE, max_iter=500, random_state=seed
    )
    labels = mixture.fit_predict(features).astype(np.intp)
    return Fitted(labels, mixture.means_, mixture.weights_, mixture.precisions_cholesky_)


def _largest_first(found: Fitted, sizes: npt.NDArray[np.intp]) -> Fitted:
    """Clusters by their number of cells; equal ones by their centres."""
    order = np.lexsort((*found.centers.T[::-1], -sizes))
    ranks = np.argsort(order)
    if found.weights is None or found.precisions_cholesky is None:
        return Fitted(ranks[found.labels], found.centers[order])
    return Fitted(ranks[found.labels], found.centers[order], found.weights[order], found.precisions_cholesky[order])
