"""Components and sums over their pixels against SciPy and NumPy, pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipsm.cells.regions import Components, components_of, largest_components

Masks = list[npt.NDArray[np.bool_]]


def largest_parts(labels: npt.NDArray[np.int32], keep: npt.NDArray[np.bool_]) -> tuple[Masks, list[int]]:
    """Pixels of the largest part of each wanted label, and where the label begins."""
    masks, anchors = [], []
    for label in np.flatnonzero(keep) + 1:
        parts, count = ndimage.label(labels == label)
        if count:
            sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
            masks.append(parts == 1 + int(np.argmax(sizes)))
            anchors.append(int(np.flatnonzero(labels == label)[0]))
    return masks, anchors


def assert_components(components: Components, masks: Masks, planes: npt.NDArray[np.uint8]) -> None:
    numbered = np.zeros(components.shape, np.int32)
    for number, mask in enumerate(masks, start=1):
        numbered[mask] = number
    np.testing.assert_array_equal(components.labels, numbered)
    assert components.area.tolist() == [int(mask.sum()) for mask in masks]
    assert components.first.tolist() == [int(np.flatnonzero(mask)[0]) for mask in masks]
    signed, weight = planes[0].view(np.int8), planes[1].astype(np.int32)
    sums, weighted = components.sums(signed), components.mean(signed, weight)
    for number, mask in enumerate(masks):
        values, weights = signed[mask].astype(np.int64), weight[mask]
        assert sums[:, number].tolist() == [values.sum(), (values**2).sum()]
        assert components.maximum(planes[0])[number] == planes[0][mask].max()
        heavy = weights.sum() > 0
        assert weighted[number] == ((values * weights).sum() / weights.sum() if heavy else values.sum() / mask.sum())
        y, x = np.nonzero(mask)
        np.testing.assert_allclose(components.centroids(5, -3)[number], (x.mean() + 5.5, y.mean() - 2.5))
        spread = np.linalg.eigvalsh(np.cov(x, y, bias=True)) if len(x) > 1 else np.zeros(2)
        eccentricity = np.sqrt(1 - max(spread[0], 0) / spread[1]) if spread[1] > 0 else 0
        np.testing.assert_allclose(components.eccentricities()[number], eccentricity, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), values=st.integers(1, 6), smallest=st.integers(0, 6))
def test_the_largest_part_of_each_wanted_label_and_its_sums(seed: int, values: int, smallest: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, values, (5, 6)), np.ones((2, 2))).astype(np.int32)[:, 1:]
    labels[rng.random(labels.shape) < 0.2] = 0
    keep = rng.random(values + 1) < 0.7
    planes = rng.choice(np.array([0, 0, 1, 7, 130, 255], np.uint8), (2, *labels.shape))

    found = largest_components(labels, keep)

    masks, anchors = largest_parts(labels, keep)
    assert_components(found, masks, planes)
    assert found.anchor.tolist() == anchors
    assert_components(found.drop_smaller(smallest), [mask for mask in masks if mask.sum() >= smallest], planes)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_components_of_labels_are_all_their_pixels_in_the_order_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (7, 9)).astype(np.int32)
    wanted = rng.permutation(np.unique(labels[labels > 0]))[:3]
    planes = rng.integers(0, 256, (2, *labels.shape)).astype(np.uint8)

    assert_components(components_of(labels, wanted), [labels == label for label in wanted], planes)
