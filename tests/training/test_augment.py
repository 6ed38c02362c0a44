"""Crops are drawn by their generator alone, and targets follow the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk

from wsipsm.config import TrainingConfig
from wsipsm.stain.optics import Floats
from wsipsm.stain.registry import HE_VECTORS
from wsipsm.training.augment import Sample, draw
from wsipsm.training.targets import Target, distance_map

PLAIN = TrainingConfig(patch_px=64, min_scale=1, max_scale=1, stain_jitter=0, od_shift=0, blur_px=0.3, noise_od=0)


def field(height: int = 120, width: int = 150) -> tuple[Floats, Target]:
    """Disks whose density is 1 in all colours, on 0."""
    labels = np.zeros((height, width), np.int32)
    for label, (y, x) in enumerate([(20, 30), (70, 40), (50, 100), (100, 120), (90, 80)], start=1):
        labels[disk((y, x), 11, shape=labels.shape)] = label
    nucleus = (labels > 0).astype(np.uint8)
    target = Target(nucleus, distance_map(labels), np.where(nucleus, 1, 0.25).astype(np.float32))
    return np.repeat(nucleus[..., None], 3, axis=2).astype(np.float32), target


def drawn(seed: int, config: TrainingConfig = PLAIN) -> Sample:
    density, target = field()
    return draw(density.__getitem__, target, config, np.random.default_rng(seed), colours=True)


def test_a_sample_follows_from_its_generator() -> None:
    first, again, other = (drawn(seed, TrainingConfig(patch_px=64)) for seed in (5, 5, 6))

    for name in ("planes", "nucleus", "distance", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.planes, other.planes)


def test_targets_lie_where_the_image_has_them_under_every_turn() -> None:
    seen = set()
    for seed in range(60):
        sample = drawn(seed)
        np.testing.assert_array_equal(sample.planes[0] > 0.5, sample.nucleus > 0)
        np.testing.assert_array_equal(sample.distance > 0, sample.nucleus > 0)
        np.testing.assert_array_equal(sample.weight == 1, sample.nucleus > 0)
        seen.add(sample.nucleus.tobytes())
    assert len(seen) == 60


def test_resized_targets_stay_on_the_image() -> None:
    config = PLAIN.model_copy(update={"min_scale": 1 / 1.6, "max_scale": 1.6})

    apart = [np.mean((s.planes[0] > 0.5) != (s.nucleus > 0)) for s in (drawn(seed, config) for seed in range(40))]

    assert max(apart) < 0.008


def test_shapes_and_types() -> None:
    sample = drawn(1)

    assert sample.planes.shape == (3, 64, 64)
    assert sample.nucleus.shape == sample.distance.shape == sample.weight.shape == (64, 64)
    assert all(getattr(sample, name).dtype == np.float32 for name in ("planes", "nucleus", "distance", "weight"))


def test_a_field_smaller_than_a_crop_is_enlarged() -> None:
    density, target = field(height=40, width=50)

    sample = draw(density.__getitem__, target, PLAIN, np.random.default_rng(0), colours=True)

    assert sample.planes.shape == (3, 64, 64)


@pytest.mark.parametrize("stain", range(3))
def test_strengths_stay_within_the_jitter(stain: int) -> None:
    config = PLAIN.model_copy(update={"stain_jitter": 0.3})
    density = np.broadcast_to(np.array(HE_VECTORS[stain], np.float32), (80, 80, 3)).copy()
    nothing = np.zeros((80, 80), np.float32)
    target = Target(nothing.astype(np.uint8), nothing, nothing)

    found = []
    for seed in range(50):
        planes = draw(density.__getitem__, target, config, np.random.default_rng(seed), colours=True).planes
        strengths = planes.transpose(1, 2, 0).astype(np.float64) @ np.linalg.inv(np.array(HE_VECTORS))
        others = np.delete(strengths, stain, axis=-1)
        assert np.abs(others).max() < 1e-4, "a pure stain stays pure"
        assert np.ptp(strengths[..., stain]) < 1e-4
        found.append(strengths[0, 0, stain])

    assert 0.7 <= min(found) < 0.8
    assert 1.2 < max(found) <= 1.3


def test_planes_of_unknown_stains_keep_their_mean_and_hardly_mix() -> None:
    """The third plane is the mean of the first two, whatever befalls them."""
    config = PLAIN.model_copy(update={"stain_jitter": 0.3})
    density = np.broadcast_to(np.array([1, 0, 0.5], np.float32), (80, 80, 3)).copy()
    _, target = field(80, 80)

    found = [
        draw(density.__getitem__, target, config, np.random.default_rng(seed), colours=False).planes[:, 0, 0]
        for seed in range(50)
    ]

    nuclear, counter, mean = np.array(found).T
    np.testing.assert_allclose(mean, (nuclear + counter) / 2, atol=1e-6)
    assert 0.7 <= nuclear.min() < 0.8 < 1.2 < nuclear.max() <= 1.3
    assert 0.1 < np.abs(counter).max() <= 0.15 + 1e-6
