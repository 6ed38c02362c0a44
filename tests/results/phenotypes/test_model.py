"""Models: assignment as scikit-learn predicts, and files that are whole, checked and never replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from wsipsm.cells.classes import CLUSTERS
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.results.phenotypes.features import Floats
from wsipsm.results.phenotypes.learn import Fitted, fit_clusters
from wsipsm.results.phenotypes.model import Cluster, Method, PhenotypeModel, load_model, save_model

COLUMNS = ("area_um2", "hematoxylin_od_mean", "eosin_od_mean")
CLUSTER_COUNT = 4


def blobs(seed: int) -> Floats:
    """Overlapping clouds of unequal size and shape, (N, 3)."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.normal(0, 1, 3) * 1.5 + rng.normal(0, 1, (size, 3)) @ rng.normal(0, 0.6, (3, 3))
            for size in (400, 250, 120, 60)
        ]
    )


def model_of(found: Fitted, method: Method) -> PhenotypeModel:
    clusters = tuple(
        Cluster(
            name=CLUSTERS.names[number],
            cells=int((found.labels == number).sum()),
            medians={"area_um2": 30.0},
            center=tuple(found.centers[number].tolist()),
            weight=None if found.weights is None else float(found.weights[number]),
            precision_cholesky=None
            if found.precisions_cholesky is None
            else tuple(map(tuple, found.precisions_cholesky[number].tolist())),
        )
        for number in range(len(found.centers))
    )
    scales = {"area_um2": (3.0, 0.5)}
    return PhenotypeModel(
        wsipsm="0", method=method, seed=0, columns=COLUMNS, shape_scales=scales, clusters=clusters, slides=()
    )


def by_size(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """New number of each old one: the largest is 0."""
    return np.argsort(np.argsort(-np.bincount(labels), kind="stable"))


@pytest.mark.parametrize("seed", range(3))
def test_kmeans_assigns_as_scikit_learn_predicts(seed: int) -> None:
    known, fresh = blobs(seed), blobs(seed + 100)
    model = model_of(fit_clusters(known, clusters=CLUSTER_COUNT, method="kmeans", seed=seed), "kmeans")

    theirs = KMeans(CLUSTER_COUNT, n_init=10, random_state=seed).fit(known)

    rename = by_size(theirs.labels_)
    np.testing.assert_array_equal(model.assign(known), rename[theirs.labels_])
    np.testing.assert_array_equal(model.assign(fresh), rename[theirs.predict(fresh)])
    distances = model.distances(fresh, model.assign(fresh))
    np.testing.assert_allclose(distances, theirs.transform(fresh).min(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_a_mixture_assigns_as_scikit_learn_predicts(seed: int) -> None:
    known, fresh = blobs(seed), blobs(seed + 100)
    model = model_of(fit_clusters(known, clusters=CLUSTER_COUNT, method="gmm", seed=seed), "gmm")

    theirs = GaussianMixture(CLUSTER_COUNT, n_init=3, reg_covar=1e-3, max_iter=500, random_state=seed).fit(known)

    rename = by_size(theirs.predict(known))
    np.testing.assert_array_equal(model.assign(known), rename[theirs.predict(known)])
    np.testing.assert_array_equal(model.assign(fresh), rename[theirs.predict(fresh)])


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_a_cell_is_assigned_by_itself(method: Method) -> None:
    features = blobs(7)
    model = model_of(fit_clusters(features, clusters=CLUSTER_COUNT, method=method, seed=0), method)

    together = model.assign(features)

    assert [int(model.assign(row[None])[0]) for row in features] == together.tolist()


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_clusters_are_the_largest_first_and_all_have_cells(method: Method) -> None:
    found = fit_clusters(blobs(1), clusters=5, method=method, seed=0)

    sizes = np.bincount(found.labels, minlength=5)
    assert (np.diff(sizes) <= 0).all()
    assert sizes.min() > 0


def test_fewer_different_cells_than_clusters_are_refused() -> None:
    with pytest.raises(FitError, match="3 different cells are too few for 5 clusters"):
        fit_clusters(np.repeat(np.eye(3), 10, axis=0), clusters=5, method="kmeans", seed=0)


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_a_model_comes_back_as_it_was_saved(tmp_path: Path, method: Method) -> None:
    model = model_of(fit_clusters(blobs(2), clusters=CLUSTER_COUNT, method=method, seed=0), method)

    save_model(tmp_path / "model.json", model)
    found = load_model(tmp_path / "model.json")

    assert found == model
    assert found.sha256() == model.sha256()
    np.testing.assert_array_equal(found.assign(blobs(3)), model.assign(blobs(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def version(table: dict[str, Any]) -> None:
    table["version"] = 9


def stranger(table: dict[str, Any]) -> None:
    table["format"] = "something else"


def unknown_key(table: dict[str, Any]) -> None:
    table["colour"] = "red"


def short_center(table: dict[str, Any]) -> None:
    table["clusters"][1]["center"] = [0.0]


def no_number(table: dict[str, Any]) -> None:
    table["clusters"][1]["center"][0] = None


def renamed(table: dict[str, Any]) -> None:
    table["clusters"][0]["name"] = "Tumour"


def no_weight(table: dict[str, Any]) -> None:
    del table["clusters"][0]["weight"]


def lower_triangle(table: dict[str, Any]) -> None:
    table["clusters"][0]["precision_cholesky"][2][0] = 1.0


def no_spread(table: dict[str, Any]) -> None:
    table["shape_scales"]["area_um2"][1] = 0.0


def other_shapes(table: dict[str, Any]) -> None:
    table["shape_scales"]["solidity"] = [1.0, 1.0]


DAMAGE: dict[Callable[[dict[str, Any]], None], str] = {
    version: "has version 9 of its format, this wsipsm reads 1",
    stranger: "got the format 'something else'",
    unknown_key: "colour: Extra inputs",
    short_center: "centre has 1 features of 3",
    no_number: r"clusters.1.center.0",
    renamed: "not named Cluster 1",
    no_weight: "go with method gmm",
    lower_triangle: "not upper triangular",
    no_spread: "shape_scales.area_um2.1",
    other_shapes: "columns of shape",
}
"""What can be wrong with a model, and what is said of it."""


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_model_that_cannot_be_used_is_refused(tmp_path: Path, damage: Callable[[dict[str, Any]], None]) -> None:
    model = model_of(fit_clusters(blobs(2), clusters=CLUSTER_COUNT, method="gmm", seed=0), "gmm")
    table = json.loads(model.encoded())
    damage(table)
    (tmp_path / "model.json").write_text(json.dumps(table))

    with pytest.raises(CheckpointError, match=DAMAGE[damage]):
        load_model(tmp_path / "model.json")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\x80\x04pickle"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"model\.json"):
        load_model(tmp_path / "model.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(tmp_path / "absent.json")


def test_slides_of_another_stain_are_refused() -> None:
    model = model_of(fit_clusters(blobs(2), clusters=CLUSTER_COUNT, method="kmeans", seed=0), "kmeans")

    model.require_columns(COLUMNS[::-1], where="slide")
    with pytest.raises(CheckpointError, match="has dab_od_mean and lacks eosin_od_mean"):
        model.require_columns(("area_um2", "hematoxylin_od_mean", "dab_od_mean"), where="slide")
