"""Points, Voronoi targets, losses and instances of the paper's segmenter against independent references."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial import Voronoi, cKDTree
from scipy.special import log_softmax, softmax
from skimage.draw import disk as drawn_disk

from wsipsm.core.errors import ConfigError
from wsipsm.training.paper.points import find_points, merged
from wsipsm.training.paper.segmenter import (
    components,
    log_probabilities,
    partial_nll,
    segmenter_loss,
    watershed_instances,
)
from wsipsm.training.paper.settings import PointSettings
from wsipsm.training.paper.unet import ResUNet
from wsipsm.training.paper.voronoi import disk, mask_targets, voronoi_edges, voronoi_targets

SHAPE = (90, 120)


def scattered(seed: int, count: int = 12) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    flat = rng.choice(SHAPE[0] * SHAPE[1], count, replace=False)
    return np.stack([flat % SHAPE[1], flat // SHAPE[1]], axis=1)


def blobs(centres: list[tuple[int, int]], height: float = 1.0, sigma: float = 6.0) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    planes = [height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)) for cx, cy in centres]
    return np.max(planes, axis=0).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_edges_lie_where_the_two_nearest_points_are_as_near(seed: int) -> None:
    points = scattered(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance, nearest = cKDTree(points).query(np.stack([x.ravel(), y.ravel()], axis=1), k=2)
    clear = (distance[:, 1] > distance[:, 0] + 1e-9).reshape(SHAPE)
    cell, gap = nearest[:, 0].reshape(SHAPE), np.diff(distance, axis=1).reshape(SHAPE)

    edges = voronoi_edges(points, SHAPE)

    assert gap[edges].max() <= 2  # a step of one pixel, which changes both distances by at most one, changes the cell
    inside = np.pad(cell, 1, mode="edge")
    around = [inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]]
    differs = np.any([other != cell for other in around], axis=0)
    calm = clear & np.all([np.pad(clear, 1, constant_values=True)[s] for s in _shifts()], axis=0)
    assert (edges == differs)[calm].all()
    assert calm.mean() > 0.9


def _shifts() -> list[tuple[slice, slice]]:
    whole, back, on = slice(1, -1), slice(0, -2), slice(2, None)
    return [(back, whole), (on, whole), (whole, back), (whole, on)]


@pytest.mark.parametrize("seed", range(4))
def test_every_ridge_of_scipys_diagram_is_an_edge(seed: int) -> None:
    points = scattered(seed)
    diagram = Voronoi(points)
    ridges = [diagram.vertices[ends] for ends in diagram.ridge_vertices if min(ends) >= 0]
    along = np.concatenate([a + np.linspace(0, 1, 200)[:, None] * (b - a) for a, b in ridges])
    inside = (along >= 0).all(axis=1) & (along <= np.array(SHAPE)[::-1] - 1).all(axis=1)

    y, x = np.nonzero(voronoi_edges(points, SHAPE))

    distance, _ = cKDTree(np.stack([x, y], axis=1)).query(along[inside])
    assert inside.sum() > 200
    assert distance.max() <= 1.0


def test_targets_are_dots_edges_and_what_is_ignored() -> None:
    found = voronoi_targets(np.array([[2, 1], [9, 1], [9, 1]]), (3, 12), dot_radius_px=1)

    assert found.tolist() == [
        [2, 2, 1, 2, 2, 0, 0, 2, 2, 1, 2, 2],
        [2, 1, 1, 1, 2, 0, 0, 2, 1, 1, 1, 2],
        [2, 2, 1, 2, 2, 0, 0, 2, 2, 1, 2, 2],
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_points_there_is_no_edge(count: int) -> None:
    found = voronoi_targets(np.full((count, 2), 5), (11, 11), dot_radius_px=2)

    assert (found == 1).sum() == count * disk(2).sum()
    assert not (found == 0).any()


def test_the_foreground_of_a_mask_is_learnt_on_request_alone() -> None:
    mask = np.array([[True, False]])

    assert mask_targets(mask, learn_foreground=False).tolist() == [[2, 0]]
    assert mask_targets(mask, learn_foreground=True).tolist() == [[1, 0]]


def test_peaks_are_found_where_they_were_drawn() -> None:
    centres = [(20, 20), (60, 25), (100, 70), (30, 70)]

    found = find_points(blobs(centres), PointSettings())

    assert sorted(map(tuple, found.tolist())) == sorted(centres)


def test_near_peaks_are_one_point_and_low_ones_none() -> None:
    near = blobs([(40, 40), (52, 40)], sigma=3)

    assert find_points(near, PointSettings(merge_px=0)).shape == (2, 2)
    assert find_points(near, PointSettings()).tolist() == [[46, 40]]
    assert find_points(blobs([(40, 40)], height=0.6), PointSettings()).shape == (0, 2)
    assert find_points(blobs([(40, 40)], height=0.6), PointSettings(threshold=0.4)).tolist() == [[40, 40]]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_the_plain_loops(seed: int) -> None:
    points = scattered(seed, count=40)
    groups: list[list[npt.NDArray[np.int64]]] = []
    for point in points:
        for group in groups:
            if any(abs(point - other).sum() < 20 for other in group):
                group.append(point)
                break
        else:
            groups.append([point])

    found = merged(points, distance=20)

    assert found.tolist() == [np.mean(group, axis=0).astype(int).tolist() for group in groups]
    assert len(found) < 40


def plain_nll(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], twice: bool) -> float:
    log = log_softmax(softmax(logits, axis=1) if twice else logits, axis=1)
    terms = [-log[b, targets[b, y, x], y, x] for b, y, x in np.ndindex(targets.shape) if targets[b, y, x] != 2]
    return float(np.mean(terms))


@pytest.mark.parametrize("twice", [True, False])
def test_the_loss_is_that_of_the_two_targets_written_out(twice: bool) -> None:
    rng = np.random.default_rng(0)
    logits, mask, edges = (
        rng.normal(size=(2, 2, 3, 4)) * 3,
        rng.integers(0, 3, (2, 3, 4)),
        rng.integers(0, 3, (2, 3, 4)),
    )
    log = log_probabilities(torch.from_numpy(logits), softmax_twice=twice)

    found = segmenter_loss(log, torch.from_numpy(mask), torch.from_numpy(edges), voronoi_weight=1.5)

    assert float(found) == pytest.approx(plain_nll(logits, mask, twice) + 1.5 * plain_nll(logits, edges, twice))


def test_where_everything_is_ignored_the_loss_is_nothing() -> None:
    log = torch.zeros(1, 2, 3, 3, requires_grad=True)

    loss = partial_nll(log, torch.full((1, 3, 3), 2))
    torch.autograd.backward(loss)

    assert float(loss.detach()) == 0
    assert log.grad is not None
    assert not log.grad.any()


def test_components_touch_at_corners() -> None:
    probability = np.array([[0.9, 0.1, 0.1, 0.1], [0.1, 0.9, 0.1, 0.6]], np.float32)

    assert components(probability).tolist() == [[1, 0, 0, 0], [0, 1, 0, 2]]


def test_watershed_cuts_a_pair_at_its_neck_and_keeps_what_has_no_point() -> None:
    probability = np.zeros(SHAPE, np.float32)
    for y, x in [(40, 30), (40, 58)]:
        probability[drawn_disk((y, x), 15)] = 1
    probability[80:83, 80:110] = 0.7

    found = watershed_instances(probability, PointSettings())

    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    assert ((found > 0) == (probability > 0.5)).all()
    assert found[40, 30] != found[40, 58]
    x = np.arange(SHAPE[1])
    assert abs(int(x[found[40] == found[40, 30]].max()) - 44) <= 1
    assert len(np.unique(found[80:83, 80:110])) == 1
    assert components(probability).max() == 2


@pytest.mark.parametrize("name", ["test_resnet", "convnext_atto"])
def test_the_unet_gives_logits_for_any_size_over_any_network(name: str) -> None:
    net = ResUNet(name, seed=0).eval()

    with torch.inference_mode():
        found = net(torch.full((1, 3, 70, 45), 128.0))

    assert found.shape == (1, 2, 70, 45)
    assert bool(torch.isfinite(found).all())


def test_a_network_whose_maps_do_not_halve_is_refused() -> None:
    with pytest.raises(ConfigError, match="strides"):
        ResUNet("vit_tiny_patch16_224", seed=0)
