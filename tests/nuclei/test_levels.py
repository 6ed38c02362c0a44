"""Levels of a slide: the scale that shows most nuclei, and outlines at half of their stain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.io import imread

from wsipsm.config import Config, SegmenterConfig
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.levels import (
    LEAST_CELLS,
    SCALES,
    THRESHOLDS,
    USUAL_THRESHOLD,
    Levels,
    find_levels,
    half_maximum,
    zones,
)
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.nets.device import computing_threads
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import SlideStats, measure_slide

CPU = "cpu"
RULES = Config().labels


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """H&E at 0.5 um/px, (4, 192, 192, 3)."""
    field = imread(he_field())[::2, ::2, :3]
    return np.stack([field[y : y + 192, x : x + 192] for y in (40, 260) for x in (40, 260)])


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    return load_segmenter(shipped_model(), mpp=0.5, device=CPU)


def levels_of(windows: np.ndarray, net: SegmentationNet, stats: SlideStats, **settings: float) -> Levels:
    with computing_threads(CPU) as threads:
        return find_levels(windows, net, stats, config=SegmenterConfig(**settings), rules=RULES, threads=threads)


@pytest.mark.parametrize("too_strong", [1, 2])
def test_an_input_that_is_too_strong_gets_a_higher_scale(
    windows: np.ndarray, net: SegmentationNet, too_strong: int
) -> None:
    stats = measure_slide(windows)

    found = levels_of(windows, net, stats.scaled(1 / too_strong))

    assert found.input_scale == max(SCALES, key=lambda scale: found.scores[f"{scale:g}"])
    assert found.input_scale == (SCALES[0] if too_strong == 1 else SCALES[-1])
    assert found.cells >= LEAST_CELLS


def test_they_do_not_depend_on_the_number_of_threads(windows: np.ndarray, net: SegmentationNet) -> None:
    stats, found = measure_slide(windows), []
    for count in (1, 3):
        with computing_threads(CPU, count) as threads:
            found.append(find_levels(windows, net, stats, config=SegmenterConfig(), rules=RULES, threads=threads))

    assert found[0] == found[1]


def test_what_is_set_is_taken(windows: np.ndarray, net: SegmentationNet) -> None:
    found = levels_of(windows[:1], net, measure_slide(windows), input_scale=1.1, threshold=0.3)

    assert (found.input_scale, found.threshold, list(found.scores)) == (1.1, 0.3, ["1.1"])


def test_windows_without_nuclei_say_so(net: SegmentationNet) -> None:
    blank = np.full((2, 128, 128, 3), 240, np.uint8)

    found = levels_of(blank, net, SlideStats((0.9, 1.1, 0.8), 0.4))

    assert found.cells == 0
    assert found.threshold == USUAL_THRESHOLD


@pytest.mark.parametrize(("blur", "strength"), [(1.0, 1.0), (2.0, 0.4)])
def test_outlines_lie_where_the_stain_is_half(blur: float, strength: float) -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32)
    away = np.hypot((x % 50) - 25, (y % 50) - 25)
    stain = (0.1 + strength * gaussian_filter((away < 10).astype(np.float32), blur)).astype(np.float32)
    distance = np.clip(0.07 * 10 ** ((10 - away) / 12), 0, 1).astype(np.float32)  # 0.07 at the true outline

    found = half_maximum([stain], [distance])

    assert abs(12 * np.log10(found / 0.07)) < 0.75  # pixels


def test_a_threshold_stays_among_those_that_are_tried() -> None:
    y, x = np.mgrid[:200, :200].astype(np.float32)
    away = np.hypot((x % 50) - 25, (y % 50) - 25)
    wide = np.where(away < 22, 1.0, 0.0).astype(np.float32)  # far beyond every outline

    assert THRESHOLDS[-1] <= half_maximum([wide], [np.clip(1 - away / 12, 0, 1).astype(np.float32)]) <= THRESHOLDS[0]


def test_zones_are_those_of_distances_to_the_outlines() -> None:
    nuclei = gaussian_filter(np.random.default_rng(3).normal(size=(120, 130)), 4) > 0.03
    nuclei[:, :9] = True  # up to the border, which is no outline

    depth, away = distance_transform_edt(nuclei), distance_transform_edt(~nuclei)

    expected = [(depth > 0) & (depth <= 1.2), (away > 0) & (away <= 1.2), depth > 2.5, (away > 2.2) & (away < 4)]
    for found, zone in zip(zones(nuclei), expected, strict=True):
        assert zone.any()
        np.testing.assert_array_equal(found, zone)


def test_zones_without_nuclei_are_empty() -> None:
    assert not any(zone.any() for zone in zones(np.zeros((20, 20), bool)))
