"""Instances: what they look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops

from tests.helpers.evidence_fields import KINDS, SMALL, disc, field, label_plane
from wsipsm.cells.instances import anchors, halo_px, instances
from wsipsm.config import LabelsConfig

PLAIN = LabelsConfig(max_hole_um2=30, sharpen_um=0, growth_um=0)
"""Nothing but the choice of candidates, at 1 um/px."""


def test_two_discs_that_touch_become_two_instances() -> None:
    first, second = disc((30, 40), 15, 12, 7), disc((30, 40), 15, 25, 7)
    height = np.maximum(*(ndimage.distance_transform_edt(one) for one in (first, second)))
    evidence = np.where(height > 0, 128 + 15 * height, 0).astype(np.uint8)

    labels = label_plane(evidence, PLAIN.model_copy(update={"growth_um": 4}))

    assert ndimage.label(evidence >= 128)[1] == 1
    assert labels.max() == 2
    assert labels[15, 12] == 1
    assert labels[15, 25] == 2
    assert (labels > 0).sum() >= 0.9 * (evidence >= 128).sum()


def test_a_peanut_of_one_level_stays_one_instance() -> None:
    evidence = np.where(disc((30, 40), 15, 14, 6) | disc((30, 40), 15, 20, 6), 200, 0).astype(np.uint8)

    assert label_plane(evidence, PLAIN).max() == 1


def test_a_ring_is_filled() -> None:
    outer, hole = disc((24, 24), 12, 12, 7), disc((24, 24), 12, 12, 2.5)
    evidence = np.where(outer & ~hole, 200, 0).astype(np.uint8)

    labels = label_plane(evidence, PLAIN)

    np.testing.assert_array_equal(labels, outer)


def test_a_hole_above_the_limit_stays() -> None:
    outer, hole = disc((24, 24), 12, 12, 7), disc((24, 24), 12, 12, 2.5)
    evidence = np.where(outer & ~hole, 200, 0).astype(np.uint8)

    labels = label_plane(evidence, PLAIN.model_copy(update={"max_hole_um2": hole.sum() - 1.0}))

    assert labels[outer & ~hole].all()
    assert not labels[hole].any()


def test_squares_that_touch_at_a_corner_are_two_instances() -> None:
    evidence = np.zeros((14, 14), np.uint8)
    evidence[2:7, 2:7] = 200
    evidence[7:12, 7:12] = 200

    labels = label_plane(evidence, PLAIN)

    assert labels[4, 4] == 1
    assert labels[9, 9] == 2
    assert np.bincount(labels.ravel()).tolist() == [14 * 14 - 50, 25, 25]


def test_an_object_at_the_edge_of_the_plane_is_kept() -> None:
    evidence = np.where(disc((20, 20), 0, 9, 6), 200, 0).astype(np.uint8)

    labels = label_plane(evidence, PLAIN)

    np.testing.assert_array_equal(labels, evidence > 0)
    assert anchors(labels).tolist() == [[3, 0]]


def test_an_object_longer_than_the_limit_is_left_out_and_one_of_the_limit_is_kept() -> None:
    evidence = np.zeros((60, 60), np.uint8)
    evidence[5:12, 4:36] = 200  # 32 px, the limit
    evidence[30:37, 4:37] = 200  # one more

    labels = label_plane(evidence, PLAIN)

    assert labels[5:12, 4:36].all()
    assert not labels[30:37].any()


def test_a_clump_longer_than_the_limit_gives_its_peaks() -> None:
    evidence = np.zeros((30, 90), np.uint8)
    evidence[10:22, 5:85] = 140
    for x in (15, 35, 55, 75):
        evidence[disc(evidence.shape, 16, x, 5)] = 220

    labels = label_plane(evidence, PLAIN)

    np.testing.assert_array_equal(labels > 0, evidence == 220)
    assert labels.max() == 4


def test_an_instance_grows_by_whole_steps_inside_the_evidence() -> None:
    evidence = np.zeros((30, 90), np.uint8)
    evidence[10:22, 5:85] = 140
    peak = disc(evidence.shape, 16, 40, 4)
    evidence[peak] = 220
    plus = ndimage.generate_binary_structure(2, 1)

    labels = label_plane(evidence, PLAIN.model_copy(update={"growth_um": 2}))

    assert labels[peak].all()
    assert (labels > 0).sum() > peak.sum()
    assert not (labels.astype(bool) & ~ndimage.binary_dilation(peak, plus, iterations=2)).any()


def test_most_of_an_instance_must_lie_in_the_mask() -> None:
    evidence = np.zeros((20, 40), np.uint8)
    evidence[5:13, 5:13] = evidence[5:13, 25:33] = 200
    mask = np.zeros(evidence.shape, bool)
    mask[5:9, 5:13] = True  # half
    mask[5:13, 25:28] = True  # three eighths

    labels = label_plane(evidence, PLAIN, mask)

    assert labels[8, 8] == 1
    assert labels.max() == 1


def test_weak_evidence_gives_nothing() -> None:
    assert label_plane(np.full((40, 40), 127, np.uint8), PLAIN).max() == 0


def test_a_window_smaller_than_its_margins_gives_background_of_its_shape() -> None:
    evidence = np.full((10, 12), 200, np.uint8)

    labels = instances(evidence, evidence > 0, mpp=0.5, config=LabelsConfig())

    assert labels.shape == (10, 12)
    assert labels.dtype == np.int32
    assert not labels.any()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        instances(np.zeros((4, 4), np.uint8), np.zeros((4, 5), bool), mpp=0.5, config=LabelsConfig())


def test_the_halo_grows_with_the_resolution() -> None:
    assert halo_px(LabelsConfig(), mpp=0.25) > halo_px(LabelsConfig(), mpp=0.5) > LabelsConfig().max_diameter_um / 0.5


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_instances_are_connected_of_stated_size_and_numbered_in_scan_order(kind: str, seed: int) -> None:
    config = SMALL.model_copy(update={"growth_um": 0})
    evidence = field(kind, np.random.default_rng(seed), (50, 50))

    labels = label_plane(evidence, config)

    sizes = np.bincount(labels.ravel())[1:]
    assert ((sizes >= config.min_area_um2) & (sizes <= config.max_area_um2)).all()
    for label, where in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[where] == label)[1] == 1
        assert max(labels[where].shape) <= config.max_diameter_um
    xy = anchors(labels)
    assert (np.diff(xy[:, 1] * 50 + xy[:, 0]) > 0).all()


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1))
def test_no_instance_has_a_background_hole_below_the_limit_before_growth(kind: str, seed: int) -> None:
    config = SMALL.model_copy(update={"growth_um": 0})
    labels = label_plane(field(kind, np.random.default_rng(seed), (50, 50)), config)
    limit = round(1.5 * config.max_hole_um2**0.5)

    for label in range(1, labels.max() + 1):
        gaps, count = ndimage.label(np.pad(labels != label, 1, constant_values=True), np.ones((3, 3)))
        sizes = np.bincount(gaps.ravel())[1:]
        extents = [max(piece.stop - piece.start for piece in where) for where in ndimage.find_objects(gaps)]
        assert (
            sum(size <= config.max_hole_um2 and extent <= limit for size, extent in zip(sizes, extents, strict=True))
            == 0
        )
        assert count >= 1


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32 - 1), growth_um=st.integers(1, 4))
def test_growth_keeps_instances_connected_and_apart(kind: str, seed: int, growth_um: int) -> None:
    evidence = field(kind, np.random.default_rng(seed), (50, 50))
    before = label_plane(evidence, SMALL.model_copy(update={"growth_um": 0}))

    after = label_plane(evidence, SMALL.model_copy(update={"growth_um": growth_um}))

    assert (after[before > 0] > 0).all()
    assert after.max() == before.max()
    pairs = np.unique(np.stack([before[before > 0], after[before > 0]]), axis=1)
    assert pairs.shape[1] == before.max()
    for label, where in enumerate(ndimage.find_objects(after), start=1):
        assert ndimage.label(after[where] == label)[1] == 1


def test_anchors_are_the_first_pixels_in_scan_order() -> None:
    labels = np.array([[0, 0, 3, 0], [1, 0, 3, 3], [1, 1, 0, 0]], np.int32)

    assert anchors(labels).tolist() == [[0, 1], [-1, -1], [2, 0]]
    assert anchors(np.zeros((3, 3), np.int32)).shape == (0, 2)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 50), st.floats(2, 9))
def test_what_is_narrower_than_the_limit_is_dropped_and_nothing_else(kind: str, seed: int, width: float) -> None:
    evidence = field(kind, np.random.default_rng(seed), (60, 60))
    every = label_plane(evidence, SMALL)

    kept = label_plane(evidence, SMALL.model_copy(update={"min_width_um": width}))

    pixel = np.eye(2) / 12  # the variance of a pixel
    spreads = {r.label: np.cov(r.coords.T, bias=True) + pixel for r in regionprops(every)}
    expected = [label for label, spread in spreads.items() if 4 * np.linalg.eigvalsh(spread)[0] ** 0.5 >= width]
    np.testing.assert_array_equal(kept > 0, np.isin(every, expected))


def test_more_levels_part_cells_at_a_smaller_saddle() -> None:
    first, second = disc((30, 44), 15, 13, 6), disc((30, 44), 15, 27, 6)
    evidence = np.where(first | second, 206, np.where(disc((30, 44), 15, 20, 9), 201, 0)).astype(np.uint8)
    config = PLAIN.model_copy(update={"split_height": 0.03, "growth_um": 4})

    assert label_plane(evidence, config).max() == 1
    assert label_plane(evidence, config.model_copy(update={"levels": 32})).max() == 2
