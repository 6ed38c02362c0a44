"""Measures against values worked out by hand, a naive implementation and what must always hold."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from scipy.optimize import linear_sum_assignment
from skimage.io import imread

from benchmarks import psm_monuseg
from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation import score_labels
from wsipsm.evaluation.bootstrap import mean_interval
from wsipsm.evaluation.overlap import overlap
from wsipsm.evaluation.paper_protocol import score_paper

MEASURES = (
    "aji",
    "aji_plus",
    "pq",
    "dq",
    "sq",
    "object_dice",
    "pixel_iou",
    "pixel_dice",
    "f1",
    "precision",
    "recall",
)
IMAGES = arrays(np.uint8, (6, 7), elements=st.integers(0, 4))


def pixel_sets(labels: np.ndarray) -> list[set[tuple[int, int]]]:
    """Pixels of each object, objects by their first pixel in scan order."""
    objects: dict[int, set[tuple[int, int]]] = {}
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x]:
                objects.setdefault(int(labels[y, x]), set()).add((y, x))
    return list(objects.values())


def naive(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """The definitions, read off one by one over sets of pixels; both images hold objects."""
    true, pred = pixel_sets(truth), pixel_sets(found)
    iou = np.array([[len(t & p) / len(t | p) for p in pred] for t in true])
    shared = union = 0
    used = set()
    for i, t in enumerate(true):
        j = int(iou[i].argmax())
        if iou[i, j] > 0:
            shared, union = shared + len(t & pred[j]), union + len(t | pred[j])
            used.add(j)
        else:
            union += len(t)
    union += sum(len(p) for j, p in enumerate(pred) if j not in used)
    hits = [value for value in iou.ravel() if value > 0.5]
    dq = len(hits) / (len(hits) + (len(pred) - len(hits)) / 2 + (len(true) - len(hits)) / 2)
    sq = sum(hits) / len(hits) if hits else 0.0
    all_true, all_pred = set().union(*true), set().union(*pred)
    dice = 0.0
    for mine, others, whole in ((true, pred, all_true), (pred, true, all_pred)):
        for one in mine:
            best = others[int(np.argmax([len(one & other) for other in others]))]
            dice += len(one) / len(whole) * 2 * len(one & best) / (len(one) + len(best)) / 2
    return {
        "aji": shared / union,
        "pq": dq * sq,
        "dq": dq,
        "sq": sq,
        "object_dice": dice,
        "pixel_iou": len(all_true & all_pred) / len(all_true | all_pred),
        "pixel_dice": 2 * len(all_true & all_pred) / (len(all_true) + len(all_pred)),
        "f1": dq,
        "precision": len(hits) / len(pred),
        "recall": len(hits) / len(true),
        "n_true": len(true),
        "n_found": len(pred),
    }


def blobs(seed: int, side: int, count: int) -> np.ndarray:
    """Discs around random points, cut where they meet."""
    seeds = np.zeros((side, side), np.int32)
    seeds[tuple(np.random.default_rng(seed).integers(0, side, (2, count)))] = np.arange(1, count + 1)
    distance, nearest = ndi.distance_transform_edt(seeds == 0, return_indices=True)
    return np.where(distance < 9, seeds[tuple(nearest)], 0)


def test_values_worked_out_by_hand() -> None:
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 0], [3, 3, 0, 0]])
    found = np.array([[5, 5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 9], [8, 8, 8, 0]])

    scores = score_labels(truth, found)

    # Pairs: 1 and 5 share 3 of 4 pixels, 3 and 8 share 2 of 3; 2 (2 px) and 9 (1 px) are alone.
    assert scores.aji == pytest.approx((3 + 2) / (4 + 3 + 2 + 1))
    assert scores.aji_plus == pytest.approx(0.5)
    assert scores.dq == scores.f1 == scores.precision == scores.recall == pytest.approx(2 / 3)
    assert scores.sq == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert scores.pq == pytest.approx((3 / 4 + 2 / 3) / 3)
    assert scores.pixel_iou == pytest.approx(5 / 10)
    assert scores.pixel_dice == pytest.approx(10 / 15)
    assert scores.object_dice == pytest.approx(((4 * 6 / 7 + 2 * 4 / 5) / 8 + (3 * 6 / 7 + 3 * 4 / 5) / 7) / 2)
    assert (scores.n_true, scores.n_found) == (3, 3)


def test_aji_lets_a_prediction_serve_twice_and_aji_plus_does_not() -> None:
    truth, found = np.array([[1, 1, 1, 2, 2]]), np.array([[4, 4, 4, 4, 4]])

    scores = score_labels(truth, found)

    assert scores.aji == pytest.approx((3 + 2) / (5 + 5))
    assert scores.aji_plus == pytest.approx(3 / (5 + 2))


def test_aji_plus_takes_the_assignment_of_highest_total() -> None:
    # The middle pair has the most pixels, but taking both outer ones gives the higher total.
    truth = np.array([[1] * 8 + [2] * 4 + [0]])
    found = np.array([[7] * 3 + [0] + [6] * 7 + [0] * 2])
    assert overlap(truth, found).iou == pytest.approx([3 / 8, 4 / 11, 3 / 8])

    assert score_labels(truth, found).aji_plus == pytest.approx((3 + 3) / (8 + 8))


def test_iou_of_one_half_is_no_match() -> None:
    assert score_labels(np.array([[1, 1, 0]]), np.array([[1, 0, 0]])).dq == 0


@pytest.mark.parametrize(("filled", "value"), [((), 1.0), (("truth",), 0.0), (("found",), 0.0)])
def test_values_without_objects(filled: tuple[str, ...], value: float) -> None:
    empty, one = np.zeros((3, 3), int), np.eye(3, dtype=int)

    scores = score_labels(*(one if name in filled else empty for name in ("truth", "found")))

    assert {getattr(scores, name) for name in MEASURES} == {value}
    assert (scores.n_true, scores.n_found) == ("truth" in filled, "found" in filled)


@settings(max_examples=150, deadline=None)
@given(IMAGES, IMAGES)
def test_equals_the_naive_definitions(truth: np.ndarray, found: np.ndarray) -> None:
    if not truth.any() or not found.any():
        return

    scores = asdict(score_labels(truth, found))

    for name, value in naive(truth, found).items():
        assert scores[name] == pytest.approx(value), name


@settings(max_examples=100, deadline=None)
@given(IMAGES, IMAGES, st.permutations([3, 10**12, 77, 5]))
def test_labels_play_no_part(truth: np.ndarray, found: np.ndarray, others: list[int]) -> None:
    table = np.array([0, *others])

    assert score_labels(table[truth], found) == score_labels(truth, table[found]) == score_labels(truth, found)


@settings(max_examples=50, deadline=None)
@given(IMAGES)
def test_one_on_itself_and_zero_beside_itself(labels: np.ndarray) -> None:
    empty = np.zeros_like(labels)

    same = score_labels(labels, labels)
    beside = score_labels(np.hstack([labels, empty]), np.hstack([empty, labels]))

    assert {getattr(same, name) for name in MEASURES} == {1.0}
    if labels.any():
        assert {getattr(beside, name) for name in MEASURES} == {0.0}


def test_aji_plus_equals_one_assignment_over_the_whole_image() -> None:
    truth, found = blobs(0, 160, 60), blobs(1, 160, 60)
    table = overlap(truth, found)
    shared = np.zeros((len(table.true_areas), len(table.found_areas)), int)
    shared[table.pair_true, table.pair_found] = table.pixels
    union = table.true_areas[:, None] + table.found_areas - shared
    rows, columns = linear_sum_assignment(shared / union, maximize=True)
    taken = shared[rows, columns] > 0
    rows, columns = rows[taken], columns[taken]
    alone = np.delete(table.true_areas, rows).sum() + np.delete(table.found_areas, columns).sum()

    expected = shared[rows, columns].sum() / (union[rows, columns].sum() + alone)

    assert score_labels(truth, found).aji_plus == pytest.approx(expected)


def test_a_large_image_takes_no_time() -> None:
    truth, found = blobs(0, 2000, 3000), blobs(1, 2000, 3000)

    start = time.perf_counter()
    score_labels(truth, found)

    assert time.perf_counter() - start < 3  # 0.3 s on a free core


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((4, 4, 3), int), "shape (4, 4, 3)"),
        (np.zeros((4, 4)), "float64"),
        (np.full((4, 4), -1), "a label is -1"),
        (np.zeros((4, 5), int), "shapes differ"),
    ],
)
def test_what_is_no_label_image_is_refused(array: np.ndarray, expected: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        score_labels(np.zeros((4, 4), int), array)
    assert expected in str(caught.value)


@pytest.mark.shared_data
def test_equals_the_benchmarks_score_on_real_nuclei(shared_data: Path) -> None:
    name = "TCGA-BC-A217-01Z-00-DX1.png"
    truth = imread(shared_data / "monuseg" / "labels" / name).astype(np.int64)
    found = psm_monuseg.baseline(imread(shared_data / "monuseg" / "images" / name)[..., :3])

    scores = score_labels(truth, found)

    assert (scores.aji, scores.pq, scores.pixel_dice) == pytest.approx(psm_monuseg.score(truth, found), abs=1e-12)


def test_interval_of_the_mean() -> None:
    values = np.random.default_rng(3).normal([0.5, 2.0], [0.1, 1.0], (400, 2))

    interval = mean_interval(values)

    assert interval is not None
    error = values.std(axis=0) / 20
    assert interval[0] == pytest.approx(values.mean(axis=0) - 1.96 * error, abs=0.2 * error.max())
    assert interval[1] == pytest.approx(values.mean(axis=0) + 1.96 * error, abs=0.2 * error.max())
    assert np.array_equal(interval, mean_interval(values))
    assert mean_interval(values[:1]) is None


def naive_paper_aji(truth: np.ndarray, found: np.ndarray) -> float:
    """The matrix form of the authors' AJI, first predicted object for what meets none."""
    n, m = truth.max() + 1, found.max() + 1
    shared = np.array([[((truth == i) & (found == j)).sum() for j in range(1, m)] for i in range(1, n)])
    sizes, areas = np.bincount(truth.ravel())[1:], np.bincount(found.ravel())[1:]
    union = sizes[:, None] + areas - shared
    best = (shared / union).argmax(axis=1)
    rows = np.arange(n - 1)
    unused = [j for j in range(m - 1) if j not in set(best)]
    return float(shared[rows, best].sum() / (union[rows, best].sum() + areas[unused].sum()))


def test_the_papers_scorer_sees_components_of_the_middle() -> None:
    truth, found = blobs(4, 90, 20), blobs(5, 90, 20)
    eight = np.ones((3, 3))
    middle = np.s_[13:77, 13:77]
    components = [ndi.label(image[middle] > 0, eight)[0] for image in (truth, found)]

    scores = score_paper(truth, found, crop_px=64)

    assert scores.aji == pytest.approx(naive_paper_aji(*components))
    assert (scores.n_true, scores.n_found) == (components[0].max(), components[1].max())
    assert scores.n_true < score_labels(truth[middle], found[middle]).n_true
    one, two = (image > 0 for image in components)
    assert scores.pixel_f1 == pytest.approx(2 * (one & two).sum() / (one.sum() + two.sum()))


def test_the_papers_object_iou_by_hand() -> None:
    truth, found = np.array([[1, 1, 0, 2, 2, 2]]), np.array([[1, 0, 0, 2, 2, 2]])

    assert score_paper(truth, found).object_iou == pytest.approx(((2 * 0.5 + 3) / 5 + (1 * 0.5 + 3) / 4) / 2)
