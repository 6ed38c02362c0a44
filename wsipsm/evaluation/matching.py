"""One-to-one matching of points within a radius."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

MAX_DENSE = 4_000_000
"""Largest matrix that is assigned as such; larger groups of near points, of a very large radius, as a sparse one."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def match(first: _Floats, second: _Floats, radius: float) -> tuple[_Ints, _Ints]:
    """One-to-one matching with the most pairs, and among those with the least sum of distances.

    Parameters
    ----------
    first, second : (N, 2), (M, 2) float64
        Positions.
    radius : float
        Greatest distance of a pair, included, in the same unit.

    Returns
    -------
    (K,), (K,) int64
        Indices of the pairs into both, sorted by the first.

    Examples
    --------
    >>> match(np.array([[0.0, 0], [4, 0]]), np.array([[3.0, 0], [7, 0]]), 3)
    (array([0, 1]), array([0, 1]))
    """
    if not len(first) or not len(second):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    reach = radius * (1 + 1e-9)  # 12 px of 0.5 um are 6 um, whatever the rounding
    near = KDTree(first).sparse_distance_matrix(KDTree(second), reach, output_type="ndarray")
    near.sort(order=["i", "j"])
    i, j, distance = near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"]
    chosen = [
        part[_assign(i[part], j[part], distance[part], reach)] for part in _parts(i, j, (len(first), len(second)))
    ]
    pairs = np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    return i[pairs], j[pairs]


def _parts(i: _Ints, j: _Ints, sizes: tuple[int, int]) -> list[_Ints]:
    """Near pairs by connected component: each can be assigned alone."""
    if not len(i):
        return []
    links = coo_array((np.ones(len(i)), (i, sizes[0] + j)), shape=(sum(sizes), sum(sizes)))
    component = connected_components(links, directed=False)[1][i]
    order = np.argsort(component, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component[order])) + 1)


def _assign(i: _Ints, j: _Ints, distance: _Floats, reach: float) -> _Ints:
    """Chosen pairs of one component, as indices into its pairs."""
    if len(i) == 1:
        return np.zeros(1, np.int64)
    rows, row = np.unique(i, return_inverse=True)
    columns, column = np.unique(j, return_inverse=True)
    shape = (len(rows), len(columns))
    # No gain in distance outweighs one pair more.
    bonus = (min(shape) + 1) * reach + 1
    if shape[0] * shape[1] > MAX_DENSE:
        return _assign_sparse(row, column, distance, bonus)
    cost, pair = np.zeros(shape), np.full(shape, -1)
    cost[row, column], pair[row, column] = distance - bonus, np.arange(len(i))
    taken = pair[linear_sum_assignment(cost)]
    kept: _Ints = taken[taken >= 0]
    return kept


def _assign_sparse(row: _Ints, column: _Ints, distance: _Floats, bonus: float) -> _Ints:
    """As `_assign`, in memory that grows with the pairs: a row without a pair takes a column of its own."""
    n_rows, n_columns = row.max() + 1, column.max() + 1
    own = np.arange(n_rows)
    rows, columns = np.concatenate([row, own]), np.concatenate([column, n_columns + own])
    # Weights of zero would count as no edge.
    weights = np.concatenate([distance + 1, np.full(n_rows, bonus + 1)])
    graph = csr_array((weights, (rows, columns)), shape=(n_rows, n_columns + n_rows))
    chosen = min_weight_full_bipartite_matching(graph)[1]
    kept: _Ints = np.flatnonzero(chosen[row] == column)
    return kept
