"""Targets against scikit-image, scipy and hand-drawn shapes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.draw import disk, ellipse
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

from wsipsm.config import TrainingConfig
from wsipsm.training.targets import convex, distance_map, ellipse_fill, make_target, trusted

Labels = npt.NDArray[np.int32]
MPP = 0.5


def crescent() -> npt.NDArray[np.bool_]:
    mask = np.zeros((40, 40), bool)
    mask[disk((20, 20), 14)] = True
    mask[disk((20, 28), 11)] = False
    return mask


def field() -> tuple[Labels, npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Four instances on pink: a good one, a crescent, one as pale as its surroundings, one that was not sure."""
    labels = np.zeros((64, 96), np.int32)
    labels[ellipse(16, 16, 8, 10)] = 1
    labels[22:62, 30:70][crescent()] = 2
    labels[disk((14, 60), 8)] = 3
    labels[disk((16, 82), 8)] = 4
    probability = np.where(labels > 0, 0.95, 0.02).astype(np.float32)
    probability[labels == 4] = 0.6
    image = np.full((64, 96, 3), (230, 180, 210), np.uint8)
    image[np.isin(labels, (1, 2, 4))] = (90, 60, 140)
    return labels, probability, image


def test_the_distance_map_is_the_distance_to_the_outline_of_each_instance_over_its_largest() -> None:
    labels, _, _ = field()
    labels[16, 26:30] = 3  # touches 1: another instance is outline too

    found = distance_map(labels)

    expected = np.zeros(labels.shape)
    for label in range(1, 5):
        distance = distance_transform_edt(np.pad(labels == label, 1))[1:-1, 1:-1]
        expected += np.where(labels == label, distance / distance.max(), 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32


def test_the_distance_map_has_the_same_bits_wherever_it_lies_in_memory() -> None:
    labels, rng = field()[0], np.random.default_rng(0)

    found = set()
    for _ in range(20):
        _kept = [np.empty(size, np.uint8) for size in rng.integers(1, 100_000, 20)]
        found.add(distance_map(labels).tobytes())

    assert len(found) == 1


def test_an_instance_gets_the_free_pixels_of_its_convex_hull() -> None:
    labels = crescent().astype(np.int32)

    found = convex(labels)

    through_centres = convex_hull_image(labels, offset_coordinates=False)
    around_pixels = convex_hull_image(labels, offset_coordinates=True)
    assert found[through_centres].all()
    assert not found[~around_pixels].any()
    assert found.sum() > labels.sum() * 1.1


def test_a_hull_takes_nothing_from_another_instance() -> None:
    labels = crescent().astype(np.int32)
    labels[disk((20, 30), 3)] = 2

    found = convex(labels)

    np.testing.assert_array_equal(found[labels > 0], labels[labels > 0])


def test_the_fill_of_the_moment_ellipse_is_that_of_the_axes_of_scikit_image() -> None:
    for mask in (crescent(), field()[0] == 1):
        (props,) = regionprops(mask.astype(int))
        first, second = props.inertia_tensor_eigvals  # of pixel centres; a pixel itself has a variance of 1/12
        expected = props.area / (4 * np.pi * np.sqrt((first + 1 / 12) * (second + 1 / 12)))
        assert ellipse_fill(mask) == pytest.approx(min(1, expected), rel=1e-6)


def test_doubtful_are_the_bent_the_pale_the_unsure_and_the_tiny() -> None:
    labels, probability, image = field()
    labels[60:62, 90:92] = 5
    probability[labels == 5] = 1
    image[labels == 5] = (90, 60, 140)

    good = trusted(labels, probability, image, TrainingConfig(), mpp=MPP)

    assert good.tolist() == [True, True, False, False, False, False]


def test_weights_follow_trust_and_what_may_be_a_missed_nucleus() -> None:
    labels, probability, image = field()
    probability[40:44, 4:8] = 0.9  # likely nucleus that no label covers
    probability[50:54, 4:8] = 0.2
    config = TrainingConfig(doubtful_weight=0.1, likely=0.3)

    target = make_target(labels, probability, image, config, mpp=MPP)

    assert target.weight[16, 16] == target.weight[0, 0] == target.weight[51, 5] == 1
    assert set(np.unique(target.weight[labels == 2])) == {np.float32(0.1)}
    assert target.weight[41, 5] == np.float32(0.1)
    np.testing.assert_array_equal(target.nucleus, convex(labels) > 0)
    np.testing.assert_array_equal(target.distance > 0, target.nucleus > 0)


def test_a_field_without_labels_is_all_background() -> None:
    _, _, image = field()
    nothing = np.zeros(image.shape[:2])

    target = make_target(nothing.astype(np.int32), nothing.astype(np.float32), image, TrainingConfig(), mpp=MPP)

    assert not target.nucleus.any()
    assert not target.distance.any()
    assert (target.weight == 1).all()
